"""The contract on SQLite."""

from pathlib import Path

import pytest
from tests.contract.database_fixture import DatabaseFixture, Outcome, ValueSupport
from tests.contract.suite import SqlTargetContract

from dapkit.model import Table
from dapkit.targets.sqlite.target import sqlite_file

KEPT = Outcome.KEPT
SUPPORT = ValueSupport(nul=KEPT, json_nul=KEPT, infinity=KEPT, nan=Outcome.REPAIRED, unknown_enum=KEPT)


class SqliteFixture(DatabaseFixture):
    def index(self, name: str, table: Table) -> str:
        return name

    def existing_objects(self) -> list[tuple[object, ...]]:
        return sorted(self.query("SELECT type, name FROM sqlite_master"))


class TestSqlite(SqlTargetContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> DatabaseFixture:
        return SqliteFixture(sqlite_file(tmp_path / "test.sqlite"), SUPPORT)
