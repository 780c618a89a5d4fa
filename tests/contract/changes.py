"""Contract: increments. Repeated, late or unnecessary changes do not matter: the table ends in the last state."""

from dataclasses import replace as replaced
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, TEXT, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.targets.base import DataFiles, LoadOptions, TableStatus
from dapkit.targets.sql.dialect import listed

if TYPE_CHECKING:
    from tests.contract.database_fixture import Values

TABLE = table_of({"name": TEXT, "size": INT32})
ENROLMENTS = table_of({"role": TEXT}, key={"user": INT32, "course": TEXT | {"maxLength": 20}})
KEY_ONLY = table_of({}, key={"user": INT32, "course": INT32})
A, B, C = ({"id": number, "name": name, "size": number} for number, name in ((1, "a"), (2, "b"), (3, "c")))
_EARLY, _LATE = "2024-03-01T12:00:00.000Z", "2024-03-01T12:00:00.001Z"


class ChangesContract:
    def test_updates_inserts_and_deletes(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        counts = fixture.apply_increment(TABLE, [A | {"name": "changed", "size": None}, C, deleted(id=2)])
        assert (counts.written, counts.deleted) == (2, 1)
        fixture.assert_holds(TABLE, [{"id": 1, "name": "changed"}, C])

    def test_null_and_empty_text_are_different(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A | {"name": ""}, B | {"name": None}])
        fixture.apply_increment(TABLE, [A | {"name": None}, B | {"name": ""}])
        fixture.assert_holds(TABLE, [A | {"name": None}, B | {"name": ""}])

    def test_deleting_an_absent_key_is_not_an_error(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        counts = fixture.apply_increment(TABLE, [deleted(id=77), deleted(id=1), deleted(id=78)])
        assert (counts.written, counts.deleted) == (0, 1)
        fixture.assert_holds(TABLE, [])

    @pytest.mark.parametrize(
        ("family", "text"),
        [
            ("int32", "x"), ("int16", "99999"), ("boolean", "maybe"), ("decimal", "1e9"), ("float64", "NaN"),
            ("text", "a\0b"), ("text-bounded", "x" * 41), ("enum", "unknown"), ("date-time", "+12024-02-30T25:61:61Z"),
            ("date", "never"), ("uuid", "-"), ("ip", "256.1.1.1"), ("array-int", "[1"), ("array-enum", '["x"]'),
            ("object", '{"a":"\\u0000"'), ("open-enum", "x" * 300),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("required", [False, True])
    def test_the_values_of_a_deleted_row_do_not_matter(
        self, fixture: TableFixture, family: str, text: str, required: bool
    ) -> None:
        node, values = FAMILIES[family]
        table = table_of({"v": node}, required=["v"] if required else [])
        fixture.initial_load(table, [{"id": 1, "v": values[0]}, {"id": 2, "v": values[0]}])
        counts = fixture.apply_increment(table, [Row({"id": 1, "v": text}, action="D"), {"id": 3, "v": values[0]}])
        assert (counts.written, counts.deleted) == (1, 1)
        fixture.assert_holds(table, [{"id": 2, "v": values[0]}, {"id": 3, "v": values[0]}])

    def test_a_deleted_key_may_be_inserted_again(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.apply_increment(TABLE, [deleted(id=1)])
        fixture.apply_increment(TABLE, [A | {"name": "again"}])
        fixture.assert_holds(TABLE, [A | {"name": "again"}, B])

    @pytest.mark.parametrize("files", [1, 3])
    def test_a_key_that_occurs_twice_loads_the_newest_row(self, fixture: TableFixture, files: int) -> None:
        late = "2024-03-01T12:00:00.5Z"  # as text it sorts before the one without decimals
        rows = [Row(A | {"name": "new"}, late), Row(A | {"name": "old"}, "2024-03-01T12:00:00Z"), Row(B)]
        counts = fixture.session.initial_load(
            fixture.load(TABLE, fixture.files(TABLE, rows, action=False, files=files))
        )
        assert counts.written == 2
        fixture.assert_holds(TABLE, [A | {"name": "new"}, B])
        changes = [
            Row(A | {"name": "older"}, "2024-03-02T12:00:00Z"),
            Row(A | {"name": "newest"}, "2024-03-02T12:00:00.123456Z"),
            Row({"id": 2}, "2024-03-02T12:00:00.25Z", "D"),
            Row(B | {"name": "before the end"}, "2024-03-02T12:00:00.2Z"),
            Row({"id": 3}, "2024-03-02T12:00:00Z", "D"),
            Row(C | {"name": "after the end"}, "2024-03-02T12:00:00.1Z"),
        ]
        load = fixture.load(TABLE, fixture.files(TABLE, changes, action=True, files=files))
        fixture.session.apply_increment(load, fixture.state(TABLE))
        fixture.assert_holds(TABLE, [A | {"name": "newest"}, C | {"name": "after the end"}])
        fixture.full_refresh(TABLE, [Row(A | {"name": "x"}, _LATE), Row(A, _EARLY), Row(C, _EARLY), Row(B), Row(B)])
        fixture.assert_holds(TABLE, [A | {"name": "x"}, B, C])

    @pytest.mark.parametrize("last", ["U", "D"])
    def test_a_deletion_wins_over_an_update_of_the_same_time(self, fixture: TableFixture, last: str) -> None:
        fixture.initial_load(TABLE, [A, B])
        both = [Row(A | {"name": "new"}), deleted(id=1)]
        fixture.apply_increment(TABLE, both if last == "D" else both[::-1])
        fixture.assert_holds(TABLE, [B])

    def test_applying_an_increment_twice_changes_nothing(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        changes: list[Row | Values] = [A | {"name": "changed"}, C, deleted(id=2)]
        for _ in range(3):
            fixture.apply_increment(TABLE, changes)
            fixture.assert_holds(TABLE, [A | {"name": "changed"}, C])

    def test_an_increment_may_have_the_same_watermark(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.now -= timedelta(hours=1)
        fixture.apply_increment(TABLE, [B])
        fixture.assert_holds(TABLE, [A, B])

    def test_composite_keys(self, fixture: TableFixture) -> None:
        rows: list[Values] = [
            {"user": user, "course": course, "role": f"{user}{course}"}
            for user in (1, 2)
            for course in ("x", "y\t", "")
        ]
        fixture.initial_load(ENROLMENTS, rows)
        fixture.apply_increment(
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
        fixture.assert_holds(ENROLMENTS, wanted)
        fixture.full_refresh(ENROLMENTS, rows)
        fixture.assert_holds(ENROLMENTS, rows)

    def test_a_null_in_a_key_is_rejected(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        with fixture.rejected(TABLE):
            fixture.apply_increment(TABLE, [B | {"id": None}])
        with fixture.rejected(TABLE):
            fixture.full_refresh(TABLE, [A, B | {"id": None}])

    def test_a_table_with_only_key_columns(self, fixture: TableFixture) -> None:
        fixture.initial_load(KEY_ONLY, [{"user": 1, "course": 1}, {"user": 1, "course": 2}])
        again: list[Row | Values] = [{"user": 1, "course": 1}, {"user": 2, "course": 2}, deleted(user=1, course=2)]
        fixture.apply_increment(KEY_ONLY, again)
        fixture.assert_holds(KEY_ONLY, [{"user": 1, "course": 1}, {"user": 2, "course": 2}])
        fixture.full_refresh(KEY_ONLY, [{"user": 2, "course": 2}, {"user": 3, "course": 3}])
        fixture.assert_holds(KEY_ONLY, [{"user": 2, "course": 2}, {"user": 3, "course": 3}])

    def test_a_load_without_files(self, fixture: TableFixture) -> None:
        none = DataFiles(paths=(), rows=0)
        assert fixture.session.initial_load(fixture.load(TABLE, none)).written == 0
        fixture.assert_holds(TABLE, [])
        fixture.session.apply_increment(fixture.load(TABLE, none), fixture.state(TABLE))
        fixture.assert_holds(TABLE, [])
        fixture.apply_increment(TABLE, [A, B])
        fixture.session.apply_increment(fixture.load(TABLE, none), fixture.state(TABLE))
        fixture.assert_holds(TABLE, [A, B])
        counts = fixture.session.full_refresh(fixture.load(TABLE, none), fixture.state(TABLE))
        assert counts.deleted == 2
        fixture.assert_holds(TABLE, [])

    def test_files_without_rows(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [])
        fixture.assert_holds(TABLE, [])
        fixture.apply_increment(TABLE, [])
        # More files than rows: some have only a header.
        load = fixture.load(TABLE, fixture.files(TABLE, [A], action=True, files=4))
        fixture.session.apply_increment(load, fixture.state(TABLE))
        fixture.assert_holds(TABLE, [A])
        fixture.full_refresh(TABLE, [])
        fixture.assert_holds(TABLE, [])

    @pytest.mark.parametrize("members", [2, 5])
    def test_files_of_several_gzip_members(self, fixture: TableFixture, members: int) -> None:
        rows: list[Values] = [{"id": number, "name": f"n{number}", "size": number} for number in range(200)]
        fixture.session.initial_load(fixture.load(TABLE, fixture.files(TABLE, rows, action=False, members=members)))
        fixture.assert_holds(TABLE, rows)

    def test_a_last_line_without_its_newline(self, fixture: TableFixture) -> None:
        data_files = fixture.files(TABLE, [A, B], action=False, last_newline=False)
        fixture.session.initial_load(fixture.load(TABLE, data_files))
        fixture.assert_holds(TABLE, [A, B])

    def test_files_may_have_columns_in_another_order_or_lack_some(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        data_files = fixture.files(TABLE, [A | {"name": "changed"}], action=True, columns=["name", "id"])
        fixture.session.apply_increment(fixture.load(TABLE, data_files), fixture.state(TABLE))
        fixture.assert_holds(TABLE, [{"id": 1, "name": "changed"}, B])

    def test_files_with_unknown_columns_are_rejected(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
        data_files = fixture.files(wider, [A | {"more": "precious"}], action=True)
        with fixture.rejected(TABLE):
            fixture.session.apply_increment(fixture.load(TABLE, data_files), fixture.state(TABLE))

    def test_a_snapshot_may_have_an_action_column(self, fixture: TableFixture) -> None:
        for load in (
            fixture.session.initial_load,
            lambda load: fixture.session.full_refresh(load, fixture.state(TABLE)),
        ):
            load(fixture.load(TABLE, fixture.files(TABLE, [A, B], action=True)))
            fixture.assert_holds(TABLE, [A, B])

    def test_many_rows(self, fixture: TableFixture) -> None:
        rows: list[Values] = [{"id": number, "name": f"name {number}", "size": number % 7} for number in range(5000)]
        fixture.session.initial_load(fixture.load(TABLE, fixture.files(TABLE, rows, action=False, files=3)))
        changed = [row | {"name": "\t"} for row in rows[::2]]
        fixture.apply_increment(TABLE, [*changed, *(deleted(id=row["id"]) for row in rows[1::4])])
        wanted = [*changed, *rows[3::4]]
        fixture.assert_holds(TABLE, wanted)

    def test_the_sync_state_has_the_watermark_and_the_schema(self, fixture: TableFixture) -> None:
        assert fixture.session.sync_states("canvas") == {}
        fixture.initial_load(TABLE, [A])
        state = fixture.state(TABLE)
        assert (state.namespace, state.table, state.watermark) == (
            "canvas",
            "things",
            fixture.saved_watermark(fixture.now),
        )
        assert state.schema.version == 1
        assert set(state.schema.document["properties"]) == {"key", "value"}
        assert state.schema.document["properties"]["value"] == TABLE.schema.document["properties"]["value"]
        assert fixture.session.sync_states("catalog") == {}

    def test_the_status_before_and_after_a_drop(self, fixture: TableFixture) -> None:
        other = table_of({"name": TEXT}, name="others")
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.initial_load(TABLE, [A])
        fixture.initial_load(other, [{"id": 1, "name": "stays"}])
        assert fixture.session.status("canvas", "things") is TableStatus.MANAGED
        fixture.session.drop("canvas", "things")
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        assert set(fixture.session.sync_states("canvas")) == {"others"}
        fixture.assert_holds(other, [{"id": 1, "name": "stays"}])
        fixture.initial_load(TABLE, [B])
        fixture.assert_holds(TABLE, [B])

    def test_dropping_a_table_with_every_type_leaves_nothing_behind(self, fixture: TableFixture) -> None:
        table = table_of({name: node for name, (node, _) in FAMILIES.items()})
        for _ in range(2):  # leftovers of the first time would make the second one fail
            fixture.initial_load(table, [{"id": 1}])
            fixture.session.drop("canvas", "things")

    def test_listing(self, fixture: TableFixture) -> None:
        other = table_of({"name": TEXT}, name="others")
        fixture.initial_load(TABLE, [A, B])
        fixture.initial_load(other, [])
        listed = {each.state.table: each for each in fixture.session.list_tables("canvas", count=True)}
        assert {name: each.rows for name, each in listed.items()} == {"things": 2, "others": 0}
        assert listed["others"].state == fixture.state(other)
        assert [each.rows for each in fixture.session.list_tables("canvas", count=False)] == [None, None]
        assert fixture.session.list_tables("catalog", count=True) == ()

    def test_tables_of_the_same_name_in_two_namespaces(self, fixture: TableFixture) -> None:
        fixture.session.prepare("catalog", sandbox=False)
        twin = table_of({"title": TEXT}, namespace="catalog")
        fixture.initial_load(TABLE, [A])
        fixture.initial_load(twin, [{"id": 1, "title": "t"}])
        fixture.apply_increment(twin, [{"id": 2, "title": "u"}])
        fixture.session.drop("canvas", "things")
        fixture.assert_holds(twin, [{"id": 1, "title": "t"}, {"id": 2, "title": "u"}])

    def test_other_load_options_do_not_affect_an_increment(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        options = LoadOptions(drop_columns=True, keep_missing=True)
        fixture.apply_increment(TABLE, [deleted(id=1)], replaced(options))
        fixture.assert_holds(TABLE, [B])


class SqlChangesContract(ChangesContract):
    def test_of_several_state_rows_of_one_table_the_latest_counts(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        sync_states = fixture.state_table("table_sync")
        columns = "source_namespace source_table timestamp schema_version target_schema target_table"
        names = listed(f"{columns} schema_description_format schema_description".split())
        fixture.database.execute(f"INSERT INTO {sync_states} ({names}) SELECT {names} FROM {sync_states}")
        fixture.apply_increment(TABLE, [B])
        fixture.assert_holds(TABLE, [A, B])
