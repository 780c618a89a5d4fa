"""The contract suite: the tests that every target has to pass.

A new target derives a test class and gives it a fixture `database`: from `TargetContract` if it is not a SQL database,
with a `TargetFixture`; from `SqlTargetContract` if it is one, with a `DatabaseFixture`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.changes import ChangesContract, SqlChangesContract
from tests.contract.comparison import ComparisonContract, SqlComparisonContract
from tests.contract.database_fixture import DatabaseFixture, TargetFixture
from tests.contract.evolution import EvolutionContract, SqlEvolutionContract
from tests.contract.malformed import MalformedFilesContract
from tests.contract.manual_changes import SqlManualChangesContract
from tests.contract.repairs import SqlRepairsContract
from tests.contract.retention import RetentionContract, SqlRetentionContract
from tests.contract.safety import SafetyContract, SqlSafetyContract
from tests.contract.snapshots import SnapshotsContract, SqlSnapshotsContract
from tests.contract.sync_state import SqlSyncStateContract, SyncStateContract
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.contract.values import ValuesContract

__all__ = ["SqlTargetContract", "TargetContract"]


class TargetContract(
    ValuesContract,
    MalformedFilesContract,
    ChangesContract,
    SnapshotsContract,
    EvolutionContract,
    RetentionContract,
    SyncStateContract,
    SafetyContract,
    ComparisonContract,
):
    """The contract of targets of any kind, tested through `TargetSession` only."""

    @pytest.fixture
    def fixture(self, database: TargetFixture, tmp_path: Path) -> Iterator[TableFixture]:
        """A session on the target, prepared."""
        folder = tmp_path / "files"
        folder.mkdir()
        fixture = TableFixture(database, folder)
        yield fixture
        fixture.session.close()


class SqlTargetContract(
    SqlChangesContract,
    SqlSnapshotsContract,
    SqlEvolutionContract,
    SqlRetentionContract,
    SqlSyncStateContract,
    SqlSafetyContract,
    SqlComparisonContract,
    SqlRepairsContract,
    SqlManualChangesContract,
    TargetContract,
):
    """The contract of SQL databases: additionally the state tables, and what users change with SQL."""

    @pytest.fixture
    def fixture(self, database: DatabaseFixture, tmp_path: Path) -> Iterator[SqlTableFixture]:
        """A session on the database, prepared."""
        folder = tmp_path / "files"
        folder.mkdir()
        fixture = SqlTableFixture(database, folder)
        yield fixture
        fixture.session.close()
