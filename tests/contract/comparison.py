"""Contract: a comparison finds each kind of difference, none in equal tables, and leaves nothing behind."""

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
    other: Table | None = None,
    changes: Sequence[Row | Values] | None = None,
    stale: Sequence[Row | Values] | None = None,
    sample: Sample | None = None,
) -> Comparison:
    """Compare a table with a snapshot and optional increments, perhaps of another version of its schema."""
    schema = other or table
    load = fixture.load(schema, fixture.files(schema, rows, action=False))
    later = [
        None if more is None else fixture.load(schema, fixture.files(schema, more, action=True))
        for more in (changes, stale)
    ]
    state = fixture.state(table)
    return fixture.session.compare(
        ExpectedTable(actual=state, snapshot=load, changes=later[0], stale=later[1], sample=sample)
    )


def differences(comparison: Comparison) -> tuple[int, int, dict[str, int]]:
    """Return the number of missing and extra keys, and of differing rows by column."""
    return comparison.missing, comparison.extra, dict(comparison.differing)


NO_DIFFERENCES: tuple[int, int, dict[str, int]] = (0, 0, {})


class ComparisonContract:
    def test_a_comparison_finds_changed_values_of_all_types(self, fixture: TableFixture) -> None:
        table = table_of({name: node for name, (node, _) in FAMILIES.items()})
        states = {name: [*values, None] for name, (_, values) in FAMILIES.items()}
        count = max(map(len, states.values()))

        def rows(turn: int) -> list[Values]:
            return [
                {"id": n} | {name: each[(n + turn) % len(each)] for name, each in states.items()} for n in range(count)
            ]

        fixture.initial_load(table, rows(0))
        assert differences(compared(fixture, table, rows(0))) == NO_DIFFERENCES
        comparison = compared(fixture, table, rows(1))
        assert differences(comparison) == (0, 0, dict.fromkeys(states, count))

    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_comparison_finds_changed_values_of_each_type(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family]
        table = table_of({"v": node, "other": INT32})
        states = [*values, None]
        turned = [*states[1:], states[0]]
        fixture.initial_load(table, [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)])
        right = [{"id": key, "v": value, "other": 1} for key, value in enumerate(states)]
        assert differences(compared(fixture, table, right)) == NO_DIFFERENCES
        wrong = [{"id": key, "v": value, "other": 1} for key, value in enumerate(turned)]
        comparison = compared(fixture, table, wrong)
        assert differences(comparison) == (0, 0, {"v": len(states)})
        assert {value.column for value in comparison.values} == {"v"}
        assert comparison.compared == comparison.rows == len(states)

    @pytest.mark.parametrize("family", [pytest.param(name, marks=_marks(name)) for name in _KEYS])
    def test_rows_are_matched_by_keys_of_any_type(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family]
        table = table_of({"n": INT32}, key={"k": node})
        self._assert_matched(fixture, table, [{"k": value} for value in values])

    def test_rows_are_matched_by_keys_of_several_columns(self, fixture: TableFixture) -> None:
        nodes: dict[str, Node] = {"course": INT32, "role": FAMILIES["enum"][0], "code": TEXT | {"maxLength": 8}}
        table = table_of({"n": INT32}, key=nodes)
        roles = FAMILIES["enum"][1]
        keys = [{"course": n, "role": role, "code": code} for n in (1, 2) for role in roles[:2] for code in ("", "A")]
        self._assert_matched(fixture, table, keys)

    def _assert_matched(self, fixture: TableFixture, table: Table, keys: Sequence[dict[str, Any]]) -> None:
        rows = [key | {"n": number} for number, key in enumerate(keys)]
        fixture.initial_load(table, rows)
        assert differences(compared(fixture, table, rows)) == NO_DIFFERENCES
        assert differences(compared(fixture, table, [rows[0] | {"n": 99}, *rows[1:]])) == (0, 0, {"n": 1})
        lacking = compared(fixture, table, rows[1:])
        assert differences(lacking) == (0, 1, {})
        assert len(lacking.extra_keys) == 1
        deleted_row, changed = rows[0], rows[1]
        # Rows that were deleted or changed after the snapshot are expected to differ from it.
        fixture.apply_increment(table, [deleted(**keys[0]), changed | {"n": 7}])
        assert differences(compared(fixture, table, rows)) == (1, 0, {"n": 1})
        changes: list[Row | Values] = [deleted(**keys[0]), changed | {"n": 7}]
        assert differences(compared(fixture, table, rows, changes=changes)) == NO_DIFFERENCES
        # Keys that changed since the watermark of the table are not compared.
        assert differences(compared(fixture, table, rows, stale=changes)) == NO_DIFFERENCES
        after = [changed | {"n": 8}, *rows[2:]]
        assert differences(compared(fixture, table, after, stale=[changed | {"n": 8}])) == NO_DIFFERENCES
        assert differences(compared(fixture, table, [deleted_row, *after], stale=[changed | {"n": 8}])) == (1, 0, {})

    def test_every_kind_of_difference_is_counted_with_examples(self, fixture: TableFixture) -> None:
        many = [{"id": number, "name": str(number), "size": number} for number in range(20)]
        fixture.initial_load(TABLE, many[:-6])
        comparison = compared(fixture, TABLE, [row | {"name": "x"} for row in many[1:]])
        assert differences(comparison) == (6, 1, {"name": 13})
        assert set(comparison.missing_keys) < {(number,) for number in range(14, 20)}
        assert comparison.extra_keys == ((0,),)
        assert all(value.actual == str(value.key[0]) and value.expected == "x" for value in comparison.values)
        assert not comparison.equal

    def test_null_and_empty_text_differ(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A | {"name": None}, B])
        assert differences(compared(fixture, TABLE, [A | {"name": None}, B])) == NO_DIFFERENCES
        assert differences(compared(fixture, TABLE, [A | {"name": ""}, B])) == (0, 0, {"name": 1})
        assert differences(compared(fixture, TABLE, [A | {"name": None}, B | {"size": None}])) == (0, 0, {"size": 1})

    def test_empty_tables(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [])
        assert differences(compared(fixture, TABLE, [])) == NO_DIFFERENCES
        assert differences(compared(fixture, TABLE, [A, C])) == (2, 0, {})
        fixture.apply_increment(TABLE, [A])
        assert differences(compared(fixture, TABLE, [])) == (0, 1, {})

    def test_a_key_that_occurs_twice_is_compared_by_its_newest_row(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        twice: list[Row | Values] = [Row(A | {"name": "old"}, ts="2024-03-01T11:00:00.000Z"), Row(A), B]
        assert differences(compared(fixture, TABLE, twice)) == NO_DIFFERENCES
        assert differences(compared(fixture, TABLE, [A, B], stale=[*twice, Row(C)])) == NO_DIFFERENCES
        assert differences(compared(fixture, TABLE, [B], changes=twice)) == NO_DIFFERENCES

    def test_a_table_with_only_key_columns_is_compared(self, fixture: TableFixture) -> None:
        table = table_of({})
        fixture.initial_load(table, [{"id": 1}, {"id": 2}])
        comparison = compared(fixture, table, [{"id": 2}, {"id": 3}])
        assert (*differences(comparison), comparison.compared) == (1, 1, {}, 1)

    def test_a_sample_compares_some_values_but_every_key(self, fixture: TableFixture) -> None:
        rows = [{"id": number, "name": "a", "size": number} for number in range(400)]
        fixture.initial_load(TABLE, rows)
        wrong = [row | {"name": "b"} for row in rows[1:]]
        numbers = set()
        for seed in "abc":
            comparison = compared(fixture, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert 10 <= comparison.compared <= 80
            assert differences(comparison) == (0, 1, {"name": comparison.compared})
            assert comparison.rows == 400
            again = compared(fixture, TABLE, wrong, sample=Sample(percent=10, seed=seed))
            assert again == comparison
            numbers.add((comparison.compared, comparison.values))
        assert len(numbers) == 3, "another seed picks other rows"
        assert compared(fixture, TABLE, wrong, sample=Sample(percent=100, seed="a")).compared == 399

    def test_columns_common_to_two_schema_versions_are_compared(self, fixture: TableFixture) -> None:
        before = table_of({"name": TEXT | {"maxLength": 10}, "size": INT32, "removed": TEXT, "other_type": INT32})
        after = table_of(
            {"name": TEXT | {"maxLength": 30}, "size": INT64, "other_type": TEXT, "new": TEXT | {"default": "x"}},
            version=2,
        )
        old = [{"id": n, "name": "a", "size": n, "removed": "g", "other_type": n} for n in (1, 2)]
        new = [{"id": n, "name": "a", "size": n, "other_type": str(n), "new": "y"} for n in (1, 2)]
        fixture.initial_load(before, old)
        comparison = compared(fixture, before, new, other=after)
        assert differences(comparison) == NO_DIFFERENCES
        assert comparison.columns_not_compared == ("removed", "other_type")
        wrong = [new[0] | {"name": "b" * 20, "size": 2**40}, new[1]]
        assert differences(compared(fixture, before, wrong, other=after)) == (0, 0, {"name": 1, "size": 1})

    def test_tables_with_different_keys_cannot_be_compared(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        after = table_of({"size": INT64}, key={"id": INT64, "name": TEXT | {"maxLength": 5}}, version=2)
        with pytest.raises(SchemaChangeNotSupportedError):
            compared(fixture, TABLE, [A], other=after)
        fixture.reopen()
        assert differences(compared(fixture, TABLE, [A, B])) == NO_DIFFERENCES

    def test_a_table_that_was_updated_before_the_comparison_is_not_compared(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A, B])
        state = fixture.state(TABLE)
        load = fixture.load(TABLE, fixture.files(TABLE, [A, B], action=False))
        fixture.apply_increment(TABLE, [C])
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.compare(ExpectedTable(actual=state, snapshot=load))

    def test_values_that_have_to_be_repaired_compare_as_equal(self, fixture: TableFixture) -> None:
        table = table_of({"number": FAMILIES["float64"][0], "time": FAMILIES["date-time"][0]})
        rows: list[Values] = [{"id": 1, "number": "NaN", "time": "+12345-01-01T00:00:00Z"}]
        fixture.initial_load(table, rows)
        assert differences(compared(fixture, table, rows)) == NO_DIFFERENCES


class SqlComparisonContract(ComparisonContract):
    @pytest.mark.parametrize("family", ["object-free", "untyped", "object"])
    def test_json_is_compared_by_its_meaning(self, fixture: SqlTableFixture, family: str) -> None:
        table = table_of({"v": FAMILIES[family][0]})
        rows: list[Values] = [{"id": 1, "v": _FREE["plain"]}, {"id": 2, "v": {"x": 1}}, {"id": 3, "v": None}]
        fixture.initial_load(table, rows)
        dialect = fixture.dialect
        odd = json.dumps(dict(reversed(_FREE["plain"].items())), indent=1).replace("2.5", "25e-1").replace("[\n", "[")
        for text, wanted in (
            (odd.replace(" 1,", " 1.0,"), NO_DIFFERENCES),
            (json.dumps(_FREE["changed"]), (0, 0, {"v": 1})),
        ):
            where = f"WHERE {identifier('id')} = 1"
            fixture.database.execute(f"UPDATE {fixture.full_name(table)} SET v = {dialect.facts.literal(text)} {where}")
            assert differences(compared(fixture, table, rows)) == wanted
        assert differences(compared(fixture, table, [rows[0] | {"v": _FREE["one"]}, *rows[1:]])) == (0, 0, {"v": 1})
        assert differences(compared(fixture, table, [*rows[:2], {"id": 3, "v": {}}])) == (0, 0, {"v": 2})

    def test_a_comparison_leaves_nothing_behind(self, fixture: SqlTableFixture) -> None:
        table = table_of({"name": TEXT, "kind": FAMILIES["open-enum"][0], "color": FAMILIES["enum"][0]})
        rows: list[Values] = [{"id": 1, "name": "a", "kind": "it's", "color": "it's"}]
        fixture.initial_load(table, rows)
        state, there = fixture.state(table), fixture.rows(table)
        new: Values = {"id": 2, "name": "b", "kind": "never seen", "color": "a,b"}
        assert differences(compared(fixture, table, [*rows, new], stale=[new | {"id": 3}])) == (1, 0, {})
        fixture.reopen()
        assert not fixture.exists(fixture.dialect.facts.scratch, table.name)
        assert fixture.rows(table) == there
        assert fixture.state(table) == state
        assert differences(compared(fixture, table, [*rows, new], stale=[new])) == NO_DIFFERENCES
