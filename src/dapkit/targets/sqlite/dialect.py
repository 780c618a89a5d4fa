"""PURE: SQLite's SQL. Types are affinities, times are ISO text, JSON, enums and addresses are the service's own text.

A date-time is text of UTC like `2024-03-01 12:00:00.123`, which SQLite's functions read, and which sorts and compares
with what they return. Decimals are numbers as long as a float is exact for their digits, text beyond.

SQLite can add columns to a table and alter little else. Every other change copies the table within the transaction,
with everything that it has: the user's own columns, indexes and triggers included.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import has_unusual_year, original_values, read_tsv, unescape_sql
from dapkit.model import JSON_KINDS, Column, ColumnType, Table, TypeKind
from dapkit.schema import widens
from dapkit.targets.sql.dialect import (
    Comparison,
    DialectFacts,
    SchemaPlan,
    Statements,
    identifier,
    listed,
    no_statements,
    recreate,
)
from dapkit.targets.sql.introspection import ExistingColumn
from dapkit.targets.sql.state_tables import file_state_tables

ORIGINALS = "dapkit_originals"
"""A column of the staging table: what `dapkit.decode.tsv_sql.original_values` says of the row."""

STAGING = '"dapkit_staging"'
HASH = "dapkit_hash"
"""A function of ours that turns any values into an integer from 0; SQLite has no such function."""

_INTEGERS = frozenset({TypeKind.INT16, TypeKind.INT32, TypeKind.INT64})
_FLOATS = frozenset({TypeKind.FLOAT32, TypeKind.FLOAT64})
_EXACT_DIGITS = 15
_QUOTED = re.compile(r"""'(?:[^']|\'\')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]""")
_WORDS = frozenset({"AUTOINCREMENT", "CHECK", "COLLATE", "CONFLICT", "DEFERRABLE", "ROWID", "STRICT"})
"""Properties of a table that SQLite tells nowhere but in the statement that created it."""

_ENDS = {
    TypeKind.DATETIME: ("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"),
    TypeKind.DATE: ("'0001-01-01'", "'9999-12-31'"),
}


@dataclass(frozen=True, slots=True)
class _CopiedColumn:
    """A column of the copy of a table, and the expression that gives its values."""

    column: ExistingColumn
    value: str


class SqliteDialect:
    """SQLite's SQL."""

    facts = DialectFacts(product="SQLite", schemas=False, records_schema=False, text_times=True, size_is_read=True)
    comparison = Comparison(hashed=lambda values: f"{HASH}({', '.join(values)})")
    lookups = replacement = None
    create_namespace = clear_leftovers = add_key = commit_first = no_statements
    rebuild = recreate

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing."""
        index, history = (self.facts.state_table(name) for name in ("dapkit_history_of", "dapkit_history"))
        return [
            *file_state_tables(self, id_="INTEGER PRIMARY KEY", text="TEXT", integer="INTEGER", time="TEXT"),
            f"CREATE INDEX IF NOT EXISTS {index} ON {history} (source_namespace, source_table, time)",
        ]

    def type_of(self, table: Table, column: Column) -> str:  # noqa: ARG002, types do not depend on the table here
        """Return the type of a column."""
        return _type(column.type)

    def create_table(self, table: Table) -> Statements:
        """Create a table with its key, which could not be added later."""
        columns = [self._definition(self._new_column(column)) for column in table.columns]
        return [f"CREATE TABLE {self.facts.full_name(table)} ({', '.join([*columns, _key(table)])})"]

    def _new_column(self, column: Column) -> ExistingColumn:
        default = None if column.default is None else self.facts.default_text(column)
        return ExistingColumn(name=column.name, type=_type(column.type), required=column.required, default=default)

    def _definition(self, column: ExistingColumn) -> str:
        default = "" if column.default is None else f" DEFAULT {column.default}"
        return f"{identifier(column.name)} {column.type}{default}{' NOT NULL' if column.required else ''}"

    def converts(self, table: Table, before: Column, after: Column) -> bool:  # noqa: ARG002
        """Whether values are kept in the same form, or SQLite makes of each what the service would write."""
        if _form(before.type) == _form(after.type):
            return True
        numbers = _form(before.type) in ("INTEGER", "REAL")
        return widens(before.type, after.type) and numbers and _form(after.type) != "NUMERIC"

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:  # noqa: ARG002
        """Whether an existing column has the type that the schema wants."""
        return existing.type == _type(column.type)

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Copy the table if anything else changes than that columns are added."""
        copied = [each for column in plan.existing.columns.values() if (each := self._copied(plan, column))]
        kept = all(each.value == identifier(each.column.name) for each in copied)
        if kept and [each.column for each in copied] == list(plan.existing.columns.values()):
            add = f"ALTER TABLE {self.facts.full_name(plan.table)} ADD COLUMN"
            return [f"{add} {self._definition(self._new_column(column))}" for column in plan.added]
        return self._copy(plan, copied)

    def _copied(self, plan: SchemaPlan, existing: ExistingColumn) -> _CopiedColumn | None:
        """Return what becomes of an existing column in the copy, None if it is dropped."""
        value, name = identifier(existing.name), existing.name
        for old, new in plan.altered:
            if new.name == name:
                type_ = existing.type if _form(old.type) == _form(new.type) else _type(new.type)
                required = existing.required and new.required
                return _CopiedColumn(replace(existing, type=type_, required=required), value)
        for column in (*plan.restored, *plan.replaced):
            if column.name == name:
                value = value if column in plan.restored else "NULL"
                again = self._new_column(column)
                return _CopiedColumn(again, f"coalesce({value}, {again.default})" if column.required else value)
        if name in {column.name for column in plan.dropped}:
            return None
        return _CopiedColumn(existing, value)

    def _copy(self, plan: SchemaPlan, copied: Sequence[_CopiedColumn]) -> Statements:
        live, copy = self.facts.full_name(plan.table), identifier("dapkit_copy")
        columns = [self._definition(each.column) for each in copied]
        columns += [self._definition(self._new_column(column)) for column in plan.added]
        names, values = listed(each.column.name for each in copied), ", ".join(each.value for each in copied)
        return [
            f"DROP TABLE IF EXISTS {copy}",
            f"CREATE TABLE {copy} ({', '.join([*columns, _key(plan.table)])})",
            f"INSERT INTO {copy} ({names}) SELECT {values} FROM {live}",
            f"DROP TABLE {live}",
            f"ALTER TABLE {copy} RENAME TO {live}",
            *(index.definition for index in plan.existing.indexes),
        ]


