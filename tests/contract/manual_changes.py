"""Part of the contract: what people did to tables by hand. It is noticed, said or mended, and never made worse."""

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.sync_state import ENUM, ENUMS, ROW
from tests.contract.table_fixture import Scene
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import IncompatibleLayoutError, SchemaChangeNotSupportedError, TargetError
from dapkit.replication.managed_tables import drop_tables
from dapkit.targets.base import LoadOptions, TableStatus

ENUMS_TOO = table_of({"state": ENUM, "open": {"oneOf": [ENUM, TEXT]}}, name="others")
OTHER = {"id": 1, "state": "a", "open": "else"}
NARROWER = table_of({"name": TEXT}, version=2)


class HandsContract:
    def test_a_table_that_somebody_dropped_is_lost_and_loaded_anew(self, scene: Scene) -> None:
        scene.initialise(ENUMS, [ROW])
        scene.place.execute(f"DROP TABLE {scene.session.dialect.of(ENUMS)}")
        scene.reopen()
        assert scene.session.status("canvas", "things") is TableStatus.DROPPED
        scene.initialise(ENUMS, [ROW | {"id": 2}])
        scene.reopen()
        scene.holds(ENUMS, [ROW | {"id": 2}])
        assert scene.place.ask(f"SELECT count(*) FROM {scene.session.dialect.state_table('table_sync')}") == [(1,)]

    def test_a_lost_table_hides_no_other_from_the_list(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.initialise(ENUMS_TOO, [OTHER])
        scene.place.execute(f"DROP TABLE {scene.session.dialect.of(TABLE)}")
        scene.reopen()
        listed = {each.state.table: each for each in scene.session.listing("canvas", count=True)}
        assert (listed["things"].lost, listed["things"].rows) == (True, None)
        assert (listed["others"].lost, listed["others"].rows) == (False, 1)

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_a_column_that_somebody_dropped_is_not_emptied_without_a_word(self, scene: Scene, action: str) -> None:
        scene.initialise(TABLE, [A, B])
        scene.place.execute(f"ALTER TABLE {scene.session.dialect.of(TABLE)} DROP COLUMN name")
        scene.reopen()
        bring = scene.change if action == "change" else scene.replace
        with pytest.raises(SchemaChangeNotSupportedError, match="name"):
            bring(TABLE, [A, B, C], LoadOptions(keep_missing=True))
        scene.reopen()
        scene.replace(TABLE, [A, B, C])
        scene.holds(TABLE, [A, B, C])

    def test_a_column_that_somebody_dropped_and_the_schema_too(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.place.execute(f"ALTER TABLE {scene.session.dialect.of(TABLE)} DROP COLUMN size")
        scene.reopen()
        scene.change(NARROWER, [{"id": 2, "name": "b"}])
        scene.holds(NARROWER, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

    @pytest.mark.parametrize("booked", [True, False])
    def test_a_view_in_the_place_of_a_table_is_neither_dropped_nor_loaded_into(
        self, scene: Scene, booked: bool
    ) -> None:
        dialect = scene.session.dialect
        scene.initialise(ENUMS_TOO, [OTHER])
        if booked:
            scene.initialise(TABLE, [A])
            scene.place.execute(f"DROP TABLE {dialect.of(TABLE)}")
        scene.place.execute(f"CREATE VIEW {dialect.of(TABLE)} AS SELECT * FROM {dialect.of(ENUMS_TOO)}")
        scene.reopen()
        assert scene.session.status("canvas", "things") is TableStatus.NOT_A_TABLE
        with pytest.raises(IncompatibleLayoutError) as caught:
            drop_tables(_Opened(scene), "canvas", ["others", "things"], include_unmanaged=True)  # type: ignore[arg-type]
        assert "nothing was changed" in caught.value.hint
        scene.reopen()
        with pytest.raises(TargetError):
            scene.initialise(TABLE, [A])
        scene.reopen()
        assert scene.place.ask(f"SELECT id FROM {dialect.of(TABLE)}") == [(1,)]

    def test_nothing_is_dropped_by_books_of_a_version_that_is_not_known(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.place.execute(*scene.session.dialect.insert_version(2))
        scene.reopen()
        with pytest.raises(IncompatibleLayoutError, match="1, 2"):
            drop_tables(_Opened(scene), "canvas", ["things"])  # type: ignore[arg-type]
        scene.reopen()
        scene.holds(TABLE, [A])


class _Opened:
    """A target whose session is open."""

    def __init__(self, scene: Scene) -> None:
        self.name = "here"
        self.empty_substitute = None
        self.open = lambda: scene.session
