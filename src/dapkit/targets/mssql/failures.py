"""PURE: what the driver or SQL Server says when it refuses, as one of our errors.

The driver gives no numbers, but classes, a phrase of its own for each SQLSTATE, and the server's words, which are in
English since our sessions ask for it. These quote values, which are nobody's business in a log.
"""

import re

from dapkit.errors import BadValueError, IntegrityError, MovedOnError, TargetError, UnreachableTargetError

__all__ = ["UNLOADABLE", "translated", "words_of"]

UNLOADABLE = "Failed to load the driver"
"""How the driver says that a library of the system is missing."""

_ORIGIN = re.compile(r"^(?:\[[^\]]*\])+\s*")
_SECRETS = (
    re.compile(r"\s*The duplicate key value is \(.*\)\.?", re.DOTALL),
    re.compile(r"\s*Truncated value: '.*'\.?", re.DOTALL),
    re.compile(r"(?<=value )'.*'(?= to data type)", re.DOTALL),
    re.compile(r", value = [^,;]*?(?=\.?$)"),
)
_UNREACHABLE = frozenset(
    {
        "Client unable to establish connection", "Server rejected the connection", "Communication link failure",
        "Connection failure during transaction", "Invalid authorization specification", "Connection not open",
        "Connection timeout expired", "Connection operation failed",
    }
)  # fmt: skip
_BUSY = re.compile(
    r"deadlock victim|Lock request time out|There is already an object named|Snapshot isolation transaction aborted"
)
_VALUES = re.compile(
    r"Cannot insert the value NULL|would be truncated|Arithmetic overflow|Conversion failed|out-of-range value"
    r"|not a valid instance of data type|conflicted with the (?:CHECK|FOREIGN KEY) constraint"
)
_HINTS = (
    (
        re.compile(r"permission (?:was )?denied|do not have permission|does not have permission", re.IGNORECASE),
        "Grant it to the user of the connection string; the documentation lists what is needed.",
    ),
    (
        re.compile(r"is full|insufficient disk space|reached its size quota", re.IGNORECASE),
        "Free some space on the database server and run the same command again.",
    ),
    (re.compile(r"read-only", re.IGNORECASE), "This database only reads; name the primary one."),
    (
        re.compile(r"duplicate key", re.IGNORECASE),
        "SQL Server takes keys for equal that differ in blanks at their end, or, where another program made the"
        " table, in case.",
    ),
    (re.compile(r"is dependent on column"), "Drop what depends on the column, and make it again afterwards."),
)


def words_of(error: BaseException) -> str:
    """Return what an error says, without its origin and without values."""
    words = _ORIGIN.sub("", str(getattr(error, "ddbc_error", "") or error).strip())
    for secret in _SECRETS:
        words = secret.sub("", words)
    return " ".join(words.split())


def translated(error: BaseException, table: str | None = None) -> TargetError | IntegrityError:
    """Return our error for the driver's."""
    words, phrase = words_of(error), str(getattr(error, "driver_error", ""))
    message = f"SQL Server says: {words}"
    if phrase in _UNREACHABLE:
        return UnreachableTargetError(message, table=table)
    if _BUSY.search(words) or phrase == "Serialization failure":
        return MovedOnError(message, table=table)
    if _VALUES.search(words) or type(error).__name__ == "DataError":
        return BadValueError(message, table=table)
    hint = next((hint for pattern, hint in _HINTS if pattern.search(words)), "")
    return TargetError(message, hint=hint, table=table)
