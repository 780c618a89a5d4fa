"""PURE: the clauses by which the SQL of one database differs from that of others.

A `Dialect` only supplies clauses; the statements that are built from them, and their order, are written once in
`sync_state`, `merge`, `schema_changes`, `compare` and `loader`. Layout and names are those of the official client, so
that either client can continue what the other began: `instructure_dap` holds the state tables, each namespace has
its own schema (or a prefix, where there are no schemas). Our own tables (`dapkit_*`) are next to the
state tables.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dapkit.model import Column, Table, TypeKind
from dapkit.targets.base import Sample
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable

__all__ = [
    "BUCKETS",
    "JSON_KINDS",
    "MARKER_LENGTH",
    "NUMBERS",
    "STATE_SCHEMA",
    "Dialect",
    "DialectFacts",
    "PlainComparison",
    "SchemaPlan",
    "Statements",
    "default_text",
    "full_name",
    "identifier",
    "listed",
    "lookup_columns",
    "same_key",
    "state_table",
    "text_literal",
    "threshold",
]

STATE_SCHEMA = "instructure_dap"
"""The schema of the state tables, or the prefix of their names."""

BUCKETS = 1_000_000
"""Into how many parts keys fall when rows are sampled."""

JSON_KINDS = frozenset({TypeKind.ARRAY, TypeKind.OBJECT, TypeKind.UNTYPED})
"""Kinds whose values the service writes as JSON."""

NUMBERS = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.FLOAT32, TypeKind.FLOAT64, TypeKind.DECIMAL}
)

MARKER_LENGTH = 27
"""The length of the marker that the service may send instead of a text, whatever the maximum length of that text."""

Statements = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectFacts:
    """What is only a word or a yes or no.

    Attributes:
        product: the name of the database, for messages.
        placeholder: the parameter marker of the driver.
        count_all: counts rows.
        lock_hint, lock_clause: what follows the table, or the complete SELECT, to lock its rows for the transaction.
        scratch: the namespace of tables that are only made to be compared with.
        schemas: whether a namespace is a schema, not a prefix.
        records_schema: whether the sync state names the schema of a table.
        time_column, action_column: the `meta` columns of a staging table.
        fill_hint: what follows the name of a new table that no other session sees, into which rows are inserted.
        row_time: what sorts staged rows by their time.
        text_times: whether times are kept as text.
        ascii_documents: whether schema documents in the sync state are kept in ASCII.
        size_is_read: whether a table has to be read to tell its size.
        joined_deletes: whether rows are deleted by a join with the staged ones, not by a subquery.
    """

    product: str
    placeholder: str = "?"
    count_all: str = "count(*)"
    lock_hint: str = ""
    lock_clause: str = ""
    scratch: str = "dapkit_scratch"
    schemas: bool = True
    records_schema: bool = True
    time_column: str = '"meta.ts"'
    action_column: str = '"meta.action"'
    row_time: str = '"meta.ts"'
    fill_hint: str = ""
    text_times: bool = False
    ascii_documents: bool = False
    size_is_read: bool = False
    joined_deletes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPlan:
    """What happens to each column of a table.

    Attributes:
        before: the table as it exists, described by the columns of its schema.
        table: the table as it will be.
        existing: the table as the catalogue describes it.
        added: columns that do not exist.
        replaced: columns that are new in the schema, whose names are taken by kept columns of another type.
        restored: columns that are new in the schema, and were kept when they left it.
        altered: columns, as they were and as they will be, whose type or nullability changes.
        dropped: columns that left the schema and are to be removed.
        relaxed: required columns that left the schema and are kept, so that they have to allow NULL.
        commented: columns whose comment changes.
    """

    before: Table
    table: Table
    existing: ExistingTable
    added: tuple[Column, ...]
    replaced: tuple[Column, ...]
    restored: tuple[Column, ...]
    altered: tuple[tuple[Column, Column], ...]
    dropped: tuple[Column, ...]
    relaxed: tuple[Column, ...]
    commented: tuple[Column, ...]


class NameClauses(Protocol):
    """How names and literals are written."""

    @property
    def facts(self) -> DialectFacts:
        """Words of this database."""

    def literal(self, text: str) -> str:
        """Write a text."""

    def name(self, namespace: str, table: str) -> str:
        """Write the full name of a table."""

    def temporary(self, name: str) -> str:
        """Write the name of a temporary table."""

    def drop_temporary(self, name: str) -> str:
        """Drop a temporary table, its name as SQL writes it, if it exists. Must not commit."""

    def limited(self, select: str, rows: int) -> str:
        """Return a SELECT that ends after so many rows."""

    def row_after(self, select: str, rows: int) -> str:
        """Return an ordered SELECT of the one row that follows so many others."""


class TableClauses(Protocol):
    """How tables are created."""

    def create_state_tables(self) -> Statements:
        """Create `table_sync`, `database_version` and our own tables where they are missing."""

    def insert_version(self, version: int) -> Statements:
        """Record the version of the state tables."""

    def create_namespace(self, namespace: str) -> Statements:
        """Create the schema of a namespace where it is missing."""

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""

    def clear_leftovers(self, table: Table) -> Statements:
        """Remove or reuse what an earlier load or the official `dropdb` left of a table that is absent."""

    def create_table(self, table: Table) -> Statements:
        """Create a table with the types and lookup tables that it needs, without a key that can be added later."""

    def add_key(self, table: Table) -> Statements:
        """Add the primary key to a table that is filled; nothing if `create_table` does it, or there are no keys."""

    def create_scratch(self, table: Table) -> Statements:
        """Create a table in the scratch namespace."""


class ChangeClauses(Protocol):
    """How an existing table is altered. `plan` names the table as it will be, and as it exists."""

    def converts(self, table: Table, before: Column, after: Column) -> bool:
        """Whether the values of a column can be kept when its type changes."""

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:
        """Whether an existing column already has the type and meaning that the schema wants."""

    def commit_first(self, before: Table, after: Table) -> Statements:
        """Return changes that no transaction may use that makes them."""

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column that does not exist."""

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type, whose name the schema uses again."""

    def restore_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Use a column again that was kept when it left the schema."""

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column that left the schema, and what was created for it."""

    def relax_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Let a required column that left the schema be NULL."""

    def comment_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Give a column its new comment."""

    def arrange(self, plan: SchemaPlan, statements: Statements) -> Statements:
        """Add what has to happen around the other statements, or replace them where the database cannot do them."""

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:
        """Empty a table and give it any other schema, or create the replacement that takes over its name."""

    def copy_indexes(self, table: Table, existing: ExistingTable) -> Statements:
        """Create the user's indexes on the rebuilt table."""


