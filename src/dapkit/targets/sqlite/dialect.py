"""PURE: SQLite's SQL. Types are affinities, times are ISO text, JSON, enums, addresses are the service's own text.

A date-time is text of UTC like `2024-03-01 12:00:00.123`, which SQLite's functions read, and which sorts and compares
with what they return. Decimals are numbers as long as a float is exact for their digits, text beyond.

SQLite adds columns to a table and else alters little; so other alterations make the table anew beside itself, inside
the transaction, with all that it has, the user's own columns, indexes and triggers included.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import has_unusual_year, original_values, read_tsv, unescape_sql
from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import SchemaDifference, difference, widens
from dapkit.targets.base import Sample
from dapkit.targets.sql.dialect import BUCKETS, Dialect, Statements, threshold

__all__ = ["HASH", "ORIGINALS", "STAGING", "Existing", "SqliteDialect", "bounds"]

ORIGINALS = "dapkit_originals"
"""A column of the temporary table: what `dapkit.decode.tsv_sql.originals` says of the row."""

STAGING = '"dapkit_staging"'
HASH = "dapkit_hash"
"""A function of ours that turns any values into a whole number from 0 on; SQLite has none of its own."""

_INTEGERS = frozenset({TypeKind.INT16, TypeKind.INT32, TypeKind.INT64})
_FLOATS = frozenset({TypeKind.FLOAT32, TypeKind.FLOAT64})
_EXACT_DIGITS = 15
_QUOTED = re.compile(r"""'(?:[^']|\'\')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]""")
_BOUNDS = frozenset({"AUTOINCREMENT", "CHECK", "COLLATE", "CONFLICT", "DEFERRABLE", "ROWID", "STRICT"})
"""Words that bind a table to what SQLite tells nowhere but in the statement that made it."""

_ENDS = {
    TypeKind.DATETIME: ("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"),
    TypeKind.DATE: ("'0001-01-01'", "'9999-12-31'"),
}


