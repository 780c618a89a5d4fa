"""The contract on PostgreSQL."""

import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.postgres_fixture import PostgresFixture
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture


@pytest.mark.server
class TestPostgres(SqlTargetContract):
    @pytest.fixture
    def database(self, postgres_url: str) -> DatabaseFixture:
        return PostgresFixture(postgres_url)

    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key rejects the same version twice
    def test_sync_state_with_two_versions_is_rejected_unchanged(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        super().test_sync_state_with_two_versions_is_rejected_unchanged(fixture, versions)
