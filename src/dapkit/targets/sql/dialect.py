"""PURE: the clauses by which the SQL of one database differs from that of others.

A `Dialect` only supplies clauses; the statements that are built from them, and their order, are written once in
`sync_state`, `merge`, `schema_changes`, `compare` and `loader`. Layout and names are those of the official client, so
that either client can continue what the other began: `instructure_dap` holds the state tables, each namespace has its
own schema (or a prefix, where there are no schemas). Our own tables (`dapkit_*`) lie next to the state tables.

What differs only by a word is a fact in `DialectFacts` or `Comparison`, with the most common form as its default.
"""

import json
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Protocol
from uuid import UUID

from dapkit.model import JSON_KINDS, Column, ColumnType, Table, TypeKind
from dapkit.schema import widens
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable

STATE_SCHEMA = "instructure_dap"
"""The schema of the state tables, or the prefix of their names."""

"""Kinds whose values the service writes as JSON."""

NUMBERS = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.FLOAT32, TypeKind.FLOAT64, TypeKind.DECIMAL}
)

SERVER_TYPES = {
    TypeKind.INT16: "smallint",
    TypeKind.INT32: "integer",
    TypeKind.INT64: "bigint",
    TypeKind.OPEN_ENUM: "integer",
    TypeKind.DATE: "date",
    TypeKind.TIME: "time",
}
"""Types that the official client chooses on every server."""

PACKED_TYPES = {
    TypeKind.UUID: "binary(16)",
    TypeKind.IPV4: "binary(4)",
    TypeKind.IPV6: "binary(16)",
    TypeKind.IP: "binary(16)",
}
"""Types of UUIDs and addresses on servers that have no types for them."""

MARKER_LENGTH = 27
"""The length of the marker that the service may send instead of a text, whatever the maximum length of that text."""

Statements = list[str]
WrittenValue = Callable[[Table, Column, str], str]
"""Writes a value of a column, given as SQL, in another form."""