@dataclass(frozen=True, slots=True)
class Existing:
    """A column that a table has, as SQLite tells it."""

    name: str
    type: str
    required: bool
    default: str | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A column of a table made anew, and the expression by which it gets its values from before."""

    column: Existing
    value: str


class SqliteDialect(Dialect):
    """SQLite's SQL."""

    def name(self, namespace: str, table: str) -> str:
        """Return the full name of a table."""
        return self.identifier(self.bare(namespace, table))

    def bare(self, namespace: str, table: str) -> str:
        """Return the name of a table without quotes: SQLite has no schemas, so the namespace goes before it."""
        return f"{namespace}__{table}"

    def target_schema(self, namespace: str) -> str | None:  # noqa: ARG002, SQLite has none
        """Return nothing."""
        return None

    def create_state_tables(self) -> Statements:
        """Make the books, laid out as the official client's, and our own tables."""
        return [
            f"CREATE TABLE IF NOT EXISTS {self.state_table('table_sync')} (id INTEGER PRIMARY KEY,"
            " source_namespace TEXT NOT NULL, source_table TEXT NOT NULL, timestamp TEXT NOT NULL,"
            " schema_version INTEGER NOT NULL, target_schema TEXT, target_table TEXT NOT NULL,"
            " schema_description_format TEXT NOT NULL, schema_description TEXT NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('database_version')} (version INTEGER)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('dapkit_origin')} (origin TEXT NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('dapkit_history')} (time TEXT NOT NULL,"
            " source_namespace TEXT NOT NULL, source_table TEXT NOT NULL, event TEXT NOT NULL, detail TEXT)",
            f"CREATE INDEX IF NOT EXISTS {self.state_table('dapkit_history_of')}"
            f" ON {self.state_table('dapkit_history')}"
            " (source_namespace, source_table, time)",
        ]

    def create_namespace(self, namespace: str) -> Statements:  # noqa: ARG002, it is part of the names
        """Make nothing."""
        return []

    # Tables

    def type_of(self, table: Table, column: Column) -> str:  # noqa: ARG002, of no matter here
        """Return the type of a column."""
        return _type(column.type)

    def create_table(self, table: Table) -> Statements:
        """Make a table with its key, which cannot be added later."""
        columns = [self.definition(table, column) for column in table.columns]
        return [f"CREATE TABLE {self.of(table)} ({', '.join([*columns, self._key(table)])})"]

    def _key(self, table: Table) -> str:
        return f"PRIMARY KEY ({self.listed(table.key)})"

    def add_key(self, table: Table) -> Statements:  # noqa: ARG002, see create_table
        """Add nothing."""
        return []

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Run nothing, but say what cannot be done; `evolve` does the rest."""
        if after.required and not before.required:
            raise SchemaChangeNotSupportedError(f"Column {after.name} became required", table=table.name)
        if _form(before.type) != _form(after.type) and not _converts(before.type, after.type):
            raise SchemaChangeNotSupportedError(
                f"Column {after.name} cannot go from {before.type.kind} to {after.type.kind}", table=table.name
            )
        return []

    def evolve(
        self, before: Table, after: Table, existing: Sequence[Existing], own: Sequence[str], *, drop_columns: bool
    ) -> Statements:
        """Alter a table into a later version of its schema.

        Args:
            before: the table as its schema was.
            after: the table as its schema is.
            existing: the columns that it has in fact, others than the schema's included.
            own: the statements that made its indexes and triggers.
            drop_columns: whether columns that the schema no longer has are dropped.

        Raises:
            SchemaChangeNotSupportedError: that cannot be done while it has rows.
        """
        change = difference(before, after)
        self.check(change, after)
        for old, new in change.altered:
            self.alter_column(after, old, new)
        kept = [each for column in existing if (each := self._kept(column, change, drop_columns=drop_columns))]
        there = {column.name for column in existing}
        missing = [column for column in change.added if column.name not in there]
        if [each.column for each in kept] == list(existing) and all(self._plain(each) for each in kept):
            return [statement for column in missing for statement in self.add_column(after, column)]
        return self._anew(after, kept, missing, own)

    def _plain(self, kept: _Kept) -> bool:
        return kept.value == self.identifier(kept.column.name)

    def _kept(self, existing: Existing, change: SchemaDifference, *, drop_columns: bool) -> _Kept | None:
        """Return what becomes of a column that is there."""
        value = self.identifier(existing.name)
        altered = {old.name: (old, new) for old, new in change.altered}
        added = {column.name: column for column in change.added}
        if existing.name in altered:
            old, new = altered[existing.name]
            same = _form(old.type) == _form(new.type)
            type_ = existing.type if same else _type(new.type)
            return _Kept(replace(existing, type=type_, required=existing.required and new.required), value)
        if existing.name in added:  # it was dropped from the schema and kept, and is back
            return self._back(existing, added[existing.name])
        if existing.name in {column.name for column in change.dropped}:
            return None if drop_columns else _Kept(replace(existing, required=False), value)
        return _Kept(existing, value)

    def _back(self, existing: Existing, column: Column) -> _Kept:
        """Return a kept column that the schema has again: its values stay if they can, else give way."""
        value = self.identifier(existing.name) if existing.type == _type(column.type) else "NULL"
        default = None if column.default is None else self.default_value(column)
        if column.required:
            value = f"coalesce({value}, {default})"
        return _Kept(Existing(column.name, _type(column.type), column.required, default), value)

    def _anew(self, table: Table, kept: Sequence[_Kept], missing: Sequence[Column], own: Sequence[str]) -> Statements:
        live, beside = self.of(table), self.identifier("dapkit_anew")
        columns = [self._definition(each.column) for each in kept]
        columns += [self.definition(table, column) for column in missing]
        names = self.listed(each.column.name for each in kept)
        values = ", ".join(each.value for each in kept)
        return [
            f"DROP TABLE IF EXISTS {beside}",
            f"CREATE TABLE {beside} ({', '.join([*columns, self._key(table)])})",
            f"INSERT INTO {beside} ({names}) SELECT {values} FROM {live}",
            f"DROP TABLE {live}",
            f"ALTER TABLE {beside} RENAME TO {live}",
            *own,
        ]

    def _definition(self, column: Existing) -> str:
        default = "" if column.default is None else f" DEFAULT {column.default}"
        return f"{self.identifier(column.name)} {column.type}{default}{' NOT NULL' if column.required else ''}"

    # Rows

    def create_staging(self, table: Table) -> Statements:
        """Make the temporary table; the types of its columns matter when keys are compared."""
        key = [f"{self.identifier(column.name)} {_type(column.type)} NOT NULL" for column in table.key]
        value = [f"{self.identifier(column.name)} {_type(column.type)}" for column in table.value]
        meta = [self.identifier(META_TS), self.identifier(META_ACTION)]
        return [
            f"DROP TABLE IF EXISTS {STAGING}",
            f"CREATE TEMPORARY TABLE {STAGING} ({', '.join([*meta, *key, *value, ORIGINALS])})",
        ]

    def insert_staging(self, table: Table) -> str:
        """Insert a row of what `read` gives."""
        return f"INSERT INTO {STAGING} VALUES ({', '.join('?' * (len(table.columns) + 3))})"

    def index_staging(self, table: Table) -> str:
        """Make rows of a key quick to find."""
        return f'CREATE INDEX temp."dapkit_staged" ON {STAGING} ({self.listed(table.key)})'

    def read(self, table: Table, header: Header, paths: Sequence[str], longest_line: int) -> str:
        """Select the rows of the files by DuckDB, as SQLite keeps them: time, action, columns, originals."""
        there = set(header.names)
        time = f"CAST(CAST({self.identifier(META_TS)} AS TIMESTAMP) AS VARCHAR)"
        action = self.identifier(META_ACTION) if META_ACTION in there else "'U'"
        odd: dict[str, str] = {}
        values: list[str] = []
        for column in table.columns:
            source = header.source(column.name)
            text = "NULL" if source is None else self.identifier(source)
            values.append(_value(column.type, text))
            if source is not None and (condition := _odd(column.type, text)):
                odd[column.name] = condition
        selected = ", ".join([time, action, *values, original_values(table, header, odd)])
        return f"SELECT {selected} FROM {read_tsv(paths, header, longest_line)}"

    def nulled(self, table: Table) -> list[str]:
        """Return the required columns whose odd values have nothing but null to stand for them."""
        return [column.name for column in table.columns if column.required and column.type.kind in _FLOATS]

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        return f"{HASH}({', '.join([self.literal(sample.seed), *keys])}) % {BUCKETS} < {threshold(sample)}"

    def delete_marked(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are marked as deleted, found by the key of the live table."""
        key = self.listed(table.key)
        mark = f"{self.identifier(META_ACTION)} = 'D'"
        return f"DELETE FROM {self.of(table)} WHERE ({key}) IN (SELECT {key} FROM {staging} WHERE {mark})"


def bounds(definition: str) -> set[str]:
    """Return what the statement that made a table has of the words that SQLite tells nowhere else."""
    return set(re.findall(r"[A-Z]+", _QUOTED.sub(" ", definition).upper())) & _BOUNDS


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
    """Return how a value is kept; of two types with the same form one value looks alike."""
    return "moment" if type_.kind is TypeKind.DATETIME else _type(type_)


def _converts(before: ColumnType, after: ColumnType) -> bool:
    """Whether a wider type's affinity makes of each value what the service would write."""
    return widens(before, after) and _form(before) in ("INTEGER", "REAL") and _form(after) != "NUMERIC"


def _odd(type_: ColumnType, text: str) -> str | None:
    """Return a condition for the texts of values that SQLite cannot hold, None where there are none."""
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
    return unescape_sql(text)
