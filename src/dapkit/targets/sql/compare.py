"""Compares a table with the table that it should equal; the database does the work."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, Table, TypeKind
from dapkit.results import Comparison, ValueDifference
from dapkit.schema import read_table
from dapkit.targets.base import ExpectedTable, Sample, concurrent_update
from dapkit.targets.sql.dialect import NUMBERS, Dialect, WrittenValue, identifier, listed
from dapkit.targets.sql.driver import Driver
from dapkit.targets.sql.sync_state import SyncStateStore

EXAMPLES = 5
"""How many rows of each kind are reported."""

_BUCKETS = 1_000_000
"""Into how many parts keys fall when rows are sampled."""

_ACTUAL, _EXPECTED, _NOT_COMPARED = "actual_rows", "expected_rows", "keys_not_compared"
_FAMILIES = (NUMBERS, frozenset({TypeKind.TEXT, TypeKind.ENUM, TypeKind.OPEN_ENUM}))
"""Kinds whose values can be compared with each other; values of any other kind only with their own."""


def compare_tables(
    driver: Driver, state: SyncStateStore, expected: ExpectedTable, scratch: Table, keys_not_compared: str | None
) -> Comparison:
    """Return how a table differs from what it should hold.

    Args:
        driver: of the database that has both.
        state: its sync state.
        expected: what the table should hold.
        scratch: the scratch table that holds the expected rows.
        keys_not_compared: the quoted name of the staging table with the keys that are not compared.

    Raises:
        ConcurrentUpdateError: another process changed the table in the meantime.
        SchemaChangeNotSupportedError: the two tables have different keys.
    """
    actual = read_table(expected.actual.schema)
    complete = tuple(column for column in scratch.value if column.name not in expected.incomplete_columns)
    sql = ComparisonSql(
        dialect=driver.dialect,
        actual=actual,
        expected=replace(scratch, value=complete),
        keys_not_compared=keys_not_compared,
        sample=expected.sample,
    )
    sql.require_keys()
    missing, extra, repeated = (_count(driver, each) for each in (sql.missing(), sql.extra(), sql.repeated()))
    # One pass over both tables counts, for all columns at once, the rows whose values differ in text. Only columns with
    # such rows are then examined one by one.
    compared, *sums = driver.query(sql.differences())[0]
    suspects = [(column, int(number)) for column, number in zip(sql.columns, sums, strict=True) if number]
    differing = {column.name: _differing(driver, sql, column, number) for column, number in suspects}
    count = f"SELECT {driver.dialect.facts.count_all} FROM {driver.dialect.facts.full_name(actual)}"
    rows = driver.query(count)[0][0]
    now = state.states(expected.actual.namespace).get(expected.actual.table)
    if now is None or now.watermark != expected.actual.watermark:
        raise concurrent_update(expected.actual.table)
    return Comparison(
        rows=int(rows),
        compared=int(compared),
        missing=missing[0],
        extra=extra[0],
        repeated=repeated[0],
        differing={name: number for name, (number, _) in differing.items() if number},
        missing_keys=missing[1],
        extra_keys=extra[1],
        repeated_keys=repeated[1],
        values=tuple(value for _, values in differing.values() for value in values),
        columns_not_compared=sql.not_compared,
    )


def _count(driver: Driver, sql: str) -> tuple[int, tuple[tuple[Any, ...], ...]]:
    """Return how many rows a statement selects, and some of them."""
    dialect = driver.dialect
    number = int(driver.query(f"SELECT {dialect.facts.count_all} FROM ({sql}) AS found")[0][0])
    return number, tuple(driver.query(dialect.facts.limited(sql, EXAMPLES))) if number else ()


def _differing(driver: Driver, sql: "ComparisonSql", column: Column, number: int) -> tuple[int, list[ValueDifference]]:
    """Return in how many rows a column differs, and some of its values."""
    examples = sql.examples(column)
    if driver.dialect.comparison.keeps_json_as_text(column):  # one JSON value can be written in several ways
        rows, number = [], 0
        for row in driver.iterate(examples):
            if not same_json(row[-2], row[-1]):
                number += 1
                rows += [row] if number <= EXAMPLES else []
    else:
        rows = driver.query(driver.dialect.facts.limited(examples, EXAMPLES))
    return number, [ValueDifference(key=r[:-2], column=column.name, actual=r[-2], expected=r[-1]) for r in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSql:
    """The SQL of one comparison.

    Attributes:
        dialect: of the database.
        actual: the table as it is.
        expected: the table as it should be, under another name, perhaps in another version of its schema.
        keys_not_compared: the name of a staging table with keys that are not compared.
        sample: the rows whose values are compared, None for all.
    """

    dialect: Dialect
    actual: Table
    expected: Table
    keys_not_compared: str | None = None
    sample: Sample | None = None

    def require_keys(self) -> None:
        """Raise SchemaChangeNotSupportedError when the two tables have different key columns."""
        actual, expected = ([(c.name, _family(c)) for c in table.key] for table in (self.actual, self.expected))
        if actual != expected:
            raise SchemaChangeNotSupportedError(f"The key of table {self.actual.name} changed", table=self.actual.name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, without those of the key, that can be compared."""
        there = {column.name: _family(column) for column in self.expected.value}
        return tuple(column for column in self.actual.value if there.get(column.name) == _family(column))

    @property
    def not_compared(self) -> tuple[str, ...]:
        """The names of the other columns."""
        compared = {column.name for column in self.columns}
        return tuple(column.name for column in self.actual.value if column.name not in compared)

    def missing(self) -> str:
        """Select the keys that the table lacks."""
        return self._alone(self.expected, _EXPECTED, self.actual, _ACTUAL)

    def extra(self) -> str:
        """Select the keys that only the table has."""
        return self._alone(self.actual, _ACTUAL, self.expected, _EXPECTED)

    def repeated(self) -> str:
        """Select the keys that the table has more than once."""
        keys = listed(self.actual.key, f"{_ACTUAL}.")
        rows = f"{self._from(self.actual, _ACTUAL)}{self._where(self.actual, _ACTUAL)}"
        return f"SELECT {self._keys(self.actual, _ACTUAL)} FROM {rows} GROUP BY {keys} HAVING count(*) > 1"

    def differences(self) -> str:
        """Select how many rows are compared, and in how many of them each column differs in text."""
        columns = [(f"differs_{number}", self._differs(column)) for number, column in enumerate(self.columns)]
        marks = [f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {name}" for name, condition in columns]
        sums = [f"sum({name})" for name, _ in columns]
        return (
            f"SELECT {', '.join([self.dialect.facts.count_all, *sums])}"
            f" FROM (SELECT {', '.join(['1 AS met', *marks])} FROM {self._joined()}) AS compared"
        )

    def examples(self, column: Column) -> str:
        """Select the keys of rows in which a column differs in text, with its actual and its expected value."""
        actual, expected = self._value(self.actual, column, _ACTUAL), self._value(self.expected, column, _EXPECTED)
        conditions, comparison = [self._differs(column)], self.dialect.comparison
        if comparison.normal_json and comparison.keeps_json_as_text(column):
            normal = (comparison.normal_json.format(value) for value in (actual, expected))
            conditions.append(comparison.differs(column, next(normal), next(normal)))
        return f"SELECT {self._keys(self.actual, _ACTUAL)}, {actual}, {expected} FROM {self._joined(conditions)}"

    def _alone(self, table: Table, alias: str, other: Table, other_alias: str) -> str:
        same = self._same_key(table, alias, other, other_alias)
        absent = f"NOT EXISTS (SELECT 1 FROM {self._from(other, other_alias)} WHERE {same})"
        return f"SELECT {self._keys(table, alias)} FROM {self._from(table, alias)}{self._where(table, alias, [absent])}"

    def _joined(self, conditions: Iterable[str] = ()) -> str:
        same = self._same_key(self.actual, _ACTUAL, self.expected, _EXPECTED)
        joined = f"{self._from(self.actual, _ACTUAL)} JOIN {self._from(self.expected, _EXPECTED)} ON {same}"
        if self.sample is not None:
            # A condition on both sides, so that neither table is read completely into the join.
            sides = [[self._value(table, c, alias) for c in table.key] for table, alias in self._sides()]
            conditions = [*(self._sampled(keys, self.sample) for keys in sides), *conditions]
        return joined + self._where(self.actual, _ACTUAL, conditions)

    def _sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys; at least one of the hashes belongs to them."""
        hashed = self.dialect.comparison.hashed([self.dialect.facts.literal(sample.seed), *keys])
        return f"{hashed} % {_BUCKETS} < {max(1, round(sample.percent * _BUCKETS / 100))}"

    def _sides(self) -> tuple[tuple[Table, str], tuple[Table, str]]:
        return (self.actual, _ACTUAL), (self.expected, _EXPECTED)

    def _where(self, table: Table, alias: str, conditions: Iterable[str] = ()) -> str:
        all_of = list(conditions)
        if self.keys_not_compared is not None:
            same = self._same_key(table, alias, self.expected, _NOT_COMPARED)
            all_of.append(f"NOT EXISTS (SELECT 1 FROM {self.keys_not_compared} AS {_NOT_COMPARED} WHERE {same})")
        return f" WHERE {' AND '.join(all_of)}" if all_of else ""

    def _from(self, table: Table, alias: str) -> str:
        return f"{self.dialect.facts.full_name(table)} AS {alias}"

    def _keys(self, table: Table, alias: str) -> str:
        named = ((self._value(table, column, alias), identifier(column.name)) for column in table.key)
        return ", ".join(f"{value} AS {name}" for value, name in named)

    def _same_key(self, one: Table, alias: str, other: Table, other_alias: str) -> str:
        return " AND ".join(
            f"{self._key(one, column, alias)} = {self._key(other, column, other_alias)}" for column in self.actual.key
        )

    def _key(self, table: Table, column: Column, alias: str) -> str:
        return self._written(self.dialect.comparison.key, table, column, alias)

    def _differs(self, column: Column) -> str:
        exact = self.dialect.comparison.exact
        one, other = (self._written(exact, table, column, alias) for table, alias in self._sides())
        return self.dialect.comparison.differs(column, one, other)

    def _value(self, table: Table, column: Column, alias: str) -> str:
        return self._written(self.dialect.comparison.comparable, table, column, alias)

    def _written(self, form: WrittenValue, table: Table, column: Column, alias: str) -> str:
        """Write a column in a form of the dialect, as the table has it: the two may differ in its type."""
        return form(table, table.column(column.name) or column, f"{alias}.{identifier(column.name)}")


def _family(column: Column) -> frozenset[TypeKind]:
    kind = column.type.kind
    return next((family for family in _FAMILIES if kind in family), frozenset({kind}))


def same_json(first: Any, second: Any) -> bool:
    """Whether two texts are equal JSON: spaces, the order of fields and the notation of numbers do not matter."""
    if first is None or second is None:
        return first is second
    return first == second or _canonical(first) == _canonical(second)


def _canonical(text: str | bytes) -> str:
    try:
        return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)
    except ValueError:
        return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value
