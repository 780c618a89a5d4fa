"""Connection strings are read as the official client writes them, and passed on as the driver reads them."""

import pytest
from mssql_python.connection_string_parser import _ConnectionStringParser

from dapkit.errors import UsageError
from dapkit.targets.mssql.url import MsSqlAddress, address_of
from dapkit.targets.sql.connection_string import Ssl


def read_by_the_driver(address: MsSqlAddress) -> dict[str, str]:
    parsed = _ConnectionStringParser(validate_keywords=True)._parse(address.connection_string)
    return dict(parsed)


def test_every_part_of_a_connection_string() -> None:
    address = address_of(
        "mssql://me%40x:a%40b%7D%3B%7B%3A%2F%23%25@db.example:1434/my%20college"
        "?ssl=verify-full&ApplicationIntent=ReadWrite&hostnameincertificate=db"
    )
    assert read_by_the_driver(address) == {
        "server": "db.example,1434",
        "database": "my college",
        "uid": "me@x",
        "pwd": "a@b};{:/#%",
        "encrypt": "yes",
        "trustservercertificate": "no",
        "applicationintent": "ReadWrite",
        "hostnameincertificate": "db",
    }
    assert address.name == "mssql://db.example:1434/my college"
    assert "a@b" not in repr(address)


@pytest.mark.parametrize("password", ["}", "{", "};PWD=x", "a;b=c", " ", "ü}}{", "'\"", "yes}"])
def test_no_password_leaves_its_braces(password: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in password.encode())
    address = address_of(f"mssql://me:{quoted}@db/college")
    assert read_by_the_driver(address)["pwd"] == password
    assert address.password == password


@pytest.mark.parametrize(
    ("url", "server", "name"),
    [
        ("mssql://me:pw@db/c", "db,1433", "mssql://db:1433/c"),
        ("mssql://me:pw@[::1]:1434/c", "::1,1434", "mssql://[::1]:1434/c"),
        ("mssql://me:pw@db%5Csales/c", "db\\sales", "mssql://db\\sales/c"),
    ],
)
def test_hosts_and_ports(url: str, server: str, name: str) -> None:
    address = address_of(url)
    assert address.keywords["Server"] == server
    assert address.name == name


@pytest.mark.parametrize(
    ("mode", "protected", "trusting"),
    [
        (None, "yes", "yes"),
        (Ssl.DISABLE, "no", "yes"),
        (Ssl.ALLOW, "no", "yes"),
        (Ssl.PREFER, "yes", "yes"),
        (Ssl.REQUIRE, "yes", "yes"),
        (Ssl.VERIFY_CA, "yes", "no"),
        (Ssl.VERIFY_FULL, "yes", "no"),
    ],
)
def test_the_official_values_of_ssl(mode: Ssl | None, protected: str, trusting: str) -> None:
    keywords = address_of("mssql://me:pw@db/c" + (f"?ssl={mode}" if mode else "")).keywords
    assert (keywords["Encrypt"], keywords["TrustServerCertificate"]) == (protected, trusting)


def test_encrypt_verifies_certificates_unless_told_otherwise() -> None:
    keywords = address_of("mssql://me:pw@db/c?Encrypt=strict").keywords
    assert (keywords["Encrypt"], keywords["TrustServerCertificate"]) == ("strict", "no")
    keywords = address_of("mssql://me:pw@db/c?encrypt=yes&TrustServerCertificate=yes").keywords
    assert keywords["TrustServerCertificate"] == "yes"


def test_without_a_user_the_account_of_the_process_is_used() -> None:
    assert address_of("mssql://db/c").keywords["Trusted_Connection"] == "yes"
    entra = address_of("mssql://db/c?Authentication=ActiveDirectoryMSI").keywords
    assert "Trusted_Connection" not in entra
    assert entra["Authentication"] == "ActiveDirectoryMSI"


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p#ss", "p:ss", "12#34", "p?ss", "p@s:s/w#d", "p@ss@"])
def test_a_password_that_is_not_escaped_gets_a_hint_and_is_not_repeated(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(f"mssql://me:{password}@db:1433/college")
    assert "%40" in caught.value.hint
    assert password not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "mssql://db", "mssql://db/", "mssql://db/a/b", "mssql://me@db:x/c", "mssql://db/c?ssl=x", "mssql:///c",
        "mssql://db/c?ssl=require&Encrypt=no", "mssql://me:p%00w@db/c", "mssql://db/c?Encrypt=",
    ],
)  # fmt: skip
def test_invalid_connection_strings(url: str) -> None:
    with pytest.raises(UsageError):
        address_of(url)


@pytest.mark.parametrize("option", ["charset=utf8", "PWD=secret", "Server=elsewhere", "Driver=x", "UID=x", "APP=x"])
def test_unsupported_options(option: str) -> None:
    with pytest.raises(UsageError, match=option.partition("=")[0]) as caught:
        address_of(f"mssql://me:pw@db/c?{option}")
    assert "secret" not in caught.value.message + caught.value.hint
