"""What the server says, as an error that tells whether trying again makes sense, and what to do."""

import psycopg
import pytest

from dapkit.errors import (
    BadValueError,
    BusyTargetError,
    DapError,
    ForbiddenTargetError,
    FullTargetError,
    IntegrityError,
    MovedOnError,
    RefusedTargetError,
    TargetError,
    UnreachableTargetError,
)
from dapkit.targets.postgres.failures import translated, unconnected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", UnreachableTargetError),
        ("57P01", UnreachableTargetError),
        ("57P05", UnreachableTargetError),
        ("25P03", UnreachableTargetError),
        ("28P01", RefusedTargetError),
        ("40001", BusyTargetError),
        ("40P01", BusyTargetError),
        ("53300", BusyTargetError),
        ("55P03", BusyTargetError),
        ("53100", FullTargetError),
        ("42501", ForbiddenTargetError),
        ("42P07", MovedOnError),
        ("42710", MovedOnError),
        ("22003", BadValueError),
        ("22P04", IntegrityError),
        ("57014", TargetError),
        ("42601", TargetError),
    ],
)
def test_what_the_server_says(state: str, expected: type[DapError]) -> None:
    error = translated(psycopg.errors.lookup(state)("some words"), "users")
    assert type(error) is expected
    assert "some words" in error.message
    assert error.table == "users"


def test_a_connection_that_is_lost_has_no_state() -> None:
    error = translated(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert type(error) is UnreachableTargetError


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("permission denied for database college", "CREATE on the database"),
        ("permission denied for schema canvas", "USAGE and CREATE on the schema"),
        ("permission denied for table users", "SELECT, INSERT, UPDATE and DELETE"),
        ("must be owner of table users", "its owner"),
        ('permission denied to create temporary tables in database "college"', "TEMPORARY"),
        ("keine Berechtigung für Tabelle users", "the page of the database lists what is needed"),
    ],
)
def test_the_right_that_is_missing_is_named(words: str, right: str) -> None:
    assert right in translated(psycopg.errors.InsufficientPrivilege(words)).hint


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            'connection to server at "db", port 5 failed: Connection refused\n\tIs it up?',
            UnreachableTargetError,
        ),
        ("connection timeout expired", UnreachableTargetError),
        ('could not translate host name "password.invalid" to address', UnreachableTargetError),
        ('connection failed: invalid sslmode value: "x"', RefusedTargetError),
        ('could not translate host name "db" to address: Name or service not known', UnreachableTargetError),
        ("connection failed: FATAL:  the database system is starting up", UnreachableTargetError),
        ("connection failed: FATAL:  sorry, too many clients already", BusyTargetError),
        ("connection failed: FATAL:  remaining connection slots are reserved for superusers", BusyTargetError),
        ('connection failed: FATAL:  password authentication failed for user "me"', RefusedTargetError),
        ('connection failed: FATAL:  database "x" does not exist', RefusedTargetError),
        ("connection failed: FATAL:  die Datenbank gibt es nicht", RefusedTargetError),
        ("connection failed: server does not support SSL, but SSL was required", RefusedTargetError),
        ("connection failed: SSL error: certificate verify failed", RefusedTargetError),
        ("connection failed: SSL SYSCALL error: EOF detected", UnreachableTargetError),
        ("connection failed: fe_sendauth: no password supplied", RefusedTargetError),
    ],
)
def test_why_no_connection_came_about(words: str, expected: type[DapError]) -> None:
    error = unconnected(psycopg.OperationalError(words), "postgresql://db/college")
    assert type(error) is expected
    assert error.retryable is (expected is not RefusedTargetError)
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("server does not support SSL, but SSL was required", "`ssl=`"),
        ("SSL error: certificate verify failed", "`ssl=`"),
        ('could not translate host name "db" to address', "that the server runs"),
    ],
)
def test_a_connection_that_fails_for_its_tls_says_so(words: str, advice: str) -> None:
    assert advice in unconnected(psycopg.OperationalError(words), "postgresql://db/college").hint


@pytest.mark.parametrize(
    ("state", "words", "advice"),
    [
        ("0A000", "cannot alter type of a column used by a generated column", "Nothing was changed"),
        ("42P10", "there is no unique or exclusion constraint", "dropdb"),
        ("42P07", 'relation "things__open" already exists', "rename or drop"),
        ("P0001", "no way", "trigger"),
    ],
)
def test_what_people_made_that_is_in_the_way_is_named(state: str, words: str, advice: str) -> None:
    assert advice in translated(psycopg.errors.lookup(state)(words)).hint
