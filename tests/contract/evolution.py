"""Part of the contract: the schema changes. What can be altered is, with the data; what cannot is left untouched."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from tests.contract.database_fixture import Values
from tests.contract.table_fixture import Scene
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import deleted

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.base import LoadOptions

SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 50}
BASE = table_of({"name": SHORT, "size": INT32}, required=["name"])
OLD: Values = {"id": 1, "name": "old", "size": 1}
NEW: Values = {"id": 2, "name": "new", "size": 2}
ENUM: Node = {"type": "string", "enum": ["a", "b"]}
MORE: Node = {"type": "string", "enum": ["a", "b", "c's"]}


def version(
    value: Mapping[str, Node], *, required: tuple[str, ...] = ("name",), key: Mapping[str, Node] | None = None
) -> Table:
    return table_of(value, required=required, key=key, version=2)


class EvolutionContract:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_new_column_is_null_in_the_rows_before(self, scene: Scene, family: str) -> None:
        node, values = FAMILIES[family]
        scene.initialise(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": node})
        new = {"id": 2, "name": "new", "v": values[0]}
        scene.change(after, [new])
        scene.holds(after, [OLD, new])

    @pytest.mark.parametrize(
        ("node", "default"),
        [
            (INT32, 7), (TEXT, "it's \\ \"q\""), ({"type": "boolean"}, True), (ENUM, "b"),
            ({"type": "number", "format": "float64"}, 0.5),
        ],
        ids=["int", "text", "boolean", "enum", "float"],
    )  # fmt: skip
    def test_a_new_required_column_has_its_default_in_the_rows_before(
        self, scene: Scene, node: Node, default: object
    ) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": {**node, "default": default}}, required=("name", "v"))
        scene.change(after, [NEW | {"v": default}])
        scene.holds(after, [OLD | {"v": default}, NEW | {"v": default}])

    def test_a_new_required_column_without_a_default(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32, "v": INT32}, required=("name", "v"))
        self._takes_a_snapshot(scene, after, OLD | {"v": 1}, NEW | {"v": 2})

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
            (ENUM, TEXT, "a", "x\ty"),
        ],
        ids=["length", "unbounded", "marker", "16-32", "32-64", "16-64", "float", "enum", "order", "enum-text"],
    )
    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_a_wider_type(self, scene: Scene, before: Node, after: Node, old: object, new: object, action: str) -> None:
        table, wider = table_of({"v": before}), version({"v": after}, required=())
        scene.initialise(table, [{"id": 1, "v": old}, {"id": 2}])
        rows: list[Values] = [{"id": 3, "v": new}]
        if action == "change":
            scene.change(wider, rows)
            scene.holds(wider, [{"id": 1, "v": old}, {"id": 2}, *rows])
        else:
            scene.replace(wider, [{"id": 1, "v": old}, *rows])
            scene.holds(wider, [{"id": 1, "v": old}, *rows])

    def test_a_wider_key(self, scene: Scene) -> None:
        table = table_of({"n": INT32}, key={"id": INT32, "k": SHORT})
        wider = version({"n": INT32}, key={"id": INT64, "k": LONG}, required=())
        scene.initialise(table, [{"id": 1, "k": "a", "n": 1}, {"id": 2, "k": "b", "n": 1}])
        new: Values = {"id": 2**40, "k": "x" * 40, "n": 1}
        try:
            scene.change(wider, [new, {"id": 1, "k": "a", "n": 2}, deleted(id=2, k="b")])
            scene.holds(wider, [new, {"id": 1, "k": "a", "n": 2}])
        except SchemaChangeNotSupportedError:
            scene.reopen()
            scene.replace(wider, [new, {"id": 1, "k": "a", "n": 2}])
            scene.holds(wider, [new, {"id": 1, "k": "a", "n": 2}])

    @pytest.mark.parametrize(
        ("before", "after", "old", "new"),
        [(INT64, INT32, 1, 2), (TEXT, INT32, "1", 2), (TEXT, {"type": "boolean"}, "x", True), (MORE, ENUM, "c's", "a")],
        ids=["64-32", "text-int", "text-boolean", "fewer"],
    )
    def test_a_narrower_or_other_type(self, scene: Scene, before: Node, after: Node, old: object, new: object) -> None:
        scene.initialise(table_of({"v": before}), [{"id": 1, "v": old}])
        narrower = version({"v": after}, required=())
        self._takes_a_snapshot(scene, narrower, {"id": 1, "v": new}, {"id": 2, "v": None})

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
    def test_a_column_that_becomes_text_says_what_the_service_says(
        self, scene: Scene, family: str, old: object, text: str
    ) -> None:
        before, after = table_of({"v": FAMILIES[family][0]}), version({"v": TEXT}, required=())
        scene.initialise(before, [{"id": 1, "v": old}])
        state = scene.state_table(before)
        new: Values = {"id": 2, "v": "\t"}
        try:
            scene.change(after, [new])
        except SchemaChangeNotSupportedError:
            scene.reopen()
            assert scene.state_table(before) == state
            scene.replace(after, [{"id": 1, "v": text}, new])
        scene.holds(after, [{"id": 1, "v": text}, new])

    def test_required_becomes_nullable(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"name": SHORT, "size": INT32}, required=())
        scene.change(after, [NEW | {"name": None}])
        scene.holds(after, [OLD, NEW | {"name": None}])

    def test_nullable_becomes_required(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD | {"size": None}])
        after = version({"name": SHORT, "size": INT32}, required=("name", "size"))
        self._takes_a_snapshot(scene, after, OLD, NEW)

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_a_column_that_is_gone_is_kept_and_nullable(self, scene: Scene, action: str) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"size": INT32}, required=())
        new: Values = {"id": 2, "size": 2}
        if action == "change":
            scene.change(after, [new])
        else:
            scene.replace(after, [{"id": 1, "size": 1}, new])
        scene.holds(after, [{"id": 1, "size": 1}, new])
        kept = {row["id"]: row["name"] for row in scene.rows(BASE)}
        assert kept[2] is None
        if action == "change":
            assert kept[1] == "old"
        scene.change(after, [{"id": 1, "size": 3}])
        scene.holds(after, [{"id": 1, "size": 3}, new])

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_a_column_that_is_gone_is_dropped_where_that_is_asked_for(self, scene: Scene, action: str) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"size": INT32}, required=())
        rows: list[Values] = [{"id": 1, "size": 1}, {"id": 2, "size": 2}]
        load = scene.change if action == "change" else scene.replace
        load(after, rows, LoadOptions(drop_columns=True))
        scene.holds(after, rows)
        dialect = scene.session.dialect  # the name is free again
        scene.place.execute(f"ALTER TABLE {dialect.of(after)} ADD COLUMN {dialect.identifier('name')} INTEGER")

    @pytest.mark.parametrize("node", [SHORT, INT64], ids=["same", "other"])
    @pytest.mark.parametrize("required", [False, True])
    def test_a_column_that_was_kept_comes_back_even_with_another_type(
        self, scene: Scene, node: Node, required: bool
    ) -> None:
        scene.initialise(BASE, [OLD])
        scene.change(version({"size": INT32}, required=()), [{"id": 2, "size": 2}])
        value = "late" if node is SHORT else 2**40
        back = version({"size": INT32, "name": {**node, "default": value}}, required=("name",) if required else ())
        third: Values = {"id": 3, "size": 3, "name": value}
        scene.change(back, [third])
        rows = scene.rows(back)
        assert [row["size"] for row in rows] == [1, 2, 3]
        assert rows[2] == scene.full(back, third)
        # Of the old rows it may hold what was kept, or what a new column would.
        assert {row["name"] for row in rows[:2]} <= {"old", None, value}
        scene.replace(back, [OLD | {"name": value}, third])
        scene.holds(back, [OLD | {"name": value}, third])

    def test_a_key_that_changed(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"size": INT32}, key={"id": INT64, "name": SHORT}, required=())
        self._takes_a_snapshot(scene, after, OLD, OLD | {"name": "b"})

    def test_a_key_that_changed_cannot_keep_the_rows_that_are_missing(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"size": INT32}, key={"id": INT64, "name": SHORT}, required=())
        with scene.refused(BASE, SchemaChangeNotSupportedError):
            scene.replace(after, [OLD, NEW], LoadOptions(keep_missing=True))

    def test_many_changes_at_once_and_one_after_another(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        second = version({"name": LONG, "size": INT64, "a": TEXT, "b": ENUM}, required=())
        scene.change(second, [NEW | {"a": "a", "b": "b", "name": "x" * 50, "size": 2**60}])
        third = table_of({"name": TEXT, "size": INT64, "b": MORE, "c": {"type": "boolean"}}, version=3)
        last: Values = {"id": 3, "b": "c's", "c": True}
        scene.change(third, [last, deleted(id=2)])
        scene.holds(third, [OLD, last])

    def test_alterations_are_undone_with_the_data(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        after = version({"name": LONG, "size": INT64, "v": TEXT}, required=())
        load = scene.load(after, replace(scene.parts(after, [NEW | {"v": "v"}], action=True), rows=2))
        with scene.refused(BASE):
            scene.session.change(load, scene.state_table(BASE))
        scene.change(BASE, [NEW])
        scene.holds(BASE, [OLD, NEW])
        scene.change(after, [{"id": 3, "v": "v"}])
        scene.holds(after, [OLD, NEW, {"id": 3, "v": "v"}])

    def test_changes_that_no_column_shows(self, scene: Scene) -> None:
        scene.initialise(BASE, [OLD])
        described = version({"name": {**SHORT, "description": "What it's called"}, "size": INT32})
        scene.change(described, [NEW])
        scene.holds(described, [OLD, NEW])

    def _takes_a_snapshot(self, scene: Scene, after: Table, *rows: Values) -> None:
        """Require that a change is refused or right, and that a snapshot is taken by all means."""
        before = scene.state_table(after)
        try:
            scene.change(after, list(rows))
        except SchemaChangeNotSupportedError:
            scene.reopen()
            assert scene.state_table(after) == before
            scene.replace(after, list(rows))
        scene.holds(after, list(rows))
        scene.change(after, [deleted(**{column.name: rows[0][column.name] for column in after.key})])
        scene.holds(after, list(rows[1:]))
