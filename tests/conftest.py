"""Fixtures that tests of several folders stand on."""

from collections.abc import Iterator

import pytest
from tests.support import mariadb_server, mssql_server
from tests.support.mariadb_server import MySqlServer
from tests.support.mssql_server import MsSqlServer
from tests.support.postgres_server import PostgresServer, empty, named_or_private_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; tests that use it bear the marker `server`."""
    with named_or_private_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The connection string of the database that all tests share."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The connection string of a database, empty at the beginning of the test."""
    empty(postgres_database)
    return postgres_database


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySqlServer]:
    """A server of MySQL or MariaDB; tests that use it bear the marker `server`."""
    with mariadb_server.named_or_private_server() as server:
        yield server


@pytest.fixture
def mysql_url(mysql_server: MySqlServer) -> Iterator[str]:
    """The connection string of an empty database."""
    with mysql_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def named_mssql_server() -> MsSqlServer:
    """The SQL Server that is named; tests that use it bear the marker `server`."""
    return mssql_server.named_server()


@pytest.fixture
def mssql_url(named_mssql_server: MsSqlServer) -> Iterator[str]:
    """The connection string of an empty database."""
    with named_mssql_server.database() as url:
        yield url
