"""Servers that tests of several folders use; each is started when the first test asks for it."""

import itertools
import os
from collections.abc import Iterator

import pytest
from tests.support.mariadb_server import MariaDbServer, missing

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """A MariaDB server of our own."""
    if missing():
        pytest.skip(f"SERVER MISSING: {', '.join(missing())} (Debian's package mariadb-server)")
    with MariaDbServer() as server:
        yield server


@pytest.fixture
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of MariaDB, or the one that DAPKIT_TEST_MYSQL names, which is emptied."""
    named = os.environ.get("DAPKIT_TEST_MYSQL")
    if named:
        _empty(named)
        yield named
        return
    server: MariaDbServer = request.getfixturevalue("mariadb")
    database = f"dapkit_{next(_NUMBERS)}"
    server.execute(f"CREATE DATABASE {database}")
    yield server.url(database)
    server.execute(f"DROP DATABASE {database}")


def _empty(url: str) -> None:
    from dapkit.targets.mysql.target import MySqlTarget  # noqa: PLC0415, needs the driver

    session = MySqlTarget.of(url).open()
    session.query("SET SESSION foreign_key_checks = 0")
    there = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = database()"
    for name, type_ in session.query(there):
        session.query(f"DROP {'VIEW' if type_ == 'VIEW' else 'TABLE'} {session.dialect.identifier(name)}")
    session.close()
