"""Contract: the sync state and history of each table, and what is dropped with it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.support.table_schemas import INT32, TEXT, Node, table_of
from tests.support.tsv_parts import deleted

from dapkit.model import Table
from dapkit.targets.base import LoadOptions, TableInfo
from dapkit.targets.sql import sync_state
from dapkit.targets.sql.dialect import STATE_SCHEMA

ENUM: Node = {"type": "string", "enum": ["a", "b"]}
ENUMS = table_of(
    {
        "state": ENUM,
        "states": {"type": "array", "items": ENUM},
        "open": {"oneOf": [ENUM, TEXT]},
        "settings": {"type": "object", "properties": {"theme": ENUM}, "additionalProperties": False},
    }
)
ROW = {"id": 1, "state": "a", "states": ["a", "b"], "open": "else", "settings": {"theme": "a"}}
OTHERS = table_of({"state": ENUM, "open": {"oneOf": [ENUM, TEXT]}}, name="things__others")


class SyncStateContract:
    def test_the_last_event_of_each_table_is_listed(self, fixture: TableFixture) -> None:
        start = datetime.now(UTC) - timedelta(seconds=1)
        other = table_of({"name": TEXT}, name="others")
        fixture.initial_load(TABLE, [A, B])
        fixture.initial_load(other, [{"id": 1}])
        fixture.apply_increment(TABLE, [C, deleted(id=1), deleted(id=77)])
        listed = self._listed(fixture)
        last, first = listed["things"].last, listed["others"].last
        assert last is not None
        assert first is not None
        assert (last.event, first.event) == ("incremental", "initial-load")
        assert (last.detail["written"], last.detail["deleted"], first.detail["written"]) == (1, 1, 1)
        assert start < first.time < last.time < datetime.now(UTC) + timedelta(seconds=1)

    def test_a_recorded_event_is_the_last_until_the_next_load(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        detail = {"code": "out-of-range", "message": "it's 100 % \\ lost: 'é'"}
        fixture.session.record_event("canvas", "things", "failed", detail)
        last = self._listed(fixture)["things"].last
        assert last is not None
        assert (last.event, dict(last.detail)) == ("failed", detail)
        fixture.assert_holds(TABLE, [A])
        fixture.apply_increment(TABLE, [B])
        last = self._listed(fixture)["things"].last
        assert last is not None
        assert last.event == "incremental"

    def test_the_size_of_a_table_is_listed_where_the_database_reports_it(self, fixture: TableFixture) -> None:
        rows = [A | {"id": number, "name": f"{number}" * 20} for number in range(20_000)]
        fixture.initial_load(TABLE, rows)
        fixture.database.flush()
        size = self._listed(fixture)["things"].bytes
        if size is None:
            pytest.skip("this database does not report it")
        assert 0 < size < 20_000_000

    def test_kept_columns_are_listed(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        assert self._listed(fixture)["things"].kept_columns == ()
        shorter = table_of({"name": TEXT}, version=2)
        fixture.apply_increment(shorter, [{"id": 2, "name": "b"}])
        assert self._listed(fixture)["things"].kept_columns == ("size",)
        fixture.apply_increment(table_of({}, version=3), [], LoadOptions(drop_columns=True))
        assert self._listed(fixture)["things"].kept_columns == ("size",)

    def _listed(self, fixture: TableFixture) -> dict[str, TableInfo]:
        return {each.state.table: each for each in fixture.session.list_tables("canvas", count=True)}

    def test_dropping_a_table_keeps_the_objects_of_a_table_with_a_longer_name(self, fixture: TableFixture) -> None:
        fixture.initial_load(OTHERS, [{"id": 1, "state": "a", "open": "x"}])
        fixture.initial_load(ENUMS, [ROW])
        fixture.session.drop("canvas", "things")
        fixture.assert_rows(OTHERS, [{"id": 1, "state": "a", "open": "x"}])
        fixture.apply_increment(OTHERS, [{"id": 2, "state": "b", "open": "y"}])


class SqlSyncStateContract(SyncStateContract):
    def test_only_the_newest_history_entries_are_kept(
        self, fixture: SqlTableFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sync_state, "HISTORY_LINES", 3)
        wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
        fixture.initial_load(TABLE, [A])
        fixture.session.record_event("canvas", "others", "failed", {})
        fixture.apply_increment(wider, [B])
        for number in range(5):
            fixture.session.record_event("canvas", "things", "failed", {"code": str(number)})
        name = fixture.state_table(sync_state.HISTORY)
        lines = fixture.database.query(f"SELECT source_table, event, detail FROM {name} ORDER BY time")
        assert [line[:2] for line in lines] == [
            ("others", "failed"),
            ("things", "incremental"),
            *[("things", "failed")] * 3,
        ]
        assert '"more"' in lines[1][2].replace("\\", "")  # the column that came with the DDL
        last = self._listed(fixture)["things"].last
        assert last is not None
        assert last.detail["code"] == "4"

    def test_a_database_loaded_only_by_the_official_client_is_listed(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"DROP TABLE {fixture.state_table(sync_state.HISTORY)}")
        listed = self._listed(fixture)["things"]
        assert (listed.rows, listed.last, listed.kept_columns) == (1, None, ())
        fixture.session.prepare("canvas", sandbox=False)
        fixture.apply_increment(TABLE, [B])
        assert self._listed(fixture)["things"].last is not None

    @pytest.mark.parametrize("managed", [True, False], ids=["managed", "unmanaged"])
    def test_dropping_a_table_drops_everything_created_for_it(self, fixture: SqlTableFixture, managed: bool) -> None:
        before = self._existing(fixture)
        for _ in range(2):  # leftovers of the first time would make the second one fail
            fixture.initial_load(ENUMS, [ROW])
            if not managed:
                self._delete_state(fixture, ENUMS)
            assert fixture.session.is_unmanaged("canvas", "things") is not managed
            fixture.session.drop("canvas", "things")
            assert not fixture.session.is_unmanaged("canvas", "things")
            assert self._existing(fixture) == before

    def test_dropping_a_table_drops_its_kept_columns(self, fixture: SqlTableFixture) -> None:
        before = self._existing(fixture)
        fixture.initial_load(ENUMS, [ROW])
        fixture.apply_increment(table_of({"name": TEXT}, version=2), [{"id": 2}])
        fixture.session.drop("canvas", "things")
        assert self._existing(fixture) == before

    def test_managed_tables_views_and_state_tables_are_not_unmanaged(self, fixture: SqlTableFixture) -> None:
        view = fixture.name("canvas", "seen")
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"CREATE VIEW {view} AS SELECT * FROM {fixture.full_name(TABLE)}")
        for namespace, name in (
            ("canvas", "things"), ("canvas", "seen"), ("canvas", "nothing"), ("catalog", "things"),
            (STATE_SCHEMA, "table_sync"), (STATE_SCHEMA.upper(), "table_sync"),
        ):  # fmt: skip
            assert not fixture.session.is_unmanaged(namespace, name), name

    def test_without_state_tables_nothing_is_unmanaged(self, fixture: SqlTableFixture) -> None:
        mine = fixture.name("canvas", "mine")
        fixture.database.execute(f"CREATE TABLE {mine} (id INTEGER)")
        assert fixture.session.is_unmanaged("canvas", "mine")
        fixture.database.execute(f"DROP TABLE {fixture.state_table('table_sync')}")
        assert not fixture.session.is_unmanaged("canvas", "mine")

    def _delete_state(self, fixture: SqlTableFixture, table: Table) -> None:
        fixture.database.execute(f"DELETE FROM {fixture.state_table('table_sync')} WHERE source_table = '{table.name}'")

    def _existing(self, fixture: SqlTableFixture) -> Sequence[tuple[object, ...]]:
        return fixture.database.existing_objects()
