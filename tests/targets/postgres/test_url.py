"""Connection strings as the official client and libpq write them; no error repeats a password."""

import pytest

from dapkit.errors import UsageError
from dapkit.targets.postgres.url import address_of


@pytest.mark.parametrize(
    ("url", "name", "parameters"),
    [
        (
            "postgresql://me:secret@db.example.org:5433/college",
            "postgresql://db.example.org:5433/college",
            {"host": "db.example.org", "port": "5433", "user": "me", "password": "secret", "dbname": "college"},
        ),
        (
            "postgresql://me:a%40b%3A%2F%23%25@db/college",
            "postgresql://db/college",
            {"host": "db", "user": "me", "password": "a@b:/#%", "dbname": "college"},
        ),
        ("postgresql://db", "postgresql://db/", {"host": "db"}),
        (
            "postgresql://me@[::1]:5432/college?connect_timeout=5",
            "postgresql://[::1]:5432/college?connect_timeout=5",
            {"host": "::1", "port": "5432", "user": "me", "dbname": "college", "connect_timeout": "5"},
        ),
        (
            "postgresql:///college?host=/run/postgresql&user=me&password=secret",
            "postgresql:///run/postgresql/college",
            {"dbname": "college", "host": "/run/postgresql", "user": "me", "password": "secret"},
        ),
        (
            "postgresql://db/college?oauth_client_secret=secret&scram_client_key=secret&scram_server_key=secret",
            "postgresql://db/college",
            {
                "host": "db",
                "dbname": "college",
                "oauth_client_secret": "secret",
                "scram_client_key": "secret",
                "scram_server_key": "secret",
            },
        ),
        (
            "postgresql://%2Frun%2FPG/college",
            "postgresql:///run/PG/college",
            {"host": "/run/PG", "dbname": "college"},
        ),
    ],
)
def test_addresses(url: str, name: str, parameters: dict[str, str]) -> None:
    address = address_of(url)
    assert address.name == name
    assert address.parameters == parameters
    assert "secret" not in repr(address)


@pytest.mark.parametrize("mode", ["disable", "prefer", "allow", "require", "verify-ca", "verify-full"])
def test_the_official_ssl_parameter_is_libpqs_sslmode(mode: str) -> None:
    address = address_of(f"postgresql://db/college?ssl={mode}&sslrootcert=/ca.pem")
    assert address.parameters["sslmode"] == mode
    assert address.parameters["sslrootcert"] == "/ca.pem"


def test_certificates_are_verified_against_the_system_unless_an_authority_is_given() -> None:
    assert address_of("postgresql://db/c?ssl=verify-full").parameters["sslrootcert"] == "system"
    assert "sslrootcert" not in address_of("postgresql://db/c?sslmode=verify-full").parameters
    assert "sslrootcert" not in address_of("postgresql://db/c?ssl=verify-ca").parameters


def test_sslmode_takes_precedence() -> None:
    assert address_of("postgresql://db/c?ssl=prefer&sslmode=require").parameters["sslmode"] == "require"


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p#ss", "p:ss", "12#34", "p?ss", "p@s:s/w#d", "p@ss@"])
def test_a_password_that_is_not_escaped_gets_a_hint_and_is_not_repeated(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(f"postgresql://me:{password}@db:5432/college")
    assert "%40 %3A %2F %23" in caught.value.hint
    assert password not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "url", ["postgresql://", "postgresql:", "postgresql://db/a/b", "postgresql://db:port/a", "postgresql://db/a?ssl=on"]
)
def test_invalid_addresses(url: str) -> None:
    with pytest.raises(UsageError):
        address_of(url)
