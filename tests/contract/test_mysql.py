"""The contract on a private MariaDB server, or on the MySQL or MariaDB server that DAPKIT_TEST_MYSQL names."""

import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture

ACTIONS = ["initial_load", "apply_increment", "full_refresh", "alter"]
"""A rebuild commits in between, so tests/targets/mysql tests its interruption."""


@pytest.mark.server
class TestMySql(SqlTargetContract):
    @pytest.fixture
    def database(self, mysql_url: str) -> DatabaseFixture:
        return MySqlFixture(mysql_url)

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