def create_staging(table: Table) -> Statements:
    """Create the staging table; the types of its columns matter when keys are compared."""
    key = [f"{identifier(column.name)} {_type(column.type)} NOT NULL" for column in table.key]
    value = [f"{identifier(column.name)} {_type(column.type)}" for column in table.value]
    meta = [identifier(META_TS), identifier(META_ACTION)]
    return [
        f"DROP TABLE IF EXISTS {STAGING}",
        f"CREATE TEMPORARY TABLE {STAGING} ({', '.join([*meta, *key, *value, ORIGINALS])})",
    ]


def select_rows(table: Table, header: Header, paths: Sequence[str], longest_line: int) -> str:
    """Select the rows of the files by DuckDB, as SQLite keeps them: time, action, columns, originals."""
    # Only the order of rows with the same key depends on it: a time that cannot be read is no reason to reject a row.
    time = f"CAST(TRY_CAST({identifier(META_TS)} AS TIMESTAMP) AS VARCHAR)"
    action = identifier(META_ACTION) if META_ACTION in header.names else "'U'"
    odd: dict[str, str] = {}
    values: list[str] = []
    for column in table.columns:
        source = header.source(column.name)
        text = "NULL" if source is None else identifier(source)
        values.append(_value(column.type, text))
        if source is not None and (condition := _odd(column.type, text)):
            odd[column.name] = condition
    selected = ", ".join([time, action, *values, original_values(table, header, odd)])
    return f"SELECT {selected} FROM {read_tsv(paths, header, longest_line)}"


def nulled_columns(table: Table) -> frozenset[str]:
    """Return the required columns whose bad values can only become null."""
    return frozenset(column.name for column in table.columns if column.required and column.type.kind in _FLOATS)


def table_words(definition: str) -> set[str]:
    """Return the properties of a table that only the statement that created it tells."""
    return set(re.findall(r"[A-Z]+", _QUOTED.sub(" ", definition).upper())) & _WORDS


def _key(table: Table) -> str:
    return f"PRIMARY KEY ({listed(table.key)})"


def _type(type_: ColumnType) -> str:
    kind = type_.kind
    if kind in _INTEGERS:
        return "INTEGER"
    if kind in _FLOATS:
        return "REAL"
    if kind is TypeKind.BOOLEAN:
        return "BOOLEAN"
    if kind is TypeKind.DECIMAL and type_.precision <= _EXACT_DIGITS:
        return "NUMERIC"
    return "TEXT"


def _form(type_: ColumnType) -> str:
    """Return how values are kept: in two types of the same form a value looks alike."""
    return "datetime" if type_.kind is TypeKind.DATETIME else _type(type_)


def _odd(type_: ColumnType, text: str) -> str | None:
    """Return a condition for the texts of values that SQLite cannot store, None where it stores all."""
    if type_.kind in _ENDS:
        return has_unusual_year(text)
    return f"lower({text}) = 'nan'" if type_.kind in _FLOATS else None


def _value(type_: ColumnType, text: str) -> str:
    """Return an expression of DuckDB for a value as SQLite keeps it, from its text in the files."""
    kind = type_.kind
    if kind in _INTEGERS:
        return f"CAST({text} AS BIGINT)"
    if kind in _FLOATS:
        return f"CASE WHEN lower({text}) <> 'nan' THEN CAST({text} AS DOUBLE) END"
    if kind is TypeKind.BOOLEAN:
        return f"CAST(CAST({text} AS BOOLEAN) AS TINYINT)"
    if kind in _ENDS:
        first, last = _ENDS[kind]
        clamped = f"CASE WHEN starts_with({text}, '+') THEN {last} ELSE {first} END"
        usual = f"CAST(CAST({text} AS {'TIMESTAMP' if kind is TypeKind.DATETIME else 'DATE'}) AS VARCHAR)"
        return f"CASE WHEN {has_unusual_year(text)} THEN {clamped} ELSE {usual} END"
    if kind in JSON_KINDS:
        return f"CAST({unescape_sql(text)} AS JSON)"  # SQLite would store any text; DuckDB rejects what is not JSON
    return unescape_sql(text)