class RowClauses(Protocol):
    """How staged rows are compared with those of the table."""

    def key_values(self, table: Table) -> str:
        """Write what is equal for staged rows of the same key, and only for them."""

    def same_staged(self, table: Table, live: str, staged: str) -> str:
        """Return a condition: a row of the table and a staged one, by their aliases, have the same key."""

    def newest(self, select: str, into: str, table: Table) -> str:
        """Create a temporary table of a SELECT that has one row for each key."""


class LookupClauses(Protocol):
    """How enums are kept that are staged as texts and stored as numbers of a lookup table."""

    def columns(self, table: Table) -> Sequence[Column]:
        """Return the columns that are kept so."""

    def name(self, table: Table, column: Column) -> str:
        """Write the name of the lookup table of a column."""

    def same_value(self, known: str, text: str) -> str:
        """Return a condition: the row `known` of a lookup table has exactly this text."""

    def exact(self, table: Table, column: Column, existing: ExistingTable) -> Statements:
        """Let an existing lookup table distinguish values by case; the official client creates some that do not."""

    def comparable_table(self, table: Table) -> Table:
        """Return how a table is created to be compared with."""


class ReplacementClauses(Protocol):
    """How a new table takes over the name of another."""

    def name(self, table: Table) -> str:
        """Write the name of the replacement."""

    def take_over(self, table: Table) -> Statements:
        """Let the replacement take over the name."""

    def clear(self, table: Table) -> Statements:
        """Remove what an interrupted rebuild left; run before each change, so it must cost little."""


