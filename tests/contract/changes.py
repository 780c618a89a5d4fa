"""Part of the contract: increments. Whatever comes twice, late, or for nobody, the table ends in the last state."""

from dataclasses import replace as replaced
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.contract.table_fixture import Scene
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, TEXT, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.errors import DapError
from dapkit.targets.base import DataFiles, LoadOptions, TableStatus

if TYPE_CHECKING:
    from tests.contract.database_fixture import Values

TABLE = table_of({"name": TEXT, "size": INT32})
ENROLMENTS = table_of({"role": TEXT}, key={"user": INT32, "course": TEXT | {"maxLength": 20}})
KEY_ONLY = table_of({}, key={"user": INT32, "course": INT32})
A, B, C = ({"id": number, "name": name, "size": number} for number, name in ((1, "a"), (2, "b"), (3, "c")))
_EARLY, _LATE = "2024-03-01T12:00:00.000Z", "2024-03-01T12:00:00.001Z"


class ChangesContract:
    def test_updates_inserts_and_deletes(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        counts = scene.change(TABLE, [A | {"name": "changed", "size": None}, C, deleted(id=2)])
        assert (counts.written, counts.deleted) == (2, 1)
        scene.holds(TABLE, [{"id": 1, "name": "changed"}, C])

    def test_null_and_empty_text_are_different(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A | {"name": ""}, B | {"name": None}])
        scene.change(TABLE, [A | {"name": None}, B | {"name": ""}])
        scene.holds(TABLE, [A | {"name": None}, B | {"name": ""}])

    def test_a_deletion_of_a_key_that_is_not_there(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        counts = scene.change(TABLE, [deleted(id=77), deleted(id=1), deleted(id=78)])
        assert (counts.written, counts.deleted) == (0, 1)
        scene.holds(TABLE, [])

    def test_a_deleted_key_may_come_back(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        scene.change(TABLE, [deleted(id=1)])
        scene.change(TABLE, [A | {"name": "again"}])
        scene.holds(TABLE, [A | {"name": "again"}, B])

    @pytest.mark.parametrize("files", [1, 3])
    def test_of_a_repeated_key_the_newest_row_stays(self, scene: Scene, files: int) -> None:
        late = "2024-03-01T12:00:00.5Z"  # as text it sorts before the one without decimals
        rows = [Row(A | {"name": "new"}, late), Row(A | {"name": "old"}, "2024-03-01T12:00:00Z"), Row(B)]
        counts = scene.session.initialise(scene.load(TABLE, scene.parts(TABLE, rows, action=False, files=files)))
        assert counts.written == 2
        scene.holds(TABLE, [A | {"name": "new"}, B])
        changes = [
            Row(A | {"name": "older"}, "2024-03-02T12:00:00Z"),
            Row(A | {"name": "newest"}, "2024-03-02T12:00:00.123456Z"),
            Row({"id": 2}, "2024-03-02T12:00:00.25Z", "D"),
            Row(B | {"name": "before the end"}, "2024-03-02T12:00:00.2Z"),
            Row({"id": 3}, "2024-03-02T12:00:00Z", "D"),
            Row(C | {"name": "after the end"}, "2024-03-02T12:00:00.1Z"),
        ]
        load = scene.load(TABLE, scene.parts(TABLE, changes, action=True, files=files))
        scene.session.change(load, scene.state_table(TABLE))
        scene.holds(TABLE, [A | {"name": "newest"}, C | {"name": "after the end"}])
        scene.replace(TABLE, [Row(A | {"name": "x"}, _LATE), Row(A, _EARLY), Row(C, _EARLY), Row(B), Row(B)])
        scene.holds(TABLE, [A | {"name": "x"}, B, C])

    @pytest.mark.parametrize("last", ["U", "D"])
    def test_of_equal_age_a_deletion_wins(self, scene: Scene, last: str) -> None:
        scene.initialise(TABLE, [A, B])
        both = [Row(A | {"name": "new"}), deleted(id=1)]
        scene.change(TABLE, both if last == "D" else both[::-1])
        scene.holds(TABLE, [B])

    def test_the_same_change_again_changes_nothing(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        changes: list[Row | Values] = [A | {"name": "changed"}, C, deleted(id=2)]
        for _ in range(3):
            scene.change(TABLE, changes)
            scene.holds(TABLE, [A | {"name": "changed"}, C])

    def test_a_watermark_that_does_not_move_is_fine(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.now -= timedelta(hours=1)
        scene.change(TABLE, [B])
        scene.holds(TABLE, [A, B])

    def test_composite_keys(self, scene: Scene) -> None:
        rows: list[Values] = [
            {"user": user, "course": course, "role": f"{user}{course}"}
            for user in (1, 2)
            for course in ("x", "y\t", "")
        ]
        scene.initialise(ENROLMENTS, rows)
        scene.change(
            ENROLMENTS,
            [
                deleted(user=1, course="x"),
                {"user": 2, "course": "", "role": "changed"},
                {"user": 3, "course": "x", "role": None},
                Row({"user": 2, "course": "y\t", "role": "late"}, _LATE),
                Row({"user": 2, "course": "y\t", "role": "early"}, _EARLY),
            ],
        )
        wanted = [rows[1], rows[2], rows[3], {"user": 2, "course": "y\t", "role": "late"}]
        wanted += [{"user": 2, "course": "", "role": "changed"}, {"user": 3, "course": "x"}]
        scene.holds(ENROLMENTS, wanted)
        scene.replace(ENROLMENTS, rows)
        scene.holds(ENROLMENTS, rows)

    def test_a_null_in_a_key_is_refused(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        with scene.refused(TABLE):
            scene.change(TABLE, [B | {"id": None}])
        with scene.refused(TABLE):
            scene.replace(TABLE, [A, B | {"id": None}])

    def test_a_table_of_a_key_alone(self, scene: Scene) -> None:
        scene.initialise(KEY_ONLY, [{"user": 1, "course": 1}, {"user": 1, "course": 2}])
        again: list[Row | Values] = [{"user": 1, "course": 1}, {"user": 2, "course": 2}, deleted(user=1, course=2)]
        scene.change(KEY_ONLY, again)
        scene.holds(KEY_ONLY, [{"user": 1, "course": 1}, {"user": 2, "course": 2}])
        scene.replace(KEY_ONLY, [{"user": 2, "course": 2}, {"user": 3, "course": 3}])
        scene.holds(KEY_ONLY, [{"user": 2, "course": 2}, {"user": 3, "course": 3}])

    # Files

    def test_no_files_at_all(self, scene: Scene) -> None:
        none = DataFiles(paths=(), rows=0)
        assert scene.session.initialise(scene.load(TABLE, none)).written == 0
        scene.holds(TABLE, [])
        scene.session.change(scene.load(TABLE, none), scene.state_table(TABLE))
        scene.holds(TABLE, [])
        scene.change(TABLE, [A, B])
        scene.session.change(scene.load(TABLE, none), scene.state_table(TABLE))
        scene.holds(TABLE, [A, B])
        counts = scene.session.replace(scene.load(TABLE, none), scene.state_table(TABLE))
        assert counts.deleted == 2
        scene.holds(TABLE, [])

    def test_files_without_rows(self, scene: Scene) -> None:
        scene.initialise(TABLE, [])
        scene.holds(TABLE, [])
        scene.change(TABLE, [])
        # More files than rows: some have a header alone.
        load = scene.load(TABLE, scene.parts(TABLE, [A], action=True, files=4))
        scene.session.change(load, scene.state_table(TABLE))
        scene.holds(TABLE, [A])
        scene.replace(TABLE, [])
        scene.holds(TABLE, [])

    @pytest.mark.parametrize("members", [2, 5])
    def test_files_of_several_gzip_members(self, scene: Scene, members: int) -> None:
        rows: list[Values] = [{"id": number, "name": f"n{number}", "size": number} for number in range(200)]
        scene.session.initialise(scene.load(TABLE, scene.parts(TABLE, rows, action=False, members=members)))
        scene.holds(TABLE, rows)

    def test_a_last_line_without_its_newline(self, scene: Scene) -> None:
        parts = scene.parts(TABLE, [A, B], action=False, last_newline=False)
        scene.session.initialise(scene.load(TABLE, parts))
        scene.holds(TABLE, [A, B])

    def test_columns_in_another_order_and_some_not_there(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        parts = scene.parts(TABLE, [A | {"name": "changed"}], action=True, columns=["name", "id"])
        scene.session.change(scene.load(TABLE, parts), scene.state_table(TABLE))
        scene.holds(TABLE, [{"id": 1, "name": "changed"}, B])

    def test_columns_that_the_schema_does_not_know_are_not_lost_silently(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
        parts = scene.parts(wider, [A | {"more": "precious"}], action=True)
        with scene.refused(TABLE):
            scene.session.change(scene.load(TABLE, parts), scene.state_table(TABLE))

    def test_files_of_one_job_with_different_columns_are_refused(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        one = scene.parts(TABLE, [A | {"name": "x"}], action=True, columns=["id", "name"])
        other = scene.parts(TABLE, [B | {"name": "y"}], action=True, columns=["name", "id"])
        parts = DataFiles(paths=one.paths + other.paths, rows=2)
        with scene.refused(TABLE):
            scene.session.change(scene.load(TABLE, parts), scene.state_table(TABLE))

    def test_a_snapshot_that_says_of_each_row_that_it_is_there(self, scene: Scene) -> None:
        for load in (scene.session.initialise, lambda load: scene.session.replace(load, scene.state_table(TABLE))):
            load(scene.load(TABLE, scene.parts(TABLE, [A, B], action=True)))
            scene.holds(TABLE, [A, B])

    def test_an_increment_that_does_not_say_what_became_of_its_rows_is_refused(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        load = scene.load(TABLE, scene.parts(TABLE, [B], action=False))
        with scene.refused(TABLE, DapError):
            scene.session.change(load, scene.state_table(TABLE))

    def test_many_rows(self, scene: Scene) -> None:
        rows: list[Values] = [{"id": number, "name": f"name {number}", "size": number % 7} for number in range(5000)]
        scene.session.initialise(scene.load(TABLE, scene.parts(TABLE, rows, action=False, files=3)))
        changed = [row | {"name": "\t"} for row in rows[::2]]
        scene.change(TABLE, [*changed, *(deleted(id=row["id"]) for row in rows[1::4])])
        wanted = [*changed, *rows[3::4]]
        scene.holds(TABLE, wanted)

    # The books

    def test_the_books_tell_the_watermark_and_the_schema(self, scene: Scene) -> None:
        assert scene.session.sync_states("canvas") == {}
        scene.initialise(TABLE, [A])
        state = scene.state_table(TABLE)
        assert (state.namespace, state.table, state.watermark) == ("canvas", "things", scene.cut(scene.now))
        assert state.schema.version == 1
        assert set(state.schema.document["properties"]) == {"key", "value"}
        assert state.schema.document["properties"]["value"] == TABLE.schema.document["properties"]["value"]
        assert scene.session.sync_states("catalog") == {}

    def test_standing_and_drop(self, scene: Scene) -> None:
        other = table_of({"name": TEXT}, name="others")
        assert scene.session.status("canvas", "things") is TableStatus.ABSENT
        scene.initialise(TABLE, [A])
        scene.initialise(other, [{"id": 1, "name": "stays"}])
        assert scene.session.status("canvas", "things") is TableStatus.MANAGED
        scene.session.drop("canvas", "things")
        assert scene.session.status("canvas", "things") is TableStatus.ABSENT
        assert set(scene.session.sync_states("canvas")) == {"others"}
        scene.holds(other, [{"id": 1, "name": "stays"}])
        scene.initialise(TABLE, [B])
        scene.holds(TABLE, [B])

    def test_a_table_of_every_family_leaves_nothing_when_dropped(self, scene: Scene) -> None:
        table = table_of({name: node for name, (node, _) in FAMILIES.items()})
        for _ in range(2):  # what was left over would be in the way of the second time
            scene.initialise(table, [{"id": 1}])
            scene.session.drop("canvas", "things")

    def test_listing(self, scene: Scene) -> None:
        other = table_of({"name": TEXT}, name="others")
        scene.initialise(TABLE, [A, B])
        scene.initialise(other, [])
        listed = {each.state.table: each for each in scene.session.listing("canvas", count=True)}
        assert {name: each.rows for name, each in listed.items()} == {"things": 2, "others": 0}
        assert listed["others"].state == scene.state_table(other)
        assert [each.rows for each in scene.session.listing("canvas", count=False)] == [None, None]
        assert scene.session.listing("catalog", count=True) == ()

    def test_tables_of_the_same_name_in_two_namespaces(self, scene: Scene) -> None:
        scene.session.prepare("catalog", sandbox=False)
        twin = table_of({"title": TEXT}, namespace="catalog")
        scene.initialise(TABLE, [A])
        scene.initialise(twin, [{"id": 1, "title": "t"}])
        scene.change(twin, [{"id": 2, "title": "u"}])
        scene.session.drop("canvas", "things")
        scene.holds(twin, [{"id": 1, "title": "t"}, {"id": 2, "title": "u"}])

    def test_several_lines_of_one_table_are_read_as_the_latest(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        sync_states = scene.session.dialect.state_table("table_sync")
        columns = "source_namespace source_table timestamp schema_version target_schema target_table"
        names = scene.session.dialect.listed(f"{columns} schema_description_format schema_description".split())
        scene.place.execute(f"INSERT INTO {sync_states} ({names}) SELECT {names} FROM {sync_states}")
        scene.change(TABLE, [B])
        scene.holds(TABLE, [A, B])

    def test_options_other_than_the_usual_do_not_disturb_a_change(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        options = LoadOptions(drop_columns=True, keep_missing=True)
        scene.change(TABLE, [deleted(id=1)], replaced(options))
        scene.holds(TABLE, [B])
