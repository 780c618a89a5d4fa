"""The contract that every target keeps: derive from `TargetContract` and give a fixture `place`, an empty database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.changes import ChangesContract
from tests.contract.comparison import ComparingContract
from tests.contract.database_fixture import Place
from tests.contract.evolution import EvolutionContract
from tests.contract.manual_changes import HandsContract
from tests.contract.repairs import RepairsContract
from tests.contract.retention import ExpiryContract
from tests.contract.safety import SafetyContract
from tests.contract.snapshots import SnapshotsContract
from tests.contract.sync_state import BooksContract
from tests.contract.table_fixture import Scene
from tests.contract.values import ValuesContract

__all__ = ["TargetContract"]


class TargetContract(
    ValuesContract,
    ChangesContract,
    SnapshotsContract,
    EvolutionContract,
    ExpiryContract,
    BooksContract,
    RepairsContract,
    HandsContract,
    SafetyContract,
    ComparingContract,
):
    """All of it."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """An empty database; every implementer has its own."""
        raise NotImplementedError

    @pytest.fixture
    def scene(self, place: Place, tmp_path: Path) -> Iterator[Scene]:
        """A session on the place, prepared."""
        folder = tmp_path / "files"
        folder.mkdir()
        scene = Scene(place, folder)
        yield scene
        scene.session.close()
