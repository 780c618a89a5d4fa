"""What MySQL says when it refuses, as one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from dapkit.errors import (
    BadValueError,
    IntegrityError,
    MovedOnError,
    TargetError,
    UnreachableTargetError,
)

__all__ = ["BROKEN_LINES", "DUPLICATE", "LOCAL_FORBIDDEN", "code_of", "translated", "verdict"]

DUPLICATE = 1062
LOCAL_FORBIDDEN = frozenset({1148, 3948, 4166})
"""The server does not allow LOAD DATA LOCAL."""

BROKEN_LINES = frozenset({1261, 1262})
"""A line has fewer or more fields than there are columns."""

_UNREACHABLE = frozenset(
    {1040, 1044, 1045, 1049, 1053, 1129, 1130, 1227, 1698, 1927, 2002, 2003, 2005, 2006, 2013, 2026, 2055}
)
_BUSY = frozenset({1205, 1213, 1020})
_VALUES = frozenset({1048, 1263, 1264, 1265, 1292, 1300, 1364, 1366, 1367, 1406, 1411, 1416, 1525, 3140, 3819, 4025})
_HINTS = {
    1142: "Grant it to the user of the connection string; the documentation lists what is needed.",
    1143: "Grant it to the user of the connection string; the documentation lists what is needed.",
    1021: "Free some space on the database server and run the same command again.",
    1114: "Free some space on the database server and run the same command again.",
    1290: "This server only reads; name the primary one.",
    1836: "This server only reads; name the primary one.",
    1118: "The table's columns are more than a row of this server can hold.",
    1059: "A name is longer than this server allows.",
}


def code_of(error: pymysql.Error) -> int:
    """Return the server's or the driver's number of an error, 0 if it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


@contextmanager
def translated(table: str | None = None) -> Iterator[None]:
    """Turn errors of the driver into ours."""
    try:
        yield
    except pymysql.Error as error:
        words = str(error.args[1]) if len(error.args) > 1 else str(error)
        raise verdict(code_of(error), words, table) from error


def verdict(code: int, words: str, table: str | None = None) -> TargetError | IntegrityError:
    """Return our error for a number and the words that come with it."""
    message = f"MySQL says: {words.strip().partition(chr(10))[0]}"
    if code in BROKEN_LINES:
        return IntegrityError(f"A file holds a line that is none: {words}", table=table)
    if code in _VALUES:
        return BadValueError(message, table=table)
    if code in _BUSY:
        return MovedOnError(message, table=table)
    if code in _UNREACHABLE:
        return UnreachableTargetError(message, table=table)
    return TargetError(message, hint=_HINTS.get(code, ""), table=table)
