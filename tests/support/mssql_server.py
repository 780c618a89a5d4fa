"""The SQL Server that DAPKIT_TEST_MSSQL names, by a connection string without a database.

Its user has to be allowed to create databases. Tests cannot start such a server themselves, so without one they are
skipped, even with DAPKIT_SERVERS=required.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from dapkit.targets.mssql.driver import connect
from dapkit.targets.mssql.url import address_of

__all__ = ["MsSqlServer", "named_server"]

_NUMBERS = count(1)
_NONE = (
    "SQL Server is experimental: the contract has never been run against a real server, and none can be started here."
    " Name one in DAPKIT_TEST_MSSQL, like mssql://sa:password@host:1433, to run it."
)


def named_server() -> "MsSqlServer":
    """Return the server; skip the test when none is named."""
    named = os.environ.get("DAPKIT_TEST_MSSQL")
    if not named:
        pytest.skip(_NONE)
    return MsSqlServer(named)


class MsSqlServer:
    """A running server, by a connection string without a database; options may follow a question mark."""

    def __init__(self, url: str) -> None:
        self._place, mark, options = url.partition("?")
        self._options = mark + options

    def url(self, database: str) -> str:
        """Return the connection string of a database."""
        return f"{self._place.rstrip('/')}/{database}{self._options}"

    @contextmanager
    def database(self, collation: str = "Latin1_General_100_CI_AS_SC_UTF8") -> Iterator[str]:
        """Yield the connection string of a new, empty database, which is dropped afterwards."""
        name = f"dapkit_{os.getpid()}_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} COLLATE {collation}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE", f"DROP DATABASE {name}")

    def execute(self, *statements: str) -> None:
        """Execute statements as the server's administrator."""
        driver = connect(address_of(self.url("master")))
        try:
            for statement in statements:
                driver.execute(statement)
        finally:
            driver.close()
