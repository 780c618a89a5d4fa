"""Part of the contract: a fresh snapshot is merged into the live table, which stays the table that it was."""

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import Scene
from tests.support.table_schemas import INT32, INT64, TEXT, table_of

from dapkit.targets.base import LoadOptions


class SnapshotsContract:
    def test_missing_keys_are_deleted(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        counts = scene.replace(TABLE, [B | {"name": "changed"}, C])
        assert counts.deleted == 1
        scene.holds(TABLE, [B | {"name": "changed"}, C])

    def test_missing_keys_stay_where_that_is_asked_for(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        counts = scene.replace(TABLE, [B | {"name": "changed"}, C], LoadOptions(keep_missing=True))
        assert counts.deleted == 0
        scene.holds(TABLE, [A, B | {"name": "changed"}, C])

    def test_an_equal_snapshot_changes_nothing(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        scene.replace(TABLE, [B, A])
        scene.holds(TABLE, [A, B])

    def test_views_of_the_table_survive(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        dialect = scene.session.dialect
        view = dialect.name("canvas", "names")
        select = f"SELECT {dialect.identifier('name')} FROM {dialect.of(TABLE)}"
        scene.place.execute(f"CREATE VIEW {view} AS {select}")
        scene.replace(TABLE, [A, C])
        assert sorted(scene.place.ask(f"SELECT * FROM {view}")) == [("a",), ("c",)]
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        scene.replace(wider, [A, B | {"more": 1}])
        assert sorted(scene.place.ask(f"SELECT * FROM {view}")) == [("a",), ("b",)]
        scene.change(wider, [C])
        assert len(scene.place.ask(f"SELECT * FROM {view}")) == 3

    def test_a_column_of_the_users_own_survives(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        dialect = scene.session.dialect
        name = dialect.of(TABLE)
        scene.place.execute(f"ALTER TABLE {name} ADD COLUMN mine INTEGER")
        scene.replace(TABLE, [A, B | {"size": 5}, C])
        scene.change(TABLE, [C | {"size": 6}])
        scene.holds(TABLE, [A, B | {"size": 5}, C | {"size": 6}])
        assert len(scene.place.ask(f"SELECT mine FROM {name}")) == 3

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_an_index_of_the_users_own_does_not_hinder(self, scene: Scene, action: str) -> None:
        scene.initialise(TABLE, [A, B])
        dialect = scene.session.dialect
        scene.place.execute(f"CREATE INDEX by_size ON {dialect.of(TABLE)} ({dialect.identifier('size')})")
        load = scene.change if action == "change" else scene.replace
        load(TABLE, [A | {"size": 5}, C])
        wanted = [A | {"size": 5}, C] if action == "replace" else [A | {"size": 5}, B, C]
        scene.holds(TABLE, wanted)
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        load(wider, [*wanted, {"id": 4, "more": 4}])
        scene.holds(wider, [*wanted, {"id": 4, "more": 4}])
        other = table_of({"size": INT32}, version=3)  # no wider any more
        scene.replace(other, [{"id": 1, "size": 1}])
        scene.holds(other, [{"id": 1, "size": 1}])
        scene.place.execute(f"DROP INDEX {scene.place.index('by_size', TABLE)}")  # it is still there

    def test_an_increment_goes_on_from_a_snapshot(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.replace(TABLE, [B])
        scene.change(TABLE, [C, A])
        scene.holds(TABLE, [A, B, C])
