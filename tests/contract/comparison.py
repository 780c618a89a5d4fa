"""Part of the contract: a comparison finds each kind of difference, nothing in what is right, and leaves nothing."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.database_fixture import Values
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.errors import ConcurrentUpdateError, SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.results import Comparison
from dapkit.targets.base import ExpectedTable, Sample
from dapkit.targets.sql.dialect import identifier

_KEYS = [
    "int16", "int32", "int64", "int-enum", "float64", "decimal", "boolean", "text-bounded", "text-marker-bounded",
    "enum", "open-enum", "date-time", "date", "time", "uuid", "ipv4", "ipv6", "ip",
]  # fmt: skip
_FAST_KEYS = {"int64", "text-bounded", "open-enum", "uuid"}


def _marks(family: str) -> list[pytest.MarkDecorator]:
    return [] if family in _FAST_KEYS else [pytest.mark.slow]


_FREE = {
    "plain": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53 + 1, "on": True},
    "changed": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53, "on": True},
    "one": {"b": [1, 2.5, {"c": None}], "a": "é 👩 \n", "large": 2**53 + 1, "on": 1},
}


def compared(
    fixture: TableFixture,
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
    load = fixture.load(other, fixture.parts(other, rows, action=False))
    later = [
        None if more is None else fixture.load(other, fixture.parts(other, more, action=True))
        for more in (changes, stale)
    ]
    live = fixture.state(table)
    return fixture.session.compare(
        ExpectedTable(live=live, snapshot=load, changes=later[0], stale=later[1], sample=sample)
    )


def found(comparison: Comparison) -> tuple[int, int, dict[str, int]]:
    """Return how many keys are missing and too many, and in how many rows columns differ."""
    return comparison.missing, comparison.extra, dict(comparison.differing)


NOTHING: tuple[int, int, dict[str, int]] = (0, 0, {})


class ComparisonContract:
    def test_changed_values_of_all_types_are_found_and_right_ones_are_not(self, fixture: TableFixture) -> None:
        table = table_of({name: node for name, (node, _) in FAMILIES.items()})
        states = {name: [*values, None] for name, (_, values) in FAMILIES.items()}
        count = max(map(len, states.values()))

        def rows(turn: int) -> list[Values]:
            return [
                {"id": n} | {name: each[(n + turn) % len(each)] for name, each in states.items()} for n in range(count)
            ]

        fixture.initial_load(table, rows(0))
        assert found(compared(fixture, table, rows(0))) == NOTHING
        comparison = compared(fixture, table, rows(1))
        assert found(comparison) == (0, 0, dict.fromkeys(states, count))

    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_changed_value_of_any_type_is_found_and_a_right_one_is_not(
        self, fixture: TableFixture, family: str
    ) -> None:
        node, values = FAMILIES[family]
        table = table_of({"v": node, "other": INT32})
        states = [*values, None]
        turned = [*states[1:], states[0]]
        fixture.initial_load(table, [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)])
        right = [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)]
        assert found(compared(fixture, table, right)) == NOTHING
        wrong = [{"id": key, "v": value, "other": 1} for key, value in enumerate(turned)]
        comparison = compared(fixture, table, wrong)
        assert found(comparison) == (0, 0, {"v": len(states)})
        assert {value.column for value in comparison.values} == {"v"}
        assert comparison.compared == comparison.rows == len(states)

    @pytest.mark.parametrize("family", [pytest.param(name, marks=_marks(name)) for name in _KEYS])
    def test_rows_meet_by_keys_of_any_type(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family]
        table = table_of({"n": INT32}, key={"k": node})
        self._meets(fixture, table, [{"k": value} for value in values])

    def test_rows_meet_by_keys_of_several_columns(self, fixture: TableFixture) -> None:
        nodes: dict[str, Node] = {"course": INT32, "role": FAMILIES["enum"][0], "code": TEXT | {"maxLength": 8}}
        table = table_of({"n": INT32}, key=nodes)
        roles = FAMILIES["enum"][1]
        keys = [{"course": n, "role": role, "code": code} for n in (1, 2) for role in roles[:2] for code in ("", "A")]
        self._meets(fixture, table, keys)

    def _meets(self, fixture: TableFixture, table: Table, keys: Sequence[dict[str, Any]]) -> None:
        rows = [key | {"n": number} for number, key in enumerate(keys)]
        fixture.initial_load(table, rows)
        assert found(compared(fixture, table, rows)) == NOTHING
        assert found(compared(fixture, table, [rows[0] | {"n": 99}, *rows[1:]])) == (0, 0, {"n": 1})
        lacking = compared(fixture, table, rows[1:])
        assert found(lacking) == (0, 1, {})
        assert len(lacking.extra_keys) == 1
        gone, changed = rows[0], rows[1]
        # What was deleted after the snapshot, and what changed after it, belongs to the truth.
        fixture.apply_increment(table, [deleted(**keys[0]), changed | {"n": 7}])
        assert found(compared(fixture, table, rows)) == (1, 0, {"n": 1})
        news: list[Row | Values] = [deleted(**keys[0]), changed | {"n": 7}]
        assert found(compared(fixture, table, rows, changes=news)) == NOTHING
        # Of keys that changed since the live table's watermark nothing is said.
        assert found(compared(fixture, table, rows, stale=news)) == NOTHING
        after = [changed | {"n": 8}, *rows[2:]]
        assert found(compared(fixture, table, after, stale=[changed | {"n": 8}])) == NOTHING
        assert found(compared(fixture, table, [gone, *after], stale=[changed | {"n": 8}])) == (1, 0, {})

    def test_every_kind_is_named_and_counted(self, fixture: TableFixture) -> None:
        many = [{"id": number, "name": str(number), "size": number} for number in range(20)]
        fixture.initial_load(TABLE, many[:-6])
        comparison = compared(fixture, TABLE, [row | {"name": "x"} for row in many[1:]])
        assert found(comparison) == (6, 1, {"name": 13})
        assert set(comparison.missing_keys) < {(number,) for number in range(14, 20)}
        assert comparison.extra_keys == ((0,),)
        assert all(value.actual == str(value.key[0]) and value.expected == "x" for value in comparison.values)
        assert not comparison.equal

    def test_null_is_not_nothing(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A | {"name": None}, B])
        assert found(compared(fixture, TABLE, [A | {"name": None}, B])) == NOTHING
        assert found(compared(fixture, TABLE, [A | {"name": ""}, B])) == (0, 0, {"name": 1})
        assert found(compared(fixture, TABLE, [A | {"name": None}, B | {"size": None}])) == (0, 0, {"size": 1})

    def test_empty_tables(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [])
        assert found(compared(fixture, TABLE, [])) == NOTHING
        assert found(compared(fixture, TABLE, [A, C])) == (2, 0, {})
        fixture.apply_increment(TABLE, [A])
        assert found(compared(fixture, TABLE, [])) == (0, 1, {})

    def test_of_a_key_that_came_twice_the_newest_row_counts(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        twice: list[Row | Values] = [Row(A | {"name": "old"}, ts="2024-03-01T11:00:00.000Z"), Row(A), B]
        assert found(compared(fixture, TABLE, twice)) == NOTHING
        assert found(compared(fixture, TABLE, [A, B], stale=[*twice, Row(C)])) == NOTHING
        assert found(compared(fixture, TABLE, [B], changes=twice)) == NOTHING

    def test_a_table_of_keys_only(self, fixture: TableFixture) -> None:
        table = table_of({})
        fixture.initial_load(table, [{"id": 1}, {"id": 2}])
        comparison = compared(fixture, table, [{"id": 2}, {"id": 3}])
        assert (*found(comparison), comparison.compared) == (1, 1, {}, 1)

    def test_only_a_sample_of_the_values_but_every_key(self, fixture: TableFixture) -> None:
        rows = [{"id": number, "name": "a", "size": number} for number in range(400)]
        fixture.initial_load(TABLE, rows)
        wrong = [row | {"name": "b"} for row in rows[1:]]
        numbers = set()
        for seed in "abc":
            comparison = compared(fixture, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert 10 <= comparison.compared <= 80
            assert found(comparison) == (0, 1, {"name": comparison.compared})
            assert comparison.rows == 400
            again = compared(fixture, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert again == comparison
            numbers.add((comparison.compared, comparison.values))
        assert len(numbers) == 3, "another seed picks other rows"
        assert compared(fixture, TABLE, wrong, sample=Sample(percent=100, seed="a")).compared == 399

    def test_what_another_version_of_the_schema_has_in_common_is_compared(self, fixture: TableFixture) -> None:
        before = table_of({"name": TEXT | {"maxLength": 10}, "size": INT32, "gone": TEXT, "turned": INT32})
        after = table_of(
            {"name": TEXT | {"maxLength": 30}, "size": INT64, "turned": TEXT, "new": TEXT | {"default": "x"}}, version=2
        )
        old = [{"id": n, "name": "a", "size": n, "gone": "g", "turned": n} for n in (1, 2)]
        new = [{"id": n, "name": "a", "size": n, "turned": str(n), "new": "y"} for n in (1, 2)]
        fixture.initial_load(before, old)
        comparison = compared(fixture, before, new, truth=after)
        assert found(comparison) == NOTHING
        assert comparison.columns_not_compared == ("gone", "turned")
        wrong = [new[0] | {"name": "b" * 20, "size": 2**40}, new[1]]
        assert found(compared(fixture, before, wrong, truth=after)) == (0, 0, {"name": 1, "size": 1})

    def test_a_key_that_is_another_cannot_be_compared(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        after = table_of({"size": INT64}, key={"id": INT64, "name": TEXT | {"maxLength": 5}}, version=2)
        with pytest.raises(SchemaChangeNotSupportedError):
            compared(fixture, TABLE, [A], truth=after)
        fixture.reopen()
        assert found(compared(fixture, TABLE, [A, B])) == NOTHING

    def test_a_table_that_is_brought_further_meanwhile_is_not_judged(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        state = fixture.state(TABLE)
        load = fixture.load(TABLE, fixture.parts(TABLE, [A, B], action=False))
        fixture.apply_increment(TABLE, [C])
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.compare(ExpectedTable(live=state, snapshot=load))

    def test_values_that_have_to_be_repaired_compare_as_equal(self, fixture: TableFixture) -> None:
        table = table_of({"number": FAMILIES["float64"][0], "time": FAMILIES["date-time"][0]})
        rows: list[Values] = [{"id": 1, "number": "NaN", "time": "+12345-01-01T00:00:00Z"}]
        fixture.initial_load(table, rows)
        assert found(compared(fixture, table, rows)) == NOTHING


class SqlComparisonContract(ComparisonContract):
    @pytest.mark.parametrize("family", ["object-free", "untyped", "object"])
    def test_json_is_compared_as_what_it_says(self, fixture: SqlTableFixture, family: str) -> None:
        table = table_of({"v": FAMILIES[family][0]})
        rows: list[Values] = [{"id": 1, "v": _FREE["plain"]}, {"id": 2, "v": {"x": 1}}, {"id": 3, "v": None}]
        fixture.initial_load(table, rows)
        dialect = fixture.dialect
        odd = json.dumps(dict(reversed(_FREE["plain"].items())), indent=1).replace("2.5", "25e-1").replace("[\n", "[")
        for text, wanted in ((odd.replace(" 1,", " 1.0,"), NOTHING), (json.dumps(_FREE["changed"]), (0, 0, {"v": 1}))):
            where = f"WHERE {identifier('id')} = 1"
            fixture.database.execute(f"UPDATE {fixture.of(table)} SET v = {dialect.facts.literal(text)} {where}")
            assert found(compared(fixture, table, rows)) == wanted
        assert found(compared(fixture, table, [rows[0] | {"v": _FREE["one"]}, *rows[1:]])) == (0, 0, {"v": 1})
        assert found(compared(fixture, table, [*rows[:2], {"id": 3, "v": {}}])) == (0, 0, {"v": 2})

    def test_nothing_is_left_of_it(self, fixture: SqlTableFixture) -> None:
        table = table_of({"name": TEXT, "kind": FAMILIES["open-enum"][0], "color": FAMILIES["enum"][0]})
        rows: list[Values] = [{"id": 1, "name": "a", "kind": "it's", "color": "it's"}]
        fixture.initial_load(table, rows)
        state, there = fixture.state(table), fixture.rows(table)
        new: Values = {"id": 2, "name": "b", "kind": "never seen", "color": "a,b"}
        assert found(compared(fixture, table, [*rows, new], stale=[new | {"id": 3}])) == (1, 0, {})
        fixture.reopen()
        assert not fixture.exists(fixture.dialect.facts.scratch, table.name)
        assert fixture.rows(table) == there
        assert fixture.state(table) == state
        assert found(compared(fixture, table, [*rows, new], stale=[new])) == NOTHING
