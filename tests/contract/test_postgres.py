"""PostgreSQL keeps the contract."""

import pytest
from tests.contract.database_fixture import Place
from tests.contract.postgres_fixture import PostgresPlace
from tests.contract.suite import TargetContract
from tests.contract.table_fixture import Scene


@pytest.mark.server
class TestPostgres(TargetContract):
    @pytest.fixture
    def place(self, postgres_url: str) -> Place:
        return PostgresPlace(postgres_url)

    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key refuses the same one twice
    def test_books_of_two_versions_are_refused_untouched(self, scene: Scene, versions: tuple[int, ...]) -> None:
        super().test_books_of_two_versions_are_refused_untouched(scene, versions)
