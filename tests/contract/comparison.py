"""Part of the contract: a comparison finds each kind of difference, nothing in what is right, and leaves nothing."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.database_fixture import Values
from tests.contract.table_fixture import Scene
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.errors import ConcurrentUpdateError, SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.results import Comparison
from dapkit.targets.base import ExpectedTable, Sample

_KEYS = [
    "int16", "int32", "int64", "int-enum", "float64", "decimal", "boolean", "text-bounded", "text-marker-bounded",
    "enum", "open-enum", "date-time", "date", "time", "uuid", "ipv4", "ipv6", "ip",
]  # fmt: skip
_FREE = {
    "plain": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53 + 1, "on": True},
    "changed": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53, "on": True},
    "one": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53 + 1, "on": 1},
}


def compared(
    scene: Scene,
    table: Table,
    rows: Sequence[Row | Values],
    *,
    truth: Table | None = None,
    changes: Sequence[Row | Values] | None = None,
    stale: Sequence[Row | Values] | None = None,
    sample: Sample | None = None,
) -> Comparison:
    """Compare a table with what a snapshot and perhaps an increment say."""
    other = truth or table
    load = scene.load(other, scene.parts(other, rows, action=False))
    later = [
        None if more is None else scene.load(other, scene.parts(other, more, action=True)) for more in (changes, stale)
    ]
    live = scene.state_table(table)
    return scene.session.compare(
        ExpectedTable(live=live, snapshot=load, changes=later[0], stale=later[1], sample=sample)
    )


def found(comparison: Comparison) -> tuple[int, int, dict[str, int]]:
    """Return how many keys are missing and too many, and in how many rows columns differ."""
    return comparison.missing, comparison.extra, dict(comparison.differing)


NOTHING: tuple[int, int, dict[str, int]] = (0, 0, {})


class ComparingContract:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_changed_value_of_any_type_is_found_and_a_right_one_is_not(self, scene: Scene, family: str) -> None:
        node, values = FAMILIES[family]
        table = table_of({"v": node, "other": INT32})
        states = [*values, None]
        turned = [*states[1:], states[0]]
        scene.initialise(table, [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)])
        right = [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)]
        assert found(compared(scene, table, right)) == NOTHING
        wrong = [{"id": key, "v": value, "other": 1} for key, value in enumerate(turned)]
        comparison = compared(scene, table, wrong)
        assert found(comparison) == (0, 0, {"v": len(states)})
        assert {value.column for value in comparison.values} == {"v"}
        assert comparison.compared == comparison.rows == len(states)

    @pytest.mark.parametrize("family", _KEYS)
    def test_rows_meet_by_keys_of_any_type(self, scene: Scene, family: str) -> None:
        node, values = FAMILIES[family]
        table = table_of({"n": INT32}, key={"k": node})
        self._meets(scene, table, [{"k": value} for value in values])

    def test_rows_meet_by_keys_of_several_columns(self, scene: Scene) -> None:
        nodes: dict[str, Node] = {"course": INT32, "role": FAMILIES["enum"][0], "code": TEXT | {"maxLength": 8}}
        table = table_of({"n": INT32}, key=nodes)
        roles = FAMILIES["enum"][1]
        keys = [{"course": n, "role": role, "code": code} for n in (1, 2) for role in roles[:2] for code in ("", "A")]
        self._meets(scene, table, keys)

    def _meets(self, scene: Scene, table: Table, keys: Sequence[dict[str, Any]]) -> None:
        rows = [key | {"n": number} for number, key in enumerate(keys)]
        scene.initialise(table, rows)
        assert found(compared(scene, table, rows)) == NOTHING
        assert found(compared(scene, table, [rows[0] | {"n": 99}, *rows[1:]])) == (0, 0, {"n": 1})
        lacking = compared(scene, table, rows[1:])
        assert found(lacking) == (0, 1, {})
        assert len(lacking.extra_keys) == 1
        gone, changed = rows[0], rows[1]
        # What was deleted after the snapshot, and what changed after it, belongs to the truth.
        scene.change(table, [deleted(**keys[0]), changed | {"n": 7}])
        assert found(compared(scene, table, rows)) == (1, 0, {"n": 1})
        news: list[Row | Values] = [deleted(**keys[0]), changed | {"n": 7}]
        assert found(compared(scene, table, rows, changes=news)) == NOTHING
        # Of keys that changed since the live table's watermark nothing is said.
        assert found(compared(scene, table, rows, stale=news)) == NOTHING
        after = [changed | {"n": 8}, *rows[2:]]
        assert found(compared(scene, table, after, stale=[changed | {"n": 8}])) == NOTHING
        assert found(compared(scene, table, [gone, *after], stale=[changed | {"n": 8}])) == (1, 0, {})

    def test_every_kind_is_named_and_counted(self, scene: Scene) -> None:
        many = [{"id": number, "name": str(number), "size": number} for number in range(20)]
        scene.initialise(TABLE, many[:-6])
        comparison = compared(scene, TABLE, [row | {"name": "x"} for row in many[1:]])
        assert found(comparison) == (6, 1, {"name": 13})
        assert set(comparison.missing_keys) < {(number,) for number in range(14, 20)}
        assert comparison.extra_keys == ((0,),)
        assert all(value.actual == str(value.key[0]) and value.expected == "x" for value in comparison.values)
        assert not comparison.equal

    def test_null_is_not_nothing(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A | {"name": None}, B])
        assert found(compared(scene, TABLE, [A | {"name": None}, B])) == NOTHING
        assert found(compared(scene, TABLE, [A | {"name": ""}, B])) == (0, 0, {"name": 1})
        assert found(compared(scene, TABLE, [A | {"name": None}, B | {"size": None}])) == (0, 0, {"size": 1})

    def test_empty_tables(self, scene: Scene) -> None:
        scene.initialise(TABLE, [])
        assert found(compared(scene, TABLE, [])) == NOTHING
        assert found(compared(scene, TABLE, [A, C])) == (2, 0, {})
        scene.change(TABLE, [A])
        assert found(compared(scene, TABLE, [])) == (0, 1, {})

    def test_of_a_key_that_came_twice_the_newest_row_counts(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        twice: list[Row | Values] = [Row(A | {"name": "old"}, ts="2024-03-01T11:00:00.000Z"), Row(A), B]
        assert found(compared(scene, TABLE, twice)) == NOTHING
        assert found(compared(scene, TABLE, [A, B], stale=[*twice, Row(C)])) == NOTHING
        assert found(compared(scene, TABLE, [B], changes=twice)) == NOTHING

    def test_a_table_of_keys_only(self, scene: Scene) -> None:
        table = table_of({})
        scene.initialise(table, [{"id": 1}, {"id": 2}])
        comparison = compared(scene, table, [{"id": 2}, {"id": 3}])
        assert (*found(comparison), comparison.compared) == (1, 1, {}, 1)

    @pytest.mark.parametrize("family", ["object-free", "untyped", "object"])
    def test_json_is_compared_as_what_it_says(self, scene: Scene, family: str) -> None:
        table = table_of({"v": FAMILIES[family][0]})
        rows: list[Values] = [{"id": 1, "v": _FREE["plain"]}, {"id": 2, "v": {"x": 1}}, {"id": 3, "v": None}]
        scene.initialise(table, rows)
        dialect = scene.session.dialect
        odd = json.dumps(dict(reversed(_FREE["plain"].items())), indent=1).replace("2.5", "25e-1").replace("[\n", "[")
        for text, wanted in ((odd.replace(" 1,", " 1.0,"), NOTHING), (json.dumps(_FREE["changed"]), (0, 0, {"v": 1}))):
            where = f"WHERE {dialect.identifier('id')} = 1"
            scene.place.execute(f"UPDATE {dialect.of(table)} SET v = {dialect.literal(text)} {where}")
            assert found(compared(scene, table, rows)) == wanted
        assert found(compared(scene, table, [rows[0] | {"v": _FREE["one"]}, *rows[1:]])) == (0, 0, {"v": 1})
        assert found(compared(scene, table, [*rows[:2], {"id": 3, "v": {}}])) == (0, 0, {"v": 2})

    def test_only_a_sample_of_the_values_but_every_key(self, scene: Scene) -> None:
        rows = [{"id": number, "name": "a", "size": number} for number in range(400)]
        scene.initialise(TABLE, rows)
        wrong = [row | {"name": "b"} for row in rows[1:]]
        numbers = set()
        for seed in "abc":
            comparison = compared(scene, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert 10 <= comparison.compared <= 80
            assert found(comparison) == (0, 1, {"name": comparison.compared})
            assert comparison.rows == 400
            again = compared(scene, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert again == comparison
            numbers.add((comparison.compared, comparison.values))
        assert len(numbers) == 3, "another seed picks other rows"
        assert compared(scene, TABLE, wrong, sample=Sample(percent=100, seed="a")).compared == 399

    def test_what_another_version_of_the_schema_has_in_common_is_compared(self, scene: Scene) -> None:
        before = table_of({"name": TEXT | {"maxLength": 10}, "size": INT32, "gone": TEXT, "turned": INT32})
        after = table_of(
            {"name": TEXT | {"maxLength": 30}, "size": INT64, "turned": TEXT, "new": TEXT | {"default": "x"}}, version=2
        )
        old = [{"id": n, "name": "a", "size": n, "gone": "g", "turned": n} for n in (1, 2)]
        new = [{"id": n, "name": "a", "size": n, "turned": str(n), "new": "y"} for n in (1, 2)]
        scene.initialise(before, old)
        comparison = compared(scene, before, new, truth=after)
        assert found(comparison) == NOTHING
        assert comparison.columns_not_compared == ("gone", "turned")
        wrong = [new[0] | {"name": "b" * 20, "size": 2**40}, new[1]]
        assert found(compared(scene, before, wrong, truth=after)) == (0, 0, {"name": 1, "size": 1})

    def test_a_key_that_is_another_cannot_be_compared(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        after = table_of({"size": INT64}, key={"id": INT64, "name": TEXT | {"maxLength": 5}}, version=2)
        with pytest.raises(SchemaChangeNotSupportedError):
            compared(scene, TABLE, [A], truth=after)
        scene.reopen()
        assert found(compared(scene, TABLE, [A, B])) == NOTHING

    def test_a_table_that_is_brought_further_meanwhile_is_not_judged(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A, B])
        state = scene.state_table(TABLE)
        load = scene.load(TABLE, scene.parts(TABLE, [A, B], action=False))
        scene.change(TABLE, [C])
        with pytest.raises(ConcurrentUpdateError):
            scene.session.compare(ExpectedTable(live=state, snapshot=load))

    def test_nothing_is_left_of_it(self, scene: Scene) -> None:
        table = table_of({"name": TEXT, "kind": FAMILIES["open-enum"][0], "color": FAMILIES["enum"][0]})
        rows: list[Values] = [{"id": 1, "name": "a", "kind": "it's", "color": "it's"}]
        scene.initialise(table, rows)
        state, there = scene.state_table(table), scene.rows(table)
        new: Values = {"id": 2, "name": "b", "kind": "never seen", "color": "a,b"}
        assert found(compared(scene, table, [*rows, new], stale=[new | {"id": 3}])) == (1, 0, {})
        scene.reopen()
        assert not scene.session.exists(scene.session.dialect.scratch, table.name)
        assert scene.rows(table) == there
        assert scene.state_table(table) == state
        assert found(compared(scene, table, [*rows, new], stale=[new])) == NOTHING
