"""Contract: schema changes. Supported changes are made together with the data; others leave the table unchanged."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from tests.contract.database_fixture import Values
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import deleted

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.base import LoadOptions
from dapkit.targets.sql.dialect import identifier

SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 50}
BASE = table_of({"name": SHORT, "size": INT32}, required=["name"])
OLD: Values = {"id": 1, "name": "old", "size": 1}
NEW: Values = {"id": 2, "name": "new", "size": 2}
ENUM: Node = {"type": "string", "enum": ["a", "b"]}
RULES: Node = {"type": "string", "enum": ["img-alt", "table-header"]}
MORE_RULES: Node = {"type": "string", "enum": ["img-alt", "table-header", "paragraphs-for-headings"]}
MORE: Node = {"type": "string", "enum": ["a", "b", "c's"]}


def version(
    value: Mapping[str, Node], *, required: tuple[str, ...] = ("name",), key: Mapping[str, Node] | None = None
) -> Table:
    return table_of(value, required=required, key=key, version=2)


class EvolutionContract:
    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_new_column_of_each_type_is_null_in_the_rows_before(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family]
        fixture.initial_load(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": node})
        new = {"id": 2, "name": "new", "v": values[0]}
        fixture.apply_increment(after, [new])
        fixture.assert_holds(after, [OLD, new])

    def test_new_columns_of_all_types_are_null_in_the_rows_before(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        nodes = {name: node for name, (node, _) in FAMILIES.items()}
        after = version({"name": SHORT, "size": INT32, **nodes})
        new = {"id": 2, "name": "new"} | {name: values[0] for name, (_, values) in FAMILIES.items()}
        fixture.apply_increment(after, [new])
        fixture.assert_holds(after, [OLD, new])

    @pytest.mark.parametrize(
        ("node", "default"),
        [
            (INT32, 7), (TEXT, "it's \\ \"q\""), ({"type": "boolean"}, True), (ENUM, "b"),
            ({"type": "number", "format": "float64"}, 0.5),
        ],
        ids=["int", "text", "boolean", "enum", "float"],
    )  # fmt: skip
    def test_a_new_required_column_has_its_default_in_the_rows_before(
        self, fixture: TableFixture, node: Node, default: object
    ) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": {**node, "default": default}}, required=("name", "v"))
        fixture.apply_increment(after, [NEW | {"v": default}])
        fixture.assert_holds(after, [OLD | {"v": default}, NEW | {"v": default}])

    def test_a_new_required_column_without_a_default(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": INT32}, required=("name", "v"))
        self._assert_refreshed(fixture, after, OLD | {"v": 1}, NEW | {"v": 2})

    @pytest.mark.parametrize(
        ("before", "after", "old", "new"),
        [
            (SHORT, LONG, "old", "x" * 50),
            (SHORT, TEXT, "old", "x" * 5000),
            (SHORT, {"oneOf": [{"type": "string", "const": "__dap_oversized_truncated__"}, SHORT]}, "old", "new"),
            ({"type": "integer", "format": "int16"}, INT32, -5, 2**31 - 1),
            (INT32, INT64, -5, 2**63 - 1),
            ({"type": "integer", "format": "int16"}, INT64, -5, 2**63 - 1),
            ({"type": "number", "format": "float32"}, {"type": "number", "format": "float64"}, 0.5, 0.1),
            (ENUM, MORE, "a", "c's"),
            (ENUM, {"type": "string", "enum": ["b", "a", "c"]}, "a", "c"),
            (RULES, MORE_RULES, "img-alt", "paragraphs-for-headings"),
            (ENUM, TEXT, "a", "x\ty"),
        ],
        ids=[
            "length",
            "unbounded",
            "marker",
            "16-32",
            "32-64",
            "16-64",
            "float",
            "enum",
            "order",
            "hyphens",
            "enum-text",
        ],
    )
    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_wider_type(
        self, fixture: TableFixture, before: Node, after: Node, old: object, new: object, action: str
    ) -> None:
        table, wider = table_of({"v": before}), version({"v": after}, required=())
        fixture.initial_load(table, [{"id": 1, "v": old}, {"id": 2}])
        rows: list[Values] = [{"id": 3, "v": new}]
        if action == "apply_increment":
            fixture.apply_increment(wider, rows)
            fixture.assert_holds(wider, [{"id": 1, "v": old}, {"id": 2}, *rows])
        else:
            fixture.full_refresh(wider, [{"id": 1, "v": old}, *rows])
            fixture.assert_holds(wider, [{"id": 1, "v": old}, *rows])

    def test_a_wider_key(self, fixture: TableFixture) -> None:
        table = table_of({"n": INT32}, key={"id": INT32, "k": SHORT})
        wider = version({"n": INT32}, key={"id": INT64, "k": LONG}, required=())
        fixture.initial_load(table, [{"id": 1, "k": "a", "n": 1}, {"id": 2, "k": "b", "n": 1}])
        new: Values = {"id": 2**40, "k": "x" * 40, "n": 1}
        try:
            fixture.apply_increment(wider, [new, {"id": 1, "k": "a", "n": 2}, deleted(id=2, k="b")])
            fixture.assert_holds(wider, [new, {"id": 1, "k": "a", "n": 2}])
        except SchemaChangeNotSupportedError:
            fixture.reopen()
            fixture.full_refresh(wider, [new, {"id": 1, "k": "a", "n": 2}])
            fixture.assert_holds(wider, [new, {"id": 1, "k": "a", "n": 2}])

    @pytest.mark.parametrize(
        ("before", "after", "old", "new"),
        [(INT64, INT32, 1, 2), (TEXT, INT32, "1", 2), (TEXT, {"type": "boolean"}, "x", True), (MORE, ENUM, "c's", "a")],
        ids=["64-32", "text-int", "text-boolean", "fewer"],
    )
    def test_a_narrower_or_other_type(
        self, fixture: TableFixture, before: Node, after: Node, old: object, new: object
    ) -> None:
        fixture.initial_load(table_of({"v": before}), [{"id": 1, "v": old}])
        narrower = version({"v": after}, required=())
        self._assert_refreshed(fixture, narrower, {"id": 1, "v": new}, {"id": 2, "v": None})

    @pytest.mark.parametrize(
        ("family", "old", "text"),
        [
            ("int64", 5, "5"),
            ("boolean", True, "true"),
            ("float64", 0.5, "0.5"),
            ("decimal", Decimal("0.10"), "0.10"),
            ("date-time", datetime(2024, 2, 29, 12, 30), "2024-02-29T12:30:00.000Z"),
            ("date", date(2024, 2, 29), "2024-02-29"),
            ("time", time(23, 59, 59), "23:59:59"),
            ("uuid", "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
            ("ip", "192.0.2.1", "192.0.2.1"),
            ("array-int", [1, 2], "[1, 2]"),
            ("object", {"theme": "dark"}, '{"theme": "dark"}'),
        ],
    )
    def test_a_column_that_becomes_text_has_the_text_that_the_service_sends(
        self, fixture: TableFixture, family: str, old: object, text: str
    ) -> None:
        before, after = table_of({"v": FAMILIES[family][0]}), version({"v": TEXT}, required=())
        fixture.initial_load(before, [{"id": 1, "v": old}])
        state = fixture.state(before)
        new: Values = {"id": 2, "v": "\t"}
        try:
            fixture.apply_increment(after, [new])
        except SchemaChangeNotSupportedError:
            fixture.reopen()
            assert fixture.state(before) == state
            fixture.full_refresh(after, [{"id": 1, "v": text}, new])
        fixture.assert_holds(after, [{"id": 1, "v": text}, new])

    def test_required_becomes_nullable(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32}, required=())
        fixture.apply_increment(after, [NEW | {"name": None}])
        fixture.assert_holds(after, [OLD, NEW | {"name": None}])

    def test_nullable_becomes_required(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD | {"size": None}])
        after = version({"name": SHORT, "size": INT32}, required=("name", "size"))
        self._assert_refreshed(fixture, after, OLD, NEW)

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_removed_column_is_kept_and_nullable(self, fixture: TableFixture, action: str) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"size": INT32}, required=())
        new: Values = {"id": 2, "size": 2}
        if action == "apply_increment":
            fixture.apply_increment(after, [new])
        else:
            fixture.full_refresh(after, [{"id": 1, "size": 1}, new])
        fixture.assert_holds(after, [{"id": 1, "size": 1}, new])
        kept = {row["id"]: row["name"] for row in fixture.rows(BASE)}
        assert kept[2] is None
        if action == "apply_increment":
            assert kept[1] == "old"
        fixture.apply_increment(after, [{"id": 1, "size": 3}])
        fixture.assert_holds(after, [{"id": 1, "size": 3}, new])

    @pytest.mark.parametrize("node", [SHORT, INT64], ids=["same", "other"])
    @pytest.mark.parametrize("required", [False, True])
    def test_a_kept_column_is_used_again_even_with_another_type(
        self, fixture: TableFixture, node: Node, required: bool
    ) -> None:
        fixture.initial_load(BASE, [OLD])
        fixture.apply_increment(version({"size": INT32}, required=()), [{"id": 2, "size": 2}])
        value = "late" if node is SHORT else 2**40
        back = version({"size": INT32, "name": {**node, "default": value}}, required=("name",) if required else ())
        third: Values = {"id": 3, "size": 3, "name": value}
        fixture.apply_increment(back, [third])
        rows = fixture.rows(back)
        assert [row["size"] for row in rows] == [1, 2, 3]
        assert rows[2] == fixture.full_row(back, third)
        # Old rows may have the kept value, or that of a new column.
        assert {row["name"] for row in rows[:2]} <= {"old", None, value}
        fixture.full_refresh(back, [OLD | {"name": value}, third])
        fixture.assert_holds(back, [OLD | {"name": value}, third])

    def test_a_changed_key_needs_a_full_refresh(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"size": INT32}, key={"id": INT64, "name": SHORT}, required=())
        self._assert_refreshed(fixture, after, OLD, OLD | {"name": "b"})

    def test_a_changed_key_cannot_keep_missing_rows(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"size": INT32}, key={"id": INT64, "name": SHORT}, required=())
        with fixture.rejected(BASE, SchemaChangeNotSupportedError) as caught:
            fixture.full_refresh(after, [OLD, NEW], LoadOptions(keep_missing=True))
        assert "exist nowhere else" in caught.value.hint, (
            "a new snapshot, which the usual hint recommends, would lose them"
        )

    def test_many_schema_changes_at_once_and_one_after_another(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        second = version({"name": LONG, "size": INT64, "a": TEXT, "b": ENUM}, required=())
        fixture.apply_increment(second, [NEW | {"a": "a", "b": "b", "name": "x" * 50, "size": 2**60}])
        third = table_of({"name": TEXT, "size": INT64, "b": MORE, "c": {"type": "boolean"}}, version=3)
        last: Values = {"id": 3, "b": "c's", "c": True}
        fixture.apply_increment(third, [last, deleted(id=2)])
        fixture.assert_holds(third, [OLD, last])

    def test_schema_changes_are_rolled_back_with_the_data(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"name": LONG, "size": INT64, "v": TEXT}, required=())
        load = fixture.load(after, replace(fixture.files(after, [NEW | {"v": "v"}], action=True), rows=2))
        with fixture.rejected(BASE):
            fixture.session.apply_increment(load, fixture.state(BASE))
        fixture.apply_increment(BASE, [NEW])
        fixture.assert_holds(BASE, [OLD, NEW])
        fixture.apply_increment(after, [{"id": 3, "v": "v"}])
        fixture.assert_holds(after, [OLD, NEW, {"id": 3, "v": "v"}])

    def test_changes_that_no_column_shows(self, fixture: TableFixture) -> None:
        fixture.initial_load(BASE, [OLD])
        described = version({"name": {**SHORT, "description": "What it's called"}, "size": INT32})
        fixture.apply_increment(described, [NEW])
        fixture.assert_holds(described, [OLD, NEW])

    def _assert_refreshed(self, fixture: TableFixture, after: Table, *rows: Values) -> None:
        """Assert that an increment is rejected or correct, and that otherwise a full refresh succeeds."""
        before = fixture.state(after)
        try:
            fixture.apply_increment(after, list(rows))
        except SchemaChangeNotSupportedError:
            fixture.reopen()
            assert fixture.state(after) == before
            fixture.full_refresh(after, list(rows))
        fixture.assert_holds(after, list(rows))
        fixture.apply_increment(after, [deleted(**{column.name: rows[0][column.name] for column in after.key})])
        fixture.assert_holds(after, list(rows[1:]))


class SqlEvolutionContract(EvolutionContract):
    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_removed_column_is_dropped_on_request(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(BASE, [OLD])
        after = version({"size": INT32}, required=())
        rows: list[Values] = [{"id": 1, "size": 1}, {"id": 2, "size": 2}]
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        load(after, rows, LoadOptions(drop_columns=True))
        fixture.assert_holds(after, rows)
        # The name can be used again.
        fixture.database.execute(f"ALTER TABLE {fixture.full_name(after)} ADD COLUMN {identifier('name')} INTEGER")
