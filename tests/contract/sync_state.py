"""Part of the contract: what the books and our history say of each table, and what is dropped with it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import Scene
from tests.support.table_schemas import INT32, TEXT, Node, table_of
from tests.support.tsv_parts import deleted

from dapkit.model import Table
from dapkit.targets.base import LoadOptions, TableInfo
from dapkit.targets.sql import history
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


class BooksContract:
    # What was done

    def test_what_was_last_done_to_each_table(self, scene: Scene) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=1)
        other = table_of({"name": TEXT}, name="others")
        scene.initialise(TABLE, [A, B])
        scene.initialise(other, [{"id": 1}])
        scene.change(TABLE, [C, deleted(id=1), deleted(id=77)])
        listed = self._listed(scene)
        last, first = listed["things"].last, listed["others"].last
        assert last is not None
        assert first is not None
        assert (last.event, first.event) == ("incremental", "initial-load")
        assert (last.detail["written"], last.detail["deleted"], first.detail["written"]) == (1, 1, 1)
        assert begun < first.time < last.time < datetime.now(UTC) + timedelta(seconds=1)

    def test_what_is_remembered_is_the_last_until_more_is_done(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        detail = {"code": "out-of-range", "message": "it's 100 % \\ gone: 'é'"}
        scene.session.record_event("canvas", "things", "failed", detail)
        last = self._listed(scene)["things"].last
        assert last is not None
        assert (last.event, dict(last.detail)) == ("failed", detail)
        scene.holds(TABLE, [A])
        scene.change(TABLE, [B])
        last = self._listed(scene)["things"].last
        assert last is not None
        assert last.event == "incremental"

    def test_the_history_does_not_grow_beyond_the_newest_lines(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history, "LINES", 3)
        wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
        scene.initialise(TABLE, [A])
        scene.session.record_event("canvas", "others", "failed", {})
        scene.change(wider, [B])
        for number in range(5):
            scene.session.record_event("canvas", "things", "failed", {"code": str(number)})
        name = scene.session.dialect.state_table(history.HISTORY)
        lines = scene.place.ask(f"SELECT source_table, event, detail FROM {name} ORDER BY time")
        assert [line[:2] for line in lines] == [
            ("others", "failed"),
            ("things", "incremental"),
            *[("things", "failed")] * 3,
        ]
        assert '"more"' in lines[1][2].replace("\\", "")  # the column that came with the DDL
        last = self._listed(scene)["things"].last
        assert last is not None
        assert last.detail["code"] == "4"

    def test_a_database_that_only_the_official_client_filled(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.place.execute(f"DROP TABLE {scene.session.dialect.state_table(history.HISTORY)}")
        listed = self._listed(scene)["things"]
        assert (listed.rows, listed.last, listed.kept_columns) == (1, None, ())
        scene.session.prepare("canvas", sandbox=False)
        scene.change(TABLE, [B])
        assert self._listed(scene)["things"].last is not None

    def test_a_table_says_what_it_takes_where_the_database_tells(self, scene: Scene) -> None:
        rows = [A | {"id": number, "name": f"{number}" * 20} for number in range(20_000)]
        scene.initialise(TABLE, rows)
        scene.reopen()  # what was just written may not be in its place until then
        size = self._listed(scene)["things"].bytes
        if size is None:
            pytest.skip("it does not tell")
        assert 0 < size < 20_000_000

    def test_columns_that_the_schema_no_longer_has(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        assert self._listed(scene)["things"].kept_columns == ()
        shorter = table_of({"name": TEXT}, version=2)
        scene.change(shorter, [{"id": 2, "name": "b"}])
        assert self._listed(scene)["things"].kept_columns == ("size",)
        scene.change(table_of({}, version=3), [], LoadOptions(drop_columns=True))
        assert self._listed(scene)["things"].kept_columns == ("size",)

    def _listed(self, scene: Scene) -> dict[str, TableInfo]:
        return {each.state.table: each for each in scene.session.listing("canvas", count=True)}

    # Dropping

    @pytest.mark.parametrize("booked", [True, False], ids=["booked", "stray"])
    def test_nothing_that_was_made_for_a_table_outlives_it(self, scene: Scene, booked: bool) -> None:
        before = self._made(scene)
        for _ in range(2):  # what was left over would be in the way of the second time
            scene.initialise(ENUMS, [ROW])
            if not booked:
                self._off_the_books(scene, ENUMS)
            assert scene.session.is_unmanaged("canvas", "things") is not booked
            scene.session.drop("canvas", "things")
            assert not scene.session.is_unmanaged("canvas", "things")
            assert self._made(scene) == before

    def test_a_table_whose_name_goes_on_where_anothers_ends_keeps_what_is_its_own(self, scene: Scene) -> None:
        scene.initialise(OTHERS, [{"id": 1, "state": "a", "open": "x"}])
        scene.initialise(ENUMS, [ROW])
        scene.session.drop("canvas", "things")
        scene.holds_rows(OTHERS, [{"id": 1, "state": "a", "open": "x"}])
        scene.change(OTHERS, [{"id": 2, "state": "b", "open": "y"}])

    def test_a_column_that_was_kept_goes_with_its_table(self, scene: Scene) -> None:
        before = self._made(scene)
        scene.initialise(ENUMS, [ROW])
        scene.change(table_of({"name": TEXT}, version=2), [{"id": 2}])
        scene.session.drop("canvas", "things")
        assert self._made(scene) == before

    def test_what_is_no_stray(self, scene: Scene) -> None:
        dialect = scene.session.dialect
        view = dialect.name("canvas", "seen")
        scene.initialise(TABLE, [A])
        scene.place.execute(f"CREATE VIEW {view} AS SELECT * FROM {dialect.of(TABLE)}")
        for namespace, name in (
            ("canvas", "things"), ("canvas", "seen"), ("canvas", "nothing"), ("catalog", "things"),
            (STATE_SCHEMA, "table_sync"), (STATE_SCHEMA.upper(), "table_sync"),
        ):  # fmt: skip
            assert not scene.session.is_unmanaged(namespace, name), name

    def test_without_books_nothing_is_a_stray(self, scene: Scene) -> None:
        dialect = scene.session.dialect
        mine = dialect.name("canvas", "mine")
        scene.place.execute(f"CREATE TABLE {mine} (id INTEGER)")
        assert scene.session.is_unmanaged("canvas", "mine")
        scene.place.execute(f"DROP TABLE {dialect.state_table('table_sync')}")
        assert not scene.session.is_unmanaged("canvas", "mine")

    def _off_the_books(self, scene: Scene, table: Table) -> None:
        scene.place.execute(
            f"DELETE FROM {scene.session.dialect.state_table('table_sync')} WHERE source_table = '{table.name}'"
        )

    def _made(self, scene: Scene) -> Sequence[tuple[object, ...]]:
        return scene.place.made()
