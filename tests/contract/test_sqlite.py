"""SQLite keeps the contract."""

from pathlib import Path

import pytest
from tests.contract.database_fixture import Capabilities, Fate, Place
from tests.contract.suite import TargetContract

from dapkit.model import Table
from dapkit.targets.sqlite.target import SqliteTarget

KEPT = Fate.KEPT
CAPABILITIES = Capabilities(nul=KEPT, json_nul=KEPT, infinity=KEPT, nan=Fate.REPAIRED, unknown_enum=KEPT)


class SqlitePlace(Place):
    def index(self, name: str, table: Table) -> str:
        return name

    def made(self) -> list[tuple[object, ...]]:
        return sorted(self.ask("SELECT type, name FROM sqlite_master"))


class TestSqlite(TargetContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return SqlitePlace(SqliteTarget(tmp_path / "test.sqlite"), CAPABILITIES)
