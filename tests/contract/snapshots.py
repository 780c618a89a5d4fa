"""Part of the contract: a fresh snapshot is merged into the live table, which stays the table that it was."""

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
        fixture.holds(TABLE, [B | {"name": "changed"}, C])

    def test_missing_keys_stay_where_that_is_asked_for(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        counts = fixture.full_refresh(TABLE, [B | {"name": "changed"}, C], LoadOptions(keep_missing=True))
        assert counts.deleted == 0
        fixture.holds(TABLE, [A, B | {"name": "changed"}, C])

    def test_an_equal_snapshot_changes_nothing(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.full_refresh(TABLE, [B, A])
        fixture.holds(TABLE, [A, B])

    def test_an_increment_goes_on_from_a_snapshot(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.full_refresh(TABLE, [B])
        fixture.apply_increment(TABLE, [C, A])
        fixture.holds(TABLE, [A, B, C])


class SqlSnapshotsContract(SnapshotsContract):
    def test_views_of_the_table_survive(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        view = fixture.name("canvas", "names")
        select = f"SELECT {identifier('name')} FROM {fixture.of(TABLE)}"
        fixture.database.execute(f"CREATE VIEW {view} AS {select}")
        fixture.full_refresh(TABLE, [A, C])
        assert sorted(fixture.database.ask(f"SELECT * FROM {view}")) == [("a",), ("c",)]
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        fixture.full_refresh(wider, [A, B | {"more": 1}])
        assert sorted(fixture.database.ask(f"SELECT * FROM {view}")) == [("a",), ("b",)]
        fixture.apply_increment(wider, [C])
        assert len(fixture.database.ask(f"SELECT * FROM {view}")) == 3

    def test_a_column_of_the_users_own_survives(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        name = fixture.of(TABLE)
        fixture.database.execute(f"ALTER TABLE {name} ADD COLUMN mine INTEGER")
        fixture.full_refresh(TABLE, [A, B | {"size": 5}, C])
        fixture.apply_increment(TABLE, [C | {"size": 6}])
        fixture.holds(TABLE, [A, B | {"size": 5}, C | {"size": 6}])
        assert len(fixture.database.ask(f"SELECT mine FROM {name}")) == 3

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_an_index_of_the_users_own_does_not_hinder(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.database.execute(f"CREATE INDEX by_size ON {fixture.of(TABLE)} ({identifier('size')})")
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        load(TABLE, [A | {"size": 5}, C])
        wanted = [A | {"size": 5}, C] if action == "full_refresh" else [A | {"size": 5}, B, C]
        fixture.holds(TABLE, wanted)
        wider = table_of({"name": TEXT, "size": INT64, "more": INT32}, version=2)
        load(wider, [*wanted, {"id": 4, "more": 4}])
        fixture.holds(wider, [*wanted, {"id": 4, "more": 4}])
        other = table_of({"size": INT32}, version=3)  # no wider any more
        fixture.full_refresh(other, [{"id": 1, "size": 1}])
        fixture.holds(other, [{"id": 1, "size": 1}])
        fixture.database.execute(f"DROP INDEX {fixture.database.index('by_size', TABLE)}")  # it is still there