class ComparisonClauses(Protocol):
    """How a table is compared with another."""

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return a value of one table in a form that can be compared with the other's, and shown to the user."""

    def exact_comparison(self, table: Table, column: Column, value: str) -> str:
        """Return a value in a form that differs whenever the service's values differ."""

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return a value of the key in a form that can be compared, by an index if possible."""

    def is_text_json(self, table: Table, column: Column) -> bool:
        """Whether a column keeps JSON as text, so that one value may be written in several ways."""

    def may_differ(self, one: str, other: str) -> str:
        """Return a condition that is true if two texts are not the same JSON, and rarely true if they are."""

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""


class Dialect(NameClauses, TableClauses, ChangeClauses, RowClauses, Protocol):
    """The SQL of one database."""

    @property
    def comparison(self) -> ComparisonClauses:
        """How a table is compared with another."""

    @property
    def lookups(self) -> LookupClauses | None:
        """How enums are kept as numbers, in databases that do that."""

    @property
    def replacement(self) -> ReplacementClauses | None:
        """How a new table takes over the name of another, in databases that rebuild tables so."""


# Clauses that are the same in every database, or in several


def identifier(name: str) -> str:
    """Write a name; sessions accept quotes everywhere."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Write a text as standard SQL does."""
    return "'" + text.replace("'", "''") + "'"


def listed(columns: Iterable[Column | str], prefix: str = "") -> str:
    """Write column names with commas between."""
    names = (column if isinstance(column, str) else column.name for column in columns)
    return ", ".join(prefix + identifier(name) for name in names)


def full_name(dialect: NameClauses, table: Table) -> str:
    """Write the full name of a table of the service."""
    return dialect.name(table.namespace, table.name)


def state_table(dialect: NameClauses, table: str) -> str:
    """Write the full name of a state table."""
    return dialect.name(STATE_SCHEMA, table)


def same_key(table: Table, one: str, other: str) -> str:
    """Return a condition: rows of two tables, by their names or aliases, have the same key."""
    names = (identifier(column.name) for column in table.key)
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def default_text(dialect: NameClauses, column: Column) -> str:
    """Write the value of a column that has a default."""
    value = json.loads(column.default or "null")
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    return dialect.literal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def lookup_columns(dialect: Dialect, table: Table) -> Sequence[Column]:
    """Return the columns of a table that are staged as texts and kept as numbers."""
    return () if dialect.lookups is None else dialect.lookups.columns(table)


class PlainComparison:
    """How tables are compared where values mean the same in both, whatever table they are in.

    Args:
        is_text_json: whether a column keeps JSON as text.
        hashed: writes a whole number from 0 on that depends on some expressions.
    """

    def __init__(self, is_text_json: Callable[[Column], bool], hashed: Callable[[Sequence[str]], str]) -> None:
        self._is_text_json = is_text_json
        self._hashed = hashed

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""
        return f"{one} IS DISTINCT FROM {other}"

    def comparable(self, table: Table, column: Column, value: str) -> str:  # noqa: ARG002, values are comparable
        """Return the value as it is."""
        return value

    def exact_comparison(self, table: Table, column: Column, value: str) -> str:  # noqa: ARG002
        """Return the value as it is."""
        return value

    def comparable_key(self, table: Table, column: Column, value: str) -> str:  # noqa: ARG002
        """Return the value as it is."""
        return value

    def is_text_json(self, table: Table, column: Column) -> bool:  # noqa: ARG002
        """Whether a column keeps JSON as text."""
        return self._is_text_json(column)

    def may_differ(self, one: str, other: str) -> str:  # noqa: ARG002
        """Return that any two texts may differ: these databases cannot tell."""
        return "1 = 1"

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        return f"{self._hashed([text_literal(sample.seed), *keys])} % {BUCKETS} < {threshold(sample)}"


def threshold(sample: Sample) -> int:
    """Return the bucket below which those of a sample lie; at least one belongs to it."""
    return max(1, round(sample.percent * BUCKETS / 100))
