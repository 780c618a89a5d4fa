"""PostgreSQL keeps the contract."""

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

    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key refuses the same one twice
    def test_books_of_two_versions_are_refused_untouched(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        super().test_books_of_two_versions_are_refused_untouched(fixture, versions)
