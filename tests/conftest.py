"""Hypothesis's profile, and fixtures that tests in several folders share."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.support import mariadb_server, mssql_server, mysql_server
from tests.support.mssql_server import MsSqlServer
from tests.support.mysql_server import MYSQL_SERVERS, MySqlServer
from tests.support.postgres_server import PostgresServer, empty, named_or_private_server

from dapkit.errors import DapError
from dapkit.export.run_result import RunResult
from dapkit.failures import TableFailed
from dapkit.model import Format, Query
from dapkit.results import TableResult

# No deadline and no check of speed: on a busy machine both would fail tests of code that is right.
settings.register_profile("dapkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("dapkit"), max_examples=1000)
settings.load_profile("soak" if "DAPKIT_SOAK" in os.environ else "dapkit")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; tests that use it have the marker `server`."""
    with named_or_private_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The connection string of the database that all tests share."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The connection string of a database, empty at the start of the test."""
    empty(postgres_database)
    return postgres_database


@pytest.fixture(scope="session")
def mysql_servers() -> Iterator[Callable[[str], MySqlServer]]:
    """Return a server of MySQL or MariaDB by its name in MYSQL_SERVERS; tests that use it have the marker `server`.

    The MySQL server replicates and requires primary keys, as managed services do.
    """
    started: dict[str, MySqlServer] = {}
    with ExitStack() as stack:

        def server(name: str) -> MySqlServer:
            if name not in started:
                named = mysql_server.named_server()
                if named is None:
                    private = mariadb_server.mariadb_server() if name == "mariadb" else mysql_server.mysql_server()
                    named = stack.enter_context(private)
                    if name == "mysql":
                        named.execute("SET GLOBAL sql_require_primary_key = ON")
                started[name] = named
            return started[name]

        yield server


@pytest.fixture(name="mysql_server", params=MYSQL_SERVERS)
def each_mysql_server(request: pytest.FixtureRequest, mysql_servers: Callable[[str], MySqlServer]) -> MySqlServer:
    """Each server of MySQL and MariaDB in turn."""
    return mysql_servers(request.param)


@pytest.fixture
def mysql_url(mysql_server: MySqlServer) -> Iterator[str]:
    """The connection string of an empty database."""
    with mysql_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def named_mssql_server() -> MsSqlServer:
    """The SQL Server that DAPKIT_TEST_MSSQL names; tests that use it have the marker `server`."""
    return mssql_server.named_server()


@pytest.fixture
def mssql_url(named_mssql_server: MsSqlServer) -> Iterator[str]:
    """The connection string of an empty database."""
    with named_mssql_server.database() as url:
        yield url


@pytest.fixture
def table_result() -> Callable[..., TableResult]:
    """Make a table's result; what matters to a test is passed."""

    def make(table: str = "courses", *, files: int = 2, **fields: Any) -> TableResult:
        folder = Path("out") / f"job_id-{table}"
        defaults: dict[str, Any] = {
            "job_id": f"id-{table}",
            "folder": folder,
            "files": tuple(folder / f"part-{number}.jsonl.gz" for number in range(files)),
            "bytes": 1500,
            "rows": 1234,
            "schema_version": 1,
            "watermark": "2026-09-01T00:00:00Z",
            "at": datetime(2026, 9, 1, tzinfo=UTC),
            "verified_by": "crc",
            "reused": False,
        }
        return TableResult(table=table, **{**defaults, **fields})

    return make


@pytest.fixture
def run_result() -> Callable[..., RunResult]:
    """Make a run's result from the complete tables and the errors of those that failed."""

    def make(done: Sequence[TableResult] = (), failed: dict[str, DapError] | None = None, **fields: Any) -> RunResult:
        defaults: dict[str, Any] = {
            "namespace": "canvas",
            "query": Query(format=Format.JSONL),
            "output": Path("out"),
            "fetched": 3000,
            "refetched": 0,
            "seconds": 12.34,
            "sandbox": False,
        }
        failures = tuple(TableFailed(table=table, error=error) for table, error in (failed or {}).items())
        return RunResult(done=tuple(done), failed=failures, **{**defaults, **fields})

    return make
