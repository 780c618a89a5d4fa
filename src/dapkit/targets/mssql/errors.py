"""PURE: turns errors of the driver and of SQL Server into ours.

The driver gives no error numbers, only classes, a phrase for each SQLSTATE, and the server's words, which are
English because each session sets its language. Quoted values of rows are removed: they do not belong in a log.
"""

import re

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
)

UNLOADABLE = "Failed to load the driver"
"""The driver's words when a library of the system is missing."""

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
        "Connection failure during transaction", "Connection not open", "Connection timeout expired",
        "Connection operation failed",
    }
)  # fmt: skip
_REJECTED = re.compile(r"Login failed|Cannot open database|certificate", re.IGNORECASE)
_KINDS: tuple[tuple[re.Pattern[str], type[TargetError]], ...] = (
    (
        re.compile(
            r"deadlock victim|Lock request time out|Snapshot isolation transaction aborted"
            r"|(?:request|session) limit .*has been reached"
        ),
        TargetBusyError,
    ),
    (re.compile(r"There is already an object named"), ConcurrentUpdateError),  # it did not exist a moment ago
    (
        re.compile(
            r"Cannot insert the value NULL|would be truncated|Arithmetic overflow|Conversion failed|out-of-range value"
            r"|not a valid instance of data type|conflicted with the (?:CHECK|FOREIGN KEY) constraint"
        ),
        BadValueError,
    ),
    (re.compile(r"permission (?:was )?denied|do(?:es)? not have permission", re.IGNORECASE), TargetPermissionError),
    (re.compile(r"is full|insufficient disk space|reached its size quota", re.IGNORECASE), TargetDiskFullError),
)
"""Our error by the server's message."""

_HINTS = (
    (re.compile(r"read-only", re.IGNORECASE), "This database is read-only: connect to the primary one."),
    (
        re.compile(r"duplicate key", re.IGNORECASE),
        "SQL Server treats keys as equal that differ only in spaces at their end or, in a table that another program"
        " created, only in case.",
    ),
    (
        re.compile(r"would be truncated"),
        "If a version of the official client before 2.3.1 created the table, its texts are narrower than they have to"
        " be: varchar(n) instead of varchar(4n). Widen the column with ALTER TABLE, and run the command again.",
    ),
    (
        re.compile(r"is dependent on column"),
        "Drop the object that depends on the column, run the command again, and create the object again.",
    ),
)


def words_of(error: BaseException) -> str:
    """Return the message of an error, without its origin and without values."""
    words = _ORIGIN.sub("", str(getattr(error, "ddbc_error", "") or error).strip())
    for secret in _SECRETS:
        words = secret.sub("", words)
    return " ".join(words.split())


def translated(error: BaseException) -> TargetError:
    """Return our error for the driver's."""
    words, phrase = words_of(error), str(getattr(error, "driver_error", ""))
    message = f"SQL Server says: {words}"
    if phrase == "Invalid authorization specification":
        return TargetRejectedError(message)
    if phrase in _UNREACHABLE:
        return TargetUnreachableError(message)
    if phrase == "Serialization failure":
        return TargetBusyError(message)
    default = BadValueError if type(error).__name__ == "DataError" else TargetError
    kind = next((kind for pattern, kind in _KINDS if pattern.search(words)), default)
    return kind(message, hint=next((hint for pattern, hint in _HINTS if pattern.search(words)), ""))


def unconnected(error: BaseException, name: str, secret: str) -> TargetError:
    """Return our error for a connection that failed.

    Args:
        error: the driver's.
        name: the database's address.
        secret: the password, which the message may repeat; empty for none.
    """
    words = words_of(error)
    shown = words.replace(secret, "…") if secret else words
    kind = TargetRejectedError if _REJECTED.search(words) else TargetUnreachableError
    return kind(f"{name} cannot be reached: {shown}")
