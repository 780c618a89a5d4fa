"""Errors of the server become errors that show whether a retry can help."""

import ssl

import pymysql
import pytest

from dapkit.errors import (
    BadValueError,
    DapError,
    MalformedFileError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
)
from dapkit.targets.mysql.errors import OTHER_SERVER, translated, unconnected


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (2006, "MySQL server has gone away", TargetUnreachableError),
        (2013, "Lost connection to MySQL server during query", TargetUnreachableError),
        (1927, "Connection was killed", TargetUnreachableError),
        (1159, "Got timeout reading communication packets", TargetUnreachableError),
        (1047, "WSREP has not yet prepared node for application use", TargetUnreachableError),
        (3101, "Plugin instructed the server to rollback the current transaction", TargetBusyError),
        (1205, "Lock wait timeout exceeded", TargetBusyError),
        (1213, "Deadlock found", TargetBusyError),
        (1114, "The table 'users' is full", TargetDiskFullError),
        (1021, "Disk full (/tmp)", TargetDiskFullError),
        (1030, "Got error 28 from storage engine", TargetDiskFullError),
        (3, 'Error writing file "x" (Errcode: 28 "No space left on device")', TargetDiskFullError),
        (1030, "Got error 122 from storage engine", TargetError),
        (1142, "INSERT command denied to user", TargetPermissionError),
        (1044, "Access denied for user to database", TargetPermissionError),
        (1366, "Incorrect integer value", BadValueError),
        (1261, "Row 1 doesn't contain data for all columns", MalformedFileError),
        (1290, "The MySQL server is running with the --super-read-only option", TargetUnreachableError),
        (1290, "The MariaDB server is running with the --read-only=NO_LOCK option", TargetUnreachableError),
        (1836, "Running in read-only mode", TargetUnreachableError),
        (1290, "The MySQL server is running with the --secure-file-priv option", TargetError),
        (1064, "You have an error in your SQL syntax", TargetError),
    ],
)
def test_errors_of_the_server(code: int, words: str, expected: type[DapError]) -> None:
    with pytest.raises(DapError) as caught, translated("MySQL", "users"):
        raise pymysql.OperationalError(code, words)
    assert type(caught.value) is expected
    assert words in caught.value.message
    assert caught.value.table == "users"


@pytest.mark.parametrize("code", [1062, 1217, 1451, 1452, 1644, 3730])
def test_objects_of_the_user_that_reject_rows_are_explained(code: int) -> None:
    with pytest.raises(TargetError) as caught, translated("MySQL", "users"):
        raise pymysql.IntegrityError(code, "…")
    assert "of your own" in caught.value.hint


def test_a_connection_lost_earlier_is_reported_as_unreachable() -> None:
    with pytest.raises(TargetUnreachableError), translated("MySQL"):
        raise pymysql.InterfaceError(0, "")


def untrusted() -> pymysql.OperationalError:
    error = pymysql.OperationalError(2003, "Can't connect (certificate verify failed)")
    error.original_exception = ssl.SSLError("certificate verify failed")  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pymysql.OperationalError(2003, "Can't connect to MySQL server on 'db'"), TargetUnreachableError),
        (pymysql.OperationalError(1040, "Too many connections"), TargetBusyError),
        (pymysql.OperationalError(1203, "User already has more than 'max_user_connections'"), TargetBusyError),
        (pymysql.OperationalError(1045, "Access denied for user (using password: secret  word)"), TargetRejectedError),
        (pymysql.OperationalError(1049, "Unknown database"), TargetRejectedError),
        (pymysql.OperationalError(1053, "Server shutdown in progress"), TargetUnreachableError),
        (pymysql.OperationalError(OTHER_SERVER, "it sent nothing"), TargetRejectedError),
        (pymysql.OperationalError(2026, "SSL connection error"), TargetRejectedError),
        (untrusted(), TargetRejectedError),
        (RuntimeError("'cryptography' package is required"), TargetRejectedError),
        (FileNotFoundError(2, "No such file"), TargetRejectedError),
    ],
)
def test_errors_when_connecting(error: Exception, expected: type[DapError]) -> None:
    ours = unconnected(error, "mysql://db/college", "secret  word")
    assert type(ours) is expected
    assert ours.retryable is (expected is not TargetRejectedError)
    assert "secret" not in ours.message


def test_a_failed_tls_handshake_has_a_hint_about_tls() -> None:
    error = pymysql.OperationalError(2026, "SSL is required but the server doesn't support it")
    assert "`ssl=`" in unconnected(error, "mysql://db/college", "").hint
