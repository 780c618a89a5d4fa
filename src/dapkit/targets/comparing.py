"""PURE: the SQL that finds what differs between a live table and the same table as it should be."""

from dataclasses import dataclass

from dapkit.model import Column, Table
from dapkit.targets.dialect import Dialect

__all__ = ["EXAMPLES", "ComparingSql"]

EXAMPLES = 5
"""How many rows of each kind are named."""

_LIVE, _TRUE, _LEFT_OUT = "live_rows", "true_rows", "left_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparingSql:
    """The SQL of one comparison.

    Attributes:
        dialect: of the database.
        live: the table as it stands.
        truth: the table as it should be, under another name.
        left_out: a temporary table with keys of which nothing is said, as SQL writes its name.
    """

    dialect: Dialect
    live: Table
    truth: Table
    left_out: str | None = None

    def missing(self) -> str:
        """Select the keys that the live table lacks."""
        return self._alone(self.truth, _TRUE, self.live, _LIVE)

    def extra(self) -> str:
        """Select the keys that only the live table has."""
        return self._alone(self.live, _LIVE, self.truth, _TRUE)

    def repeated(self) -> str:
        """Select the keys that the live table has more than once."""
        keys = self.dialect.listed(self.live.key, f"{_LIVE}.")
        return (
            f"SELECT {keys} FROM {self.dialect.of(self.live)} AS {_LIVE}{self._where(_LIVE)}"
            f" GROUP BY {keys} HAVING count(*) > 1"
        )

    def differences(self) -> str:
        """Select for each column of the value in how many rows it differs."""
        columns = [(f"differs_{place}", self._differs(column)) for place, column in enumerate(self.live.value)]
        marks = ", ".join(f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {name}" for name, condition in columns)
        sums = ", ".join(f"sum({name})" for name, _ in columns)
        return f"SELECT {sums} FROM (SELECT {marks} FROM {self._joined()}) AS compared"

    def examples(self, column: Column) -> str:
        """Select some keys for which a column differs, with what stands there and what should."""
        keys = self.dialect.listed(self.live.key, f"{_LIVE}.")
        live, truth = self._value(self.live, column, _LIVE), self._value(self.truth, column, _TRUE)
        select = f"SELECT {keys}, {live}, {truth} FROM {self._joined(self._differs(column))}"
        return self.dialect.limited(select, EXAMPLES)

    def _alone(self, table: Table, alias: str, other: Table, other_alias: str) -> str:
        keys = self.dialect.listed(table.key, f"{alias}.")
        same = self._same_key(alias, other_alias)
        absent = f"NOT EXISTS (SELECT 1 FROM {self.dialect.of(other)} AS {other_alias} WHERE {same})"
        return f"SELECT {keys} FROM {self.dialect.of(table)} AS {alias}{self._where(alias, absent)}"

    def _joined(self, condition: str | None = None) -> str:
        live, truth = self.dialect.of(self.live), self.dialect.of(self.truth)
        joined = f"{live} AS {_LIVE} JOIN {truth} AS {_TRUE} ON {self._same_key(_LIVE, _TRUE)}"
        return joined + self._where(_LIVE, *([condition] if condition else []))

    def _where(self, alias: str, *conditions: str) -> str:
        all_of = list(conditions)
        if self.left_out is not None:
            same = self._same_key(alias, _LEFT_OUT)
            all_of.append(f"NOT EXISTS (SELECT 1 FROM {self.left_out} AS {_LEFT_OUT} WHERE {same})")
        return f" WHERE {' AND '.join(all_of)}" if all_of else ""

    def _same_key(self, one: str, other: str) -> str:
        return self.dialect.same_key(self.live, one, other)

    def _differs(self, column: Column) -> str:
        name = self.dialect.identifier(column.name)
        live = self.dialect.told_apart(self.live, column, f"{_LIVE}.{name}")
        return self.dialect.differs(live, self.dialect.told_apart(self.truth, column, f"{_TRUE}.{name}"))

    def _value(self, table: Table, column: Column, alias: str) -> str:
        return self.dialect.comparable(table, column, f"{alias}.{self.dialect.identifier(column.name)}")
