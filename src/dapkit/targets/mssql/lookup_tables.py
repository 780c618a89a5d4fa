"""PURE: enums as numbers that refer to a table of their values."""

from dapkit.model import Column, Table, TypeKind
from dapkit.targets.mssql.column_types import BINARY, LOOKUPS, exact_text
from dapkit.targets.sql.dialect import Statements, identifier, text_literal
from dapkit.targets.sql.introspection import ExistingTable


class MsSqlLookups:
    """How enums are stored as numbers of lookup tables."""

    def __init__(self, collation: str) -> None:
        self._collation = collation

    def same_value(self, known: str, text: str) -> str:
        """Return a condition: the row `known` of a lookup table has exactly this text."""
        return f'CAST({known}."value" AS nvarchar(256)) COLLATE {BINARY} = {text}'

    def exact(self, table: Table, column: Column, existing: ExistingTable) -> Statements:
        """Let a lookup table of the official client distinguish values by case and accents."""
        if existing.columns["value"].collation == self._collation:
            return []
        alter, unique = f"ALTER TABLE {_name(table, column)}", _unique_name(table, column)
        return [
            f"{alter} DROP CONSTRAINT {unique}",
            f"{alter} ALTER COLUMN {self._value_column()}",
            f'{alter} ADD CONSTRAINT {unique} UNIQUE ("value")',
        ]

    def same_key(self, table: Table, live: str, staged: str) -> str:
        """Return a condition: a row and a staged one, whose enums are texts, have the same key."""
        return " AND ".join(self._same(table, column, live, staged) for column in table.key)

    def _same(self, table: Table, column: Column, live: str, staged: str) -> str:
        one, other = (f"{alias}.{identifier(column.name)}" for alias in (live, staged))
        if column.type.kind is TypeKind.TEXT:
            return f"{exact_text(one)} = {exact_text(other)}"
        return f"{one} = {self.number(table, column, other) if column.type.kind in LOOKUPS else other}"

    def create(self, table: Table, column: Column) -> str:
        """Create the lookup table of a column where it is missing."""
        name, key = _name(table, column), identifier(f"pk_{table.namespace}_{table.name}__{column.name}")
        return (
            f'IF {missing(name)} CREATE TABLE {name} ("id" integer NOT NULL IDENTITY, {self._value_column()},'
            f' CONSTRAINT {key} PRIMARY KEY ("id"), CONSTRAINT {_unique_name(table, column)} UNIQUE ("value"))'
        )

    def _value_column(self) -> str:
        return f'"value" varchar(256) COLLATE {self._collation} NOT NULL'

    def number(self, table: Table, column: Column, text: str) -> str:
        """Return a subquery: the number of a text."""
        known = f'SELECT known."id" FROM {_name(table, column)} AS known'
        return f"({known} WHERE {self.same_value('known', text)})"

    def text(self, table: Table, column: Column, number: str) -> str:
        """Return a subquery: the text of a number."""
        return f'(SELECT known."value" FROM {_name(table, column)} AS known WHERE known."id" = {number})'


def unicode_literal(text: str) -> str:
    """Write a text as Unicode, whatever the code page of the database."""
    return f"N{text_literal(text)}"


def missing(name: str) -> str:
    """Return a condition: there is no table of this full name."""
    return f"OBJECT_ID({unicode_literal(name)}, N'U') IS NULL"


def _name(table: Table, column: Column) -> str:
    return f"{identifier(table.namespace)}.{identifier(f'{table.name}__{column.name}')}"


def _unique_name(table: Table, column: Column) -> str:
    return identifier(f"uq_{table.name}__{column.name}")
