"""The contract that every target keeps: derive from `TargetContract` and give a fixture `place`, an empty database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.changes import ChangesContract
from tests.contract.comparison import ComparisonContract
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.evolution import EvolutionContract
from tests.contract.manual_changes import ManualChangesContract
from tests.contract.repairs import RepairsContract
from tests.contract.retention import RetentionContract
from tests.contract.safety import SafetyContract
from tests.contract.snapshots import SnapshotsContract
from tests.contract.sync_state import SyncStateContract
from tests.contract.table_fixture import TableFixture
from tests.contract.values import ValuesContract

__all__ = ["TargetContract"]


class TargetContract(
    ValuesContract,
    ChangesContract,
    SnapshotsContract,
    EvolutionContract,
    RetentionContract,
    SyncStateContract,
    RepairsContract,
    ManualChangesContract,
    SafetyContract,
    ComparisonContract,
):
    """All of it."""

    @pytest.fixture
    def fixture(self, database: DatabaseFixture, tmp_path: Path) -> Iterator[TableFixture]:
        """A session on the database, prepared."""
        folder = tmp_path / "files"
        folder.mkdir()
        fixture = TableFixture(database, folder)
        yield fixture
        fixture.session.close()
