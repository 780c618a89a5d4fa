"""MySQL and MariaDB keep the contract, on a MariaDB of our own, or on the server that DAPKIT_TEST_MYSQL names."""

import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture

ACTIONS = ["initial_load", "apply_increment", "full_refresh", "alter"]
"""What is rebuilt is altered in its rows' sight too: tests/targets/mysql has it."""


@pytest.mark.server
class TestMySql(SqlTargetContract):
    @pytest.fixture
    def database(self, mysql_url: str) -> DatabaseFixture:
        return MySqlFixture(mysql_url)

    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key refuses the same one twice
    def test_books_of_two_versions_are_refused_untouched(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        super().test_books_of_two_versions_are_refused_untouched(fixture, versions)

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_break_at_any_step_leaves_the_table_as_it_was(self, fixture: SqlTableFixture, action: str) -> None:
        super().test_a_break_at_any_step_leaves_the_table_as_it_was(fixture, action)
