"""Contract: a full refresh merges a new snapshot into the existing table, which is not replaced."""

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.support.table_schemas import INT32, INT64, TEXT, table_of

from dapkit.targets.base import LoadOptions
from dapkit.targets.sql.dialect import identifier


class SnapshotsContract:
    def test_missing_keys_are_deleted(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        counts = fixture.full_refresh(TABLE, [B | {"name": "changed"}, C])
        assert counts.deleted == 1
        fixture.assert_holds(TABLE, [B | {"name": "changed"}, C])

    def test_missing_keys_are_kept_on_request(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        counts = fixture.full_refresh(TABLE, [B | {"name": "changed"}, C], LoadOptions(keep_missing=True))
        assert counts.deleted == 0
        fixture.assert_holds(TABLE, [A, B | {"name": "changed"}, C])

    def test_an_equal_snapshot_changes_nothing(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.full_refresh(TABLE, [B, A])
        fixture.assert_holds(TABLE, [A, B])

    def test_an_increment_continues_from_a_full_refresh(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.full_refresh(TABLE, [B])
        fixture.apply_increment(TABLE, [C, A])
        fixture.assert_holds(TABLE, [A, B, C])


class SqlSnapshotsContract(SnapshotsContract):
    def test_views_of_the_table_survive(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        view = fixture.name("canvas", "names")
        select = f"SELECT {identifier('name')} FROM {fixture.full_name(TABLE)}"
        fixture.database.execute(f"CREATE VIEW {view} AS {select}")
        fixture.full_refresh(TABLE, [A, C])
        assert sorted(fixture.database.query(f"SELECT * FROM {view}")) == [("a",), ("c",)]
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        fixture.full_refresh(wider, [A, B | {"more": 1}])
        assert sorted(fixture.database.query(f"SELECT * FROM {view}")) == [("a",), ("b",)]
        fixture.apply_increment(wider, [C])
        assert len(fixture.database.query(f"SELECT * FROM {view}")) == 3

    def test_a_user_created_column_survives(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        name = fixture.full_name(TABLE)
        fixture.database.execute(f"ALTER TABLE {name} ADD COLUMN mine INTEGER")
        fixture.full_refresh(TABLE, [A, B | {"size": 5}, C])
        fixture.apply_increment(TABLE, [C | {"size": 6}])
        fixture.assert_holds(TABLE, [A, B | {"size": 5}, C | {"size": 6}])
        assert len(fixture.database.query(f"SELECT mine FROM {name}")) == 3

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_user_created_index_does_not_prevent_loads(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.database.execute(f"CREATE INDEX by_size ON {fixture.full_name(TABLE)} ({identifier('size')})")
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        load(TABLE, [A | {"size": 5}, C])
        rows = [A | {"size": 5}, C] if action == "full_refresh" else [A | {"size": 5}, B, C]
        fixture.assert_holds(TABLE, rows)
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        load(wider, [*rows, {"id": 4, "more": 4}])
        fixture.assert_holds(wider, [*rows, {"id": 4, "more": 4}])
        other = table_of({"size": INT32}, version=3)  # narrower again
        fixture.full_refresh(other, [{"id": 1, "size": 1}])
        fixture.assert_holds(other, [{"id": 1, "size": 1}])
        fixture.database.execute(f"DROP INDEX {fixture.database.index('by_size', TABLE)}")  # it still exists
