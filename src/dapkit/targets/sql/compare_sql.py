"""PURE: the SQL that finds what differs between a live table and the same table as it should be."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, Table, TypeKind
from dapkit.targets.base import Sample
from dapkit.targets.sql.dialect import NUMBERS, Dialect

__all__ = ["EXAMPLES", "ComparingSql", "same_json"]

EXAMPLES = 5
"""How many rows of each kind are named."""

_LIVE, _TRUE, _LEFT_OUT = "live_rows", "true_rows", "columns_not_compared"
_FAMILIES = (
    NUMBERS,
    frozenset({TypeKind.TEXT, TypeKind.ENUM, TypeKind.OPEN_ENUM}),
)
"""Kinds whose values compare with each other; those of any other kind only with their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparingSql:
    """The SQL of one comparison.

    Attributes:
        dialect: of the database.
        live: the table as it stands.
        truth: the table as it should be, under another name, perhaps in another version of its schema.
        columns_not_compared: the name of a temporary table with keys that are not compared.
        sample: the rows whose values are compared, if not all.
    """

    dialect: Dialect
    live: Table
    truth: Table
    columns_not_compared: str | None = None
    sample: Sample | None = None

    def require_keys(self) -> None:
        """Raise SchemaChangeNotSupportedError when the two tables have different key columns."""
        live, truth = ([(c.name, _family(c)) for c in table.key] for table in (self.live, self.truth))
        if live != truth:
            raise SchemaChangeNotSupportedError(f"The key of table {self.live.name} changed", table=self.live.name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The live table's columns, its key aside, that can be compared."""
        there = {column.name: _family(column) for column in self.truth.value}
        return tuple(column for column in self.live.value if there.get(column.name) == _family(column))

    @property
    def not_compared(self) -> tuple[str, ...]:
        """The names of the live table's other columns."""
        compared = {column.name for column in self.columns}
        return tuple(column.name for column in self.live.value if column.name not in compared)

    def missing(self) -> str:
        """Select the keys that the live table lacks."""
        return self._alone(self.truth, _TRUE, self.live, _LIVE)

    def extra(self) -> str:
        """Select the keys that only the live table has."""
        return self._alone(self.live, _LIVE, self.truth, _TRUE)

    def repeated(self) -> str:
        """Select the keys that the live table has more than once."""
        keys = self.dialect.listed(self.live.key, f"{_LIVE}.")
        rows = f"{self._from(self.live, _LIVE)}{self._where(self.live, _LIVE)}"
        return f"SELECT {self._keys(self.live, _LIVE)} FROM {rows} GROUP BY {keys} HAVING count(*) > 1"

    def differences(self) -> str:
        """Select how many rows are compared, and for each of the columns in how many it is written differently."""
        columns = [(f"differs_{place}", self._differs(column)) for place, column in enumerate(self.columns)]
        marks = [f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {name}" for name, condition in columns]
        sums = [f"sum({name})" for name, _ in columns]
        return (
            f"SELECT {', '.join([self.dialect.count_all, *sums])}"
            f" FROM (SELECT {', '.join(['1 AS met', *marks])} FROM {self._joined()}) AS compared"
        )

    def examples(self, column: Column) -> str:
        """Select the keys for which a column is written differently, with what stands there and what should."""
        live, truth = self._value(self.live, column, _LIVE), self._value(self.truth, column, _TRUE)
        conditions = [self._differs(column)]
        if self.dialect.is_loose(self.live, column):
            conditions.append(self.dialect.may_differ(live, truth))
        return f"SELECT {self._keys(self.live, _LIVE)}, {live}, {truth} FROM {self._joined(conditions)}"

    def _alone(self, table: Table, alias: str, other: Table, other_alias: str) -> str:
        same = self._same_key(table, alias, other, other_alias)
        absent = f"NOT EXISTS (SELECT 1 FROM {self._from(other, other_alias)} WHERE {same})"
        return f"SELECT {self._keys(table, alias)} FROM {self._from(table, alias)}{self._where(table, alias, [absent])}"

    def _joined(self, conditions: Iterable[str] = ()) -> str:
        same = self._same_key(self.live, _LIVE, self.truth, _TRUE)
        joined = f"{self._from(self.live, _LIVE)} JOIN {self._from(self.truth, _TRUE)} ON {same}"
        if self.sample is not None:
            # Said of both sides, so that neither is read whole into the join.
            sides = [[self._value(table, c, alias) for c in table.key] for table, alias in self._sides()]
            conditions = [*(self.dialect.sampled(keys, self.sample) for keys in sides), *conditions]
        return joined + self._where(self.live, _LIVE, conditions)

    def _sides(self) -> tuple[tuple[Table, str], tuple[Table, str]]:
        return (self.live, _LIVE), (self.truth, _TRUE)

    def _where(self, table: Table, alias: str, conditions: Iterable[str] = ()) -> str:
        all_of = list(conditions)
        if self.columns_not_compared is not None:
            same = self._same_key(table, alias, self.truth, _LEFT_OUT)
            all_of.append(f"NOT EXISTS (SELECT 1 FROM {self.columns_not_compared} AS {_LEFT_OUT} WHERE {same})")
        return f" WHERE {' AND '.join(all_of)}" if all_of else ""

    def _from(self, table: Table, alias: str) -> str:
        return f"{self.dialect.of(table)} AS {alias}"

    def _keys(self, table: Table, alias: str) -> str:
        named = ((self._value(table, column, alias), self.dialect.identifier(column.name)) for column in table.key)
        return ", ".join(f"{value} AS {name}" for value, name in named)

    def _same_key(self, one: Table, alias: str, other: Table, other_alias: str) -> str:
        return " AND ".join(
            f"{self._key(one, column, alias)} = {self._key(other, column, other_alias)}" for column in self.live.key
        )

    def _key(self, table: Table, column: Column, alias: str) -> str:
        own = table.column(column.name) or column
        return self.dialect.comparable_key(table, own, f"{alias}.{self.dialect.identifier(column.name)}")

    def _differs(self, column: Column) -> str:
        return self.dialect.differs(*(self._told_apart(table, column, alias) for table, alias in self._sides()))

    def _told_apart(self, table: Table, column: Column, alias: str) -> str:
        own = table.column(column.name) or column
        return self.dialect.told_apart(table, own, f"{alias}.{self.dialect.identifier(column.name)}")

    def _value(self, table: Table, column: Column, alias: str) -> str:
        own = table.column(column.name) or column
        return self.dialect.comparable(table, own, f"{alias}.{self.dialect.identifier(column.name)}")


def _family(column: Column) -> frozenset[TypeKind]:
    kind = column.type.kind
    return next((family for family in _FAMILIES if kind in family), frozenset({kind}))


def same_json(one: Any, other: Any) -> bool:
    """Whether two texts are the same JSON: spaces, the order of fields and the form of numbers say nothing."""
    return one == other or (one is not None and other is not None and _canonical(one) == _canonical(other))


def _canonical(text: str | bytes) -> str:
    try:
        return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)
    except ValueError:
        return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value