def identifier(name: str) -> str:
    """Write a name; sessions accept quotes everywhere."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Write a text as standard SQL does."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectFacts:
    """Differences that are only a word, a yes or no, or a way to write a text.

    Attributes:
        product: the name of the database, for messages.
        literal: writes a text.
        placeholder: the placeholder of a value.
        count_all: counts rows.
        limit_by_top: whether `SELECT TOP` limits rows, not `LIMIT`.
        lock_hint, lock_clause: what follows the table, or the SELECT, to lock its rows for the transaction.
        scratch: the namespace of tables that are only made to be compared with.
        schemas: whether a namespace is a schema, not a prefix.
        records_schema: whether the sync state names the schema of a table.
        numbered_version: whether the column of the version usually numbers itself.
        action_column: the `meta` column of a staging table that says whether a row was updated or deleted.
        row_time: what sorts staged rows by their time.
        exact_text: writes a text of a staged key so that it equals no other, where `=` ignores case or spaces.
        newest: the name of the temporary table with the newest row of each key.
        create_newest: creates it from a `{select}`; `{key}` are the columns of the key.
        drop_temporary: what drops a temporary table, without a commit.
        update_joined: sets `{updates}` of a table, by its alias `live`, in the joined `{rows}`.
        fill_hint: what follows the name of a new table, not yet visible to others, into which rows are inserted.
        lookup_kinds: kinds that are staged as texts and kept as numbers of a lookup table; see `LookupClauses`.
        text_times: whether times are kept as text.
        ascii_documents: whether schema documents in the sync state are kept in ASCII.
        size_is_read: whether a table has to be read to tell its size.
        watermarks_late_by: how much later than the real one a watermark may be that the official client saved.
    """

    product: str
    literal: Callable[[str], str] = text_literal
    placeholder: str = "?"
    count_all: str = "count(*)"
    limit_by_top: bool = False
    lock_hint: str = ""
    lock_clause: str = ""
    scratch: str = "dapkit_scratch"
    schemas: bool = True
    records_schema: bool = True
    numbered_version: bool = False
    action_column: str = '"meta.action"'
    row_time: str = '"meta.ts"'
    exact_text: Callable[[str], str] = str
    newest: str = '"dapkit_newest"'
    create_newest: str = "CREATE TEMPORARY TABLE {newest} AS {select}"
    drop_temporary: str = "DROP TABLE IF EXISTS"
    update_joined: str = "UPDATE live SET {updates} FROM {rows}"
    fill_hint: str = ""
    lookup_kinds: Set[TypeKind] = frozenset()
    text_times: bool = False
    ascii_documents: bool = False
    size_is_read: bool = False
    watermarks_late_by: timedelta = timedelta()

    def bare_name(self, namespace: str, table: str) -> str:
        """Return the name of a table without quotes, and without its schema if it is in one."""
        return table if self.schemas or not namespace else f"{namespace}__{table}"

    def name(self, namespace: str, table: str) -> str:
        """Write the full name of a table."""
        bare = identifier(self.bare_name(namespace, table))
        return f"{identifier(namespace)}.{bare}" if self.schemas else bare

    def full_name(self, table: Table) -> str:
        """Write the full name of a table of the service."""
        return self.name(table.namespace, table.name)

    def state_table(self, table: str) -> str:
        """Write the full name of a state table."""
        return self.name(STATE_SCHEMA, table)

    def lookup_table(self, table: Table, column: Column | str) -> str:
        """Write the full name of the lookup table of a column, or of its enum type in PostgreSQL."""
        name = column if isinstance(column, str) else column.name
        return self.name(table.namespace, f"{table.name}__{name}")

    def lookup_columns(self, table: Table) -> list[Column]:
        """Return the columns of a table that are staged as texts and kept as numbers."""
        return [column for column in table.columns if column.type.kind in self.lookup_kinds]

    def default_text(self, column: Column) -> str:
        """Write the value of a column that has a default."""
        value = json.loads(column.default or "null")
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int | float):
            return repr(value)
        return self.literal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def limited(self, select: str, rows: int) -> str:
        """Return a SELECT that ends after so many rows."""
        if self.limit_by_top:
            return f"SELECT TOP ({rows}) {select.removeprefix('SELECT ')}"
        return f"{select} LIMIT {rows}"

    def row_after(self, select: str, rows: int) -> str:
        """Return an ordered SELECT of the one row that follows so many others."""
        if self.limit_by_top:
            return f"{select} OFFSET {rows} ROWS FETCH NEXT 1 ROWS ONLY"
        return f"{select} LIMIT 1 OFFSET {rows}"


def converts_as_stored(
    before: ColumnType, after: ColumnType, as_text: Set[TypeKind], lookups: Set[TypeKind] = frozenset()
) -> bool:
    """Whether a server that keeps UUIDs and addresses as bytes turns the values of one type into those of another.

    Args:
        before: the type as it was.
        after: the type as it will be.
        as_text: kinds whose values become, as text, what the service writes.
        lookups: kinds that are kept as numbers of one lookup table.
    """
    if not widens(before, after):
        return False
    kinds = {before.kind, after.kind}
    if len(kinds) == 1 or kinds <= JSON_KINDS or kinds <= lookups:
        return True
    if after.kind is TypeKind.TEXT:
        return before.kind in as_text
    return kinds <= NUMBERS or after.kind is TypeKind.IP  # an IPv4 address is padded with zeros, as in a wider column


def _is_distinct(_column: Column, one: str, other: str) -> str:
    return f"{one} IS DISTINCT FROM {other}"


def _is_json(column: Column) -> bool:
    return column.type.kind in JSON_KINDS


def unchanged(table: Table, column: Column, value: str) -> str:  # noqa: ARG001, the form of those that need them
    """Return a value unchanged: it means the same in every table."""
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a table is compared with another.

    Attributes:
        hashed: writes an integer of at least 0 that depends on some expressions.
        comparable: writes a value so that it can be compared with the other table's, and shown to the user.
        exact: writes a value so that it differs whenever the service's values differ.
        key: writes a value of the key so that it can be compared, by an index if possible.
        differs: writes a condition: the two values of a column differ, where null equals null.
        keeps_json_as_text: whether one JSON value of a column may be written in several ways.
        normal_json: what writes a JSON text `{}` in a form that is nearly always the same; None if nothing does.
    """

    hashed: Callable[[Sequence[str]], str]
    comparable: WrittenValue = unchanged
    exact: WrittenValue = unchanged
    key: WrittenValue = unchanged
    differs: Callable[[Column, str, str], str] = _is_distinct
    keeps_json_as_text: Callable[[Column], bool] = _is_json
    normal_json: str | None = None


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
        altered: columns, as they were and as they will be, whose type or nullability changes; required columns that
            left the schema and are kept are among them, since they have to allow NULL.
        dropped: columns that left the schema and are to be removed.
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
    commented: tuple[Column, ...]


class TableClauses(Protocol):
    """How tables are created."""

    def create_state_tables(self) -> Statements:
        """Create `table_sync`, `database_version` and our own tables where they are missing."""

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


