"""Connection strings as the official client writes them; no error repeats a password."""

import pytest

from dapkit.errors import UsageError
from dapkit.targets.mysql.url import address_of
from dapkit.targets.sql.connection_string import Ssl


def test_every_part_of_an_address() -> None:
    address = address_of("MariaDB://me%40x:a%40b%3A%2F%23%25@[::1]:3307/my%20college?ssl=verify-full&ssl_ca=/ca.pem")
    assert (address.user, address.password, address.host, address.port) == ("me@x", "a@b:/#%", "::1", 3307)
    assert (address.database, address.ssl, dict(address.files)) == (
        "my college",
        Ssl.VERIFY_FULL,
        {"ssl_ca": "/ca.pem"},
    )
    assert address.name == "mariadb://[::1]:3307/my college"
    assert "a@b" not in repr(address)


def test_defaults_of_an_address() -> None:
    address = address_of("mysql:///college?unix_socket=/run/mysqld/mysqld.sock")
    assert (address.user, address.password, address.host, address.port) == (None, "", "localhost", 3306)
    assert address.ssl is Ssl.PREFER
    assert address.name == "mysql:///run/mysqld/mysqld.sock/college"


@pytest.mark.parametrize("mode", list(Ssl))
def test_the_official_values_of_ssl(mode: Ssl) -> None:
    assert address_of(f"mysql://db/c?ssl={mode}").ssl is mode


def test_a_certificate_authority_implies_verification() -> None:
    assert address_of("mysql://db/c?ssl_ca=/ca.pem").ssl is Ssl.VERIFY_CA
    assert address_of("mysql://db/c?ssl_ca=/ca.pem&ssl=require").ssl is Ssl.REQUIRE


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p#ss", "p:ss", "12#34", "p?ss", "p@s:s/w#d", "p@ss@"])
def test_a_password_that_is_not_escaped_gets_a_hint_and_is_not_repeated(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(f"mysql://me:{password}@db:3306/college")
    assert "%40" in caught.value.hint
    assert password not in caught.value.message


@pytest.mark.parametrize(
    "url", ["mysql://db", "mysql://db/", "mysql://db/a/b", "mysql://me@db:x/c", "mysql://db/c?ssl=x"]
)
def test_addresses_without_a_database(url: str) -> None:
    with pytest.raises(UsageError):
        address_of(url)


def test_an_unknown_option() -> None:
    with pytest.raises(UsageError, match="charset"):
        address_of("mysql://db/c?charset=utf8")
