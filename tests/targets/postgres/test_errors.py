"""Errors of the server become errors that show whether a retry can help, with hints."""

import psycopg
import pytest

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    DapError,
    MalformedFileError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
)
from dapkit.targets.postgres.errors import translated, unconnected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", TargetUnreachableError),
        ("57P01", TargetUnreachableError),
        ("57P05", TargetUnreachableError),
        ("25P03", TargetUnreachableError),
        ("25006", TargetUnreachableError),
        ("28P01", TargetRejectedError),
        ("40001", TargetBusyError),
        ("40P01", TargetBusyError),
        ("53300", TargetBusyError),
        ("55P03", TargetBusyError),
        ("53100", TargetDiskFullError),
        ("42501", TargetPermissionError),
        ("42P07", ConcurrentUpdateError),
        ("42710", ConcurrentUpdateError),
        ("22003", BadValueError),
        ("22P04", MalformedFileError),
        ("57014", TargetError),
        ("42601", TargetError),
    ],
)
def test_errors_of_the_server(state: str, expected: type[DapError]) -> None:
    error = translated(psycopg.errors.lookup(state)("some words"), "users")
    assert type(error) is expected
    assert "some words" in error.message
    assert error.table == "users"


def test_a_connection_that_is_lost_has_no_state() -> None:
    error = translated(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert type(error) is TargetUnreachableError


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("permission denied for database college", "CREATE on the database"),
        ("permission denied for schema canvas", "USAGE and CREATE on the schema"),
        ("permission denied for table users", "SELECT, INSERT, UPDATE and DELETE"),
        ("must be owner of table users", "the owner"),
        ('permission denied to create temporary tables in database "college"', "TEMPORARY"),
        ("keine Berechtigung für Tabelle users", "the documentation of the database lists what is needed"),
    ],
)
def test_missing_privileges_have_hints(words: str, right: str) -> None:
    assert right in translated(psycopg.errors.InsufficientPrivilege(words)).hint


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            'connection to server at "db", port 5 failed: Connection refused\n\tIs it up?',
            TargetUnreachableError,
        ),
        ("connection timeout expired", TargetUnreachableError),
        ('could not translate host name "password.invalid" to address', TargetUnreachableError),
        ('connection failed: invalid sslmode value: "x"', TargetRejectedError),
        ('could not translate host name "db" to address: Name or service not known', TargetUnreachableError),
        ("connection failed: FATAL:  the database system is starting up", TargetUnreachableError),
        ("connection failed: FATAL:  sorry, too many clients already", TargetBusyError),
        ("connection failed: FATAL:  remaining connection slots are reserved for superusers", TargetBusyError),
        ('connection failed: FATAL:  password authentication failed for user "me"', TargetRejectedError),
        ('connection failed: FATAL:  database "x" does not exist', TargetRejectedError),
        ("connection failed: FATAL:  die Datenbank gibt es nicht", TargetRejectedError),
        ("connection failed: server does not support SSL, but SSL was required", TargetRejectedError),
        ("connection failed: SSL error: certificate verify failed", TargetRejectedError),
        ("connection failed: SSL SYSCALL error: EOF detected", TargetUnreachableError),
        ("connection failed: fe_sendauth: no password supplied", TargetRejectedError),
    ],
)
def test_errors_when_connecting(words: str, expected: type[DapError]) -> None:
    error = unconnected(psycopg.OperationalError(words), "postgresql://db/college")
    assert type(error) is expected
    assert error.retryable is (expected is not TargetRejectedError)
    assert ("rejected the connection" in error.message) is (expected is TargetRejectedError and "FATAL" in words)
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("server does not support SSL, but SSL was required", "`ssl=`"),
        ("SSL error: certificate verify failed", "`ssl=`"),
        ('could not translate host name "db" to address', "that the server is running"),
    ],
)
def test_a_failed_tls_handshake_has_a_hint_about_tls(words: str, advice: str) -> None:
    assert advice in unconnected(psycopg.OperationalError(words), "postgresql://db/college").hint


@pytest.mark.parametrize(
    ("state", "words", "advice"),
    [
        ("0A000", "cannot alter type of a column used by a generated column", "Nothing was changed"),
        ("42P07", 'relation "things__open" already exists', "rename the object"),
        ("P0001", "no way", "trigger"),
    ],
)
def test_user_created_objects_that_block_a_change_are_named(state: str, words: str, advice: str) -> None:
    assert advice in translated(psycopg.errors.lookup(state)(words)).hint
