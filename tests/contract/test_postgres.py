"""The contract on PostgreSQL, directly and behind a pooler that shares connections between transactions."""

from collections.abc import Iterator

import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.postgres_fixture import PostgresFixture
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture
from tests.support.pgbouncer import pgbouncer


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


@pytest.mark.slow
class TestPostgresBehindPgBouncer(TestPostgres):
    @pytest.fixture
    def database(self, postgres_url: str) -> Iterator[DatabaseFixture]:
        with pgbouncer(postgres_url) as url:
            yield PostgresFixture(url)

    def test_the_pooler_is_noticed_and_shares_connections(self, fixture: SqlTableFixture) -> None:
        with fixture.driver.transaction():
            ((within,),) = fixture.driver.query("SHOW lock_timeout")
        ((outside,),) = fixture.driver.query("SHOW lock_timeout")
        assert (within, outside) == ("10min", "0")
