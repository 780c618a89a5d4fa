"""Turns the errors of MySQL and MariaDB into ours."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from dapkit.errors import (
    BadValueError,
    MalformedFileError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
)
from dapkit.targets.sql.connection_string import TLS_HINT

DUPLICATE = 1062
LOCAL_FORBIDDEN = frozenset({1148, 3948, 4166})
"""The server does not allow LOAD DATA LOCAL."""

BROKEN_LINES = frozenset({1261, 1262})
"""A line has fewer or more fields than there are columns."""

# 1047: a node of a Galera cluster that is not ready. 3100, 3101: Group Replication asks to repeat the transaction.
_UNREACHABLE = frozenset(
    {1047, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2005, 2006, 2013, 2055, 4031}
)
_BUSY = frozenset({1020, 1040, 1203, 1205, 1206, 1213, 1226, 3100, 3101})
_FORBIDDEN = frozenset({1044, 1142, 1143, 1227, 1370})
_FULL = frozenset({1021, 1114})
_KINDS: tuple[tuple[frozenset[int], type[TargetError]], ...] = (
    (_UNREACHABLE, TargetUnreachableError),
    (_BUSY, TargetBusyError),
    (_FORBIDDEN, TargetPermissionError),
    (_FULL, TargetDiskFullError),
)
_NO_SPACE = re.compile(r"(errno|errcode|error):? 28\b", re.IGNORECASE)
"""How the server writes the system's error for a full disk, whatever error number it uses itself."""

_ADDRESS_HINT = "Check the host and the port in the connection string."
_VALUES = frozenset({1048, 1263, 1264, 1265, 1292, 1300, 1364, 1366, 1367, 1406, 1411, 1416, 1525, 3140, 3819, 4025})
OTHER_SERVER = 2007
"""What answers is not MySQL; the driver uses this number for an unknown version of the protocol."""

_OPTION_PREVENTS, _READ_ONLY_TRANSACTION, _TLS_REQUIRED = 1290, 1836, 3159
_READ_ONLY = re.compile(r"read[- _]only", re.IGNORECASE)
"""How the server explains error 1290, which other options of the server can cause, too."""

_READ_ONLY_HINT = (
    "This server is read-only, as after a failover, or because it is a replica: connect to the primary server."
)
_REFERENCED = (
    "A foreign key of your own refers to these rows or to this table. Nothing was changed: let it cascade, or drop it."
)
_HINTS = {
    DUPLICATE: "A unique index of your own rejects these rows. Nothing was changed: drop it, or make it not unique.",
    1217: _REFERENCED,
    1451: _REFERENCED,
    3730: _REFERENCED,
    1452: "A foreign key of your own rejects these rows. Nothing was changed: drop it.",
    1644: "A trigger of your own rejects this. Nothing was changed.",
    1301: "Increase max_allowed_packet on the server.",
    1366: "If it is a text, change the column's character set to utf8mb4: another one cannot store every text.",
    1118: "The table has more columns than a row of this server can hold.",
    1059: "A name is longer than this server allows.",
}


def code_of(error: pymysql.Error) -> int:
    """Return the server's or the driver's number of an error, 0 if it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


@contextmanager
def translated(product: str, table: str | None = None) -> Iterator[None]:
    """Turn errors of the driver into ours."""
    try:
        yield
    except pymysql.InterfaceError as error:  # the driver's error for a connection that was lost earlier
        raise TargetUnreachableError(f"The connection to {product} was lost", table=table) from error
    except pymysql.Error as error:
        words = str(error.args[1]) if len(error.args) > 1 else str(error)
        raise error_of(product, code_of(error), words, table) from error


def error_of(product: str, code: int, words: str, table: str | None = None) -> TargetError | MalformedFileError:
    """Return our error for a server's number and words."""
    message = f"{product} says: {words.strip().partition(chr(10))[0]}"
    if code in BROKEN_LINES:
        return MalformedFileError(f"A downloaded file has a malformed line: {words}", table=table)
    if code in _VALUES:
        return BadValueError(message, hint=_HINTS.get(code, ""), table=table)
    if code == _READ_ONLY_TRANSACTION or (code == _OPTION_PREVENTS and _READ_ONLY.search(words)):
        # After a failover the old primary stays reachable, so only a new connection helps.
        return TargetUnreachableError(message, hint=_READ_ONLY_HINT, table=table)
    kind = TargetDiskFullError if _NO_SPACE.search(words) else TargetError
    kind = next((kind for codes, kind in _KINDS if code in codes), kind)
    return kind(message, hint=_HINTS.get(code, ""), table=table)


def unconnected(error: Exception, name: str, secret: str) -> TargetError:
    """Return our error for a connection that failed.

    Args:
        error: the driver's, the system's, or that of a library that an authentication method needs.
        name: the database's address.
        secret: the password, which the message may repeat; empty for none.
    """
    words = str(error.args[1] if len(error.args) > 1 else error)
    shown = words.replace(secret, "…") if secret else words
    shown = " ".join(shown.split())
    if isinstance(error, RuntimeError):
        hint = "Use `ssl=require` in the connection string, or install the Python package cryptography."
        return TargetRejectedError(f"{name}: the server asks for a password over an encrypted connection", hint=hint)
    code = code_of(error) if isinstance(error, pymysql.Error) else 0
    if code == OTHER_SERVER:
        return TargetRejectedError(f"{name} does not answer as a MySQL server: {shown}", hint=_ADDRESS_HINT)
    if code in _BUSY:
        return TargetBusyError(f"{name} does not accept a connection: {shown}")
    if is_answer(code) and code not in _UNREACHABLE:  # a server that is shutting down says so once
        return TargetRejectedError(
            f"{name} rejected the connection: {shown}", hint=TLS_HINT if code == _TLS_REQUIRED else ""
        )
    untrusted = isinstance(getattr(error, "original_exception", None), ssl.SSLError)
    kind = TargetUnreachableError if code in _UNREACHABLE and not untrusted else TargetRejectedError
    return kind(f"{name} cannot be reached: {shown}", hint=TLS_HINT if untrusted or "SSL" in words else "")


def is_answer(code: int) -> bool:
    """Whether an error number is the server's own; numbers from 2000 to 2999 are the driver's."""
    return code >= 1000 and not 2000 <= code < 3000
