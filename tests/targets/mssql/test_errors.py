"""Errors of the driver become ours, without values."""

import pytest
from mssql_python.exceptions import sqlstate_to_exception

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
from dapkit.targets.mssql.errors import translated, unconnected, words_of

ORIGIN = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"


@pytest.mark.parametrize(
    ("state", "words", "kind"),
    [
        ("08S01", "TCP Provider: Error code 0x2746", TargetUnreachableError),
        ("08001", "Login timeout expired", TargetUnreachableError),
        ("28000", "Login failed for user 'me'.", TargetRejectedError),
        (
            "40001",
            "Transaction (Process ID 5) was deadlocked and has been chosen as the deadlock victim.",
            TargetBusyError,
        ),
        ("HYT00", "Lock request time out period exceeded.", TargetBusyError),
        ("42000", "Resource ID : 1. The request limit for the database is 60 and has been reached.", TargetBusyError),
        ("42S01", "There is already an object named 'things' in the database.", ConcurrentUpdateError),
        ("23000", "Cannot insert the value NULL into column 'v', table 'c.dbo.t'; INSERT fails.", BadValueError),
        ("22003", "Arithmetic overflow error for data type smallint.", BadValueError),
        ("22001", "String or binary data would be truncated in table 't', column 'v'.", BadValueError),
        ("42000", "CREATE TABLE permission denied in database 'college'.", TargetPermissionError),
        ("42000", "The transaction log for database 'college' is full due to 'LOG_BACKUP'.", TargetDiskFullError),
        ("42000", "Incorrect syntax near 'x'.", TargetError),
    ],
)
def test_kinds(state: str, words: str, kind: type[TargetError]) -> None:
    error = sqlstate_to_exception(state, ORIGIN + words)
    assert error is not None
    ours = translated(error)
    assert type(ours) is kind
    assert ours.message == f"SQL Server says: {words}"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("CREATE TABLE permission denied in database 'college'.", "Grant"),
        ("The transaction log for database 'college' is full due to 'LOG_BACKUP'.", "space"),
        ('Failed to update database "college" because the database is read-only.', "primary"),
        ("Violation of PRIMARY KEY constraint 'pk'. Cannot insert duplicate key in object 't'.", "spaces"),
        ("String or binary data would be truncated in table 't', column 'v'.", "varchar(4n)"),
        ("The index 'i' is dependent on column 'v'.", "Drop"),
    ],
)
def test_hints(words: str, part: str) -> None:
    error = sqlstate_to_exception("42000", ORIGIN + words)
    assert error is not None
    assert part in translated(error).hint


@pytest.mark.parametrize(
    "words",
    [
        "Cannot insert duplicate key in object 't'. The duplicate key value is (secret, 5).",
        "String or binary data would be truncated in table 't', column 'v'. Truncated value: 'secret'.",
        "Conversion failed when converting the varchar value 'secret' to data type int.",
        "Arithmetic overflow error for data type smallint, value = secret.",
    ],
)
def test_values_are_left_out(words: str) -> None:
    assert "secret" not in words_of(RuntimeError(words))
    assert words_of(RuntimeError(words))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Login failed for user 'me'.", TargetRejectedError),
        ('Cannot open database "college" requested by the login. The login failed.', TargetRejectedError),
        ("SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed]", TargetRejectedError),
        ("Login timeout expired", TargetUnreachableError),
        ("Database 'college' on server 's' is not currently available.", TargetUnreachableError),
    ],
)
def test_a_rejected_connection_is_not_retried(words: str, kind: type[TargetError]) -> None:
    ours = unconnected(RuntimeError(f"{ORIGIN}{words} (secret)"), "mssql://host/college", "secret")
    assert type(ours) is kind
    assert ours.message == f"mssql://host/college cannot be reached: {words} (…)"


def test_errors_of_other_kinds() -> None:
    assert translated(RuntimeError("Bulk Copy Error: odd")).message == "SQL Server says: Bulk Copy Error: odd"
