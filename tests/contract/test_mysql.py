"""The contract on MariaDB and MySQL servers of our own, or on the server that DAPKIT_TEST_MYSQL names.

A MySQL server is run as managed services run it: with a binary log and GTIDs, a primary key required of every table,
and LOAD DATA LOCAL forbidden. The tests that load rows are repeated with LOAD DATA LOCAL. The soak runs all tests with
each combination of these settings.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product

import pytest
from tests.contract.changes import SqlChangesContract
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.malformed import MalformedFilesContract
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.repairs import SqlRepairsContract
from tests.contract.snapshots import SqlSnapshotsContract
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture
from tests.contract.values import ValuesContract
from tests.support.mysql_server import MYSQL_SERVERS, MySqlServer, mysql_server

SOAK = "DAPKIT_SOAK" in os.environ
ACTIONS = ["initial_load", "apply_increment", "full_refresh", "alter"]
"""A rebuild commits in between, so tests/targets/mysql tests its interruption."""


class MySqlContract(SqlTargetContract):
    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key rejects the same version twice
    def test_sync_state_with_two_versions_is_rejected_unchanged(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        super().test_sync_state_with_two_versions_is_rejected_unchanged(fixture, versions)

    @pytest.mark.parametrize("action", ACTIONS)
    def test_an_interruption_at_any_step_leaves_the_table_unchanged(
        self, fixture: SqlTableFixture, action: str
    ) -> None:
        super().test_an_interruption_at_any_step_leaves_the_table_unchanged(fixture, action)


@pytest.mark.server
class TestMariaDb(MySqlContract):
    @pytest.fixture
    def database(self, mysql_servers: Callable[[str], MySqlServer]) -> Iterator[DatabaseFixture]:
        with mysql_servers(MYSQL_SERVERS[0]).database() as url:
            yield MySqlFixture(url)


@pytest.mark.server
@pytest.mark.skipif("mysql" not in MYSQL_SERVERS, reason="DAPKIT_TEST_MYSQL names the only server")
class TestMySql(MySqlContract):
    @pytest.fixture
    def database(self, mysql_servers: Callable[[str], MySqlServer]) -> Iterator[DatabaseFixture]:
        server = mysql_servers("mysql")
        with server.with_variable("local_infile", "OFF"), server.database() as url:
            yield MySqlFixture(url)


@pytest.mark.server
@pytest.mark.skipif("mysql" not in MYSQL_SERVERS, reason="DAPKIT_TEST_MYSQL names the only server")
class TestLoadingIntoMySql(
    ValuesContract, MalformedFilesContract, SqlChangesContract, SqlSnapshotsContract, SqlRepairsContract
):
    """LOAD DATA LOCAL instead of INSERT."""

    fixture = SqlTargetContract.fixture

    @pytest.fixture
    def database(self, mysql_servers: Callable[[str], MySqlServer]) -> Iterator[DatabaseFixture]:
        with mysql_servers("mysql").database() as url:
            yield MySqlFixture(url)


@pytest.fixture(scope="session")
def mysql_with() -> Iterator[Callable[[bool, bool], MySqlServer]]:
    """A MySQL server with or without a binary log and GTIDs."""
    started: dict[tuple[bool, bool], MySqlServer] = {}
    with ExitStack() as stack:

        def server(log_bin: bool, gtid: bool) -> MySqlServer:
            if (log_bin, gtid) not in started:
                started[log_bin, gtid] = stack.enter_context(mysql_server(log_bin=log_bin, gtid=gtid))
            return started[log_bin, gtid]

        yield server


@pytest.mark.server
@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="a part of the soak")
class TestMySqlSettings(MySqlContract):
    @pytest.fixture(params=product((True, False), repeat=4), ids=str)
    def database(
        self, request: pytest.FixtureRequest, mysql_with: Callable[[bool, bool], MySqlServer]
    ) -> Iterator[DatabaseFixture]:
        log_bin, gtid, primary_key, local_infile = request.param
        server = mysql_with(log_bin, gtid)
        with (
            server.with_variable("sql_require_primary_key", "ON" if primary_key else "OFF"),
            server.with_variable("local_infile", "ON" if local_infile else "OFF"),
            server.database() as url,
        ):
            yield MySqlFixture(url)
