"""DuckDB keeps the contract."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.contract.database_fixture import DatabaseFixture, Outcome, ValueSupport
from tests.contract.suite import SqlTargetContract

from dapkit.targets.duckdb.target import duckdb_file

KEPT = Outcome.KEPT
SUPPORT = ValueSupport(nul=KEPT, json_nul=KEPT, infinity=KEPT, nan=KEPT, unknown_enum=KEPT)


class DuckDbFixture(DatabaseFixture):
    def flush(self) -> None:
        with self.connected() as driver:
            driver.execute("CHECKPOINT")


class TestDuckDb(SqlTargetContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[DatabaseFixture]:
        database = DuckDbFixture(duckdb_file(tmp_path / "test.duckdb"), SUPPORT)
        with closing(database.open()):  # to open the file again is cheap as long as it is open
            yield database