class ChangeClauses(Protocol):
    """How an existing table is altered."""

    def converts(self, table: Table, before: Column, after: Column) -> bool:
        """Whether the values of a column can be kept when its type changes."""

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:
        """Whether an existing column already has the type and meaning that the schema wants."""

    def commit_first(self, before: Table, after: Table) -> Statements:
        """Return changes that no transaction may use that makes them."""

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Carry out a plan."""

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:
        """Empty a table and give it any other schema, or create the replacement that takes over its name."""


class ColumnClauses(Protocol):
    """How single columns are altered, for `column_changes`; `plan` names the table as it will be, and as it exists."""

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type, whose name the schema uses again."""

    def restore_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Use a column again that was kept when it left the schema."""

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column that does not exist."""

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column that left the schema, and what was created for it."""


def column_changes(clauses: ColumnClauses, plan: SchemaPlan) -> Statements:
    """Alter a table column by column."""
    steps = [clauses.clear_column(plan, column) for column in plan.replaced]
    steps += [clauses.restore_column(plan, column) for column in plan.restored]
    steps += [clauses.add_column(plan, column) for column in (*plan.added, *plan.replaced)]
    steps += [clauses.alter_column(plan, old, new) for old, new in plan.altered]
    steps += [clauses.drop_column(plan, column) for column in plan.dropped]
    return [statement for step in steps for statement in step]


def no_statements(self: object, *_: object, **__: object) -> Statements:  # noqa: ARG001
    """Return nothing, in place of a clause that a database does not need; assigned to its name in a dialect."""
    return []


class LookupClauses(Protocol):
    """How columns of `DialectFacts.lookup_kinds` are kept."""

    def same_value(self, known: str, text: str) -> str:
        """Return a condition: the row `known` of a lookup table has exactly this text."""

    def same_key(self, table: Table, live: str, staged: str) -> str:
        """Return a condition: a row of the table and a staged one, by their aliases, have the same key."""

    def exact(self, table: Table, column: Column, existing: ExistingTable) -> Statements:
        """Let an existing lookup table distinguish values by case; the official client creates some that do not."""


class ReplacementClauses(Protocol):
    """How tables are created before they become visible, where every DDL statement commits."""

    def create_temporary(self, table: Table) -> Statements:
        """Create a temporary table to compare with, which is in no transaction."""

    def comparable_table(self, table: Table) -> Table:
        """Return what a table that is created to be compared with looks like."""

    def name(self, table: Table) -> str:
        """Write the name of a new table that takes over the name of another."""

    def copy_indexes(self, table: Table, existing: ExistingTable) -> Statements:
        """Create the user's indexes on the new table."""

    def take_over(self, table: Table) -> Statements:
        """Let the new table take over the name."""

    def leftovers(self, table: Table) -> tuple[str, ...]:
        """Return the names of tables, among the state tables, that an interrupted rebuild may have left."""


class Dialect(TableClauses, ChangeClauses, Protocol):
    """The SQL of one database."""

    @property
    def facts(self) -> DialectFacts:
        """Words of this database."""

    @property
    def comparison(self) -> Comparison:
        """How a table is compared with another."""

    @property
    def lookups(self) -> LookupClauses | None:
        """How enums are kept as numbers, in databases that do that."""

    @property
    def replacement(self) -> ReplacementClauses | None:
        """How tables are created before they become visible, in databases where every DDL statement commits."""


# Clauses that are the same in every database, or in several


def listed(columns: Iterable[Column | str], prefix: str = "") -> str:
    """Write column names with commas between."""
    names = (column if isinstance(column, str) else column.name for column in columns)
    return ", ".join(prefix + identifier(name) for name in names)


def same_key(table: Table, one: str, other: str) -> str:
    """Return a condition: rows of two tables, by their names or aliases, have the same key."""
    names = (identifier(column.name) for column in table.key)
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def defaults_last(columns: Iterable[Column]) -> list[Column]:
    """Return columns in the order of the official client: those with a default come last."""
    return sorted(columns, key=lambda column: column.default is not None)


def packed_default(column: Column) -> str | None:
    """Return the default of a UUID or an address that is kept as bytes, in hexadecimal; None for other columns."""
    kind = column.type.kind
    if kind is TypeKind.UUID:
        return UUID(json.loads(column.default or "null")).hex
    if kind in (TypeKind.IPV4, TypeKind.IPV6, TypeKind.IP):
        packed = ip_address(json.loads(column.default or "null")).packed
        return packed.ljust(4 if kind is TypeKind.IPV4 else 16, b"\0").hex()
    return None


def default_time(column: Column) -> datetime:
    """Return the default of a date-time as the UTC that databases keep without saying so."""
    time = datetime.fromisoformat(json.loads(column.default or "null"))
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def recreate(dialect: Dialect, before: Table, after: Table, existing: ExistingTable) -> Statements:
    """Drop a table and create it with another schema, with the user's indexes and triggers."""
    indexes = [index.definition for index in existing.indexes]
    return [f"DROP TABLE IF EXISTS {dialect.facts.full_name(before)}", *dialect.create_table(after), *indexes]
