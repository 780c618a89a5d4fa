"""PURE: how values are compared and distinguished."""

from collections.abc import Sequence

from dapkit.model import Column, Table
from dapkit.targets.base import Sample
from dapkit.targets.mssql.column_types import BINARY, LOOKUPS, TEXTS
from dapkit.targets.mssql.lookup_tables import MsSqlLookups, unicode_literal
from dapkit.targets.sql.dialect import BUCKETS, JSON_KINDS, threshold

__all__ = ["MsSqlComparison", "exact_text"]


class MsSqlComparison:
    """How tables are compared whose enums are numbered differently."""

    def __init__(self, lookups: MsSqlLookups) -> None:
        self._lookups = lookups

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ; IS DISTINCT FROM exists only from SQL Server 2022 on."""
        nulls = f"({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL)"
        return f"({one} <> {other} OR {nulls})"

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return an enum as text."""
        return self._lookups.text(table, column, value) if column.type.kind in LOOKUPS else value

    def exact_comparison(self, table: Table, column: Column, value: str) -> str:
        """Return a value in a form that differs by case and spaces too."""
        comparable = self.comparable(table, column, value)
        return exact_text(comparable, "max") if column.type.kind in TEXTS | LOOKUPS else comparable

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return a value of the key in a form that equals no other."""
        return self.exact_comparison(table, column, value)

    def is_text_json(self, table: Table, column: Column) -> bool:  # noqa: ARG002
        """All JSON is kept as text."""
        return column.type.kind in JSON_KINDS

    def may_differ(self, one: str, other: str) -> str:  # noqa: ARG002
        """Return that any two texts may differ."""
        return "1 = 1"

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        text = ", N'|', ".join([unicode_literal(sample.seed), *keys])
        number = f"CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT({text})), 1, 4) AS bigint)"
        return f"{number} % {BUCKETS} < {threshold(sample)}"


def exact_text(value: str, length: str = "4000") -> str:
    """Return a text in a form that equals no other: what follows it makes spaces at its end count."""
    return f"CAST({value} AS nvarchar({length})) COLLATE {BINARY} + N'|'"
