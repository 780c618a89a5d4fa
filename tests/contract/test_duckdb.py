"""DuckDB keeps the contract."""

from pathlib import Path

import pytest
from tests.contract.database_fixture import Capabilities, Fate, Place
from tests.contract.suite import TargetContract

from dapkit.targets.duckdb.target import DuckDbTarget

KEPT = Fate.KEPT
CAPABILITIES = Capabilities(nul=KEPT, json_nul=KEPT, infinity=KEPT, nan=KEPT, unknown_enum=KEPT, keyed=False)


class TestDuckDb(TargetContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(DuckDbTarget(tmp_path / "test.duckdb"), CAPABILITIES)
