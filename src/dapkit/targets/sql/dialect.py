"""PURE: the SQL of one database as text, tested without a server.

What stands here is said once for all databases; a dialect says what is different in its own. Layout and names are
those of the official client, so that either can go on with what the other made: `instructure_dap` holds the books,
each namespace has a schema. What is ours beside them (`dapkit_*`) lies in tables of our own.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, Table, TypeKind
from dapkit.schema import SchemaDifference, difference
from dapkit.targets.base import Sample

__all__ = ["BUCKETS", "JSON_KINDS", "MARKER_LENGTH", "NUMBERS", "STATE_SCHEMA", "Dialect", "Statements", "threshold"]

STATE_SCHEMA = "instructure_dap"
"""The schema of the books, or the prefix of their names."""

BUCKETS = 1_000_000
"""Into how many parts keys fall when rows are sampled."""

JSON_KINDS = frozenset({TypeKind.ARRAY, TypeKind.OBJECT, TypeKind.UNTYPED})
"""Kinds whose values the service writes as JSON."""

NUMBERS = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.FLOAT32, TypeKind.FLOAT64, TypeKind.DECIMAL}
)

MARKER_LENGTH = 27
"""The length of the marker that may stand instead of a text, whatever the text's own bound."""

Statements = list[str]


class Dialect(ABC):
    """The SQL of one database.

    Attributes:
        placeholder: what stands for a value.
        locking: what follows a SELECT that holds its rows until the transaction ends.
        count_all: what counts rows.
        scratch: the namespace of tables that are made to be compared with.
    """

    placeholder: str = "?"
    locking: str = ""
    count_all: str = "count(*)"
    scratch: str = "dapkit_scratch"

    # Names

    def identifier(self, name: str) -> str:
        """Return a name as SQL writes it."""
        return '"' + name.replace('"', '""') + '"'

    def literal(self, text: str) -> str:
        """Return a text as SQL writes it."""
        return "'" + text.replace("'", "''") + "'"

    def name(self, namespace: str, table: str) -> str:
        """Return the full name of a table."""
        return f"{self.identifier(namespace)}.{self.identifier(table)}"

    def of(self, table: Table) -> str:
        """Return the full name of a table of the service."""
        return self.name(table.namespace, table.name)

    def state_table(self, table: str) -> str:
        """Return the full name of a table of the books, or of ours beside them."""
        return self.name(STATE_SCHEMA, table)

    def target_schema(self, namespace: str) -> str | None:
        """Return what the books say of the place of a namespace's tables."""
        return namespace

    def listed(self, columns: Iterable[Column | str], prefix: str = "") -> str:
        """Return column names with commas between."""
        names = (column if isinstance(column, str) else column.name for column in columns)
        return ", ".join(prefix + self.identifier(name) for name in names)

    def temporary(self, name: str) -> str:
        """Return the name of a temporary table as SQL writes it."""
        return self.identifier(name)

    def limited(self, select: str, rows: int) -> str:
        """Return a SELECT that ends after so many rows."""
        return f"{select} LIMIT {rows}"

    def one_after(self, select: str, rows: int) -> str:
        """Return an ordered SELECT of the one row that comes after so many."""
        return f"{select} LIMIT 1 OFFSET {rows}"

    # The books

    @abstractmethod
    def create_state_tables(self) -> Statements:
        """Make `table_sync`, `database_version` and our own tables where they are missing."""

    def select_states(self) -> str:
        """Select the lines of a namespace (one value): table, watermark, version of the schema, the schema."""
        return (
            f"SELECT source_table, {self.identifier('timestamp')}, schema_version, schema_description"
            f" FROM {self.state_table('table_sync')} WHERE source_namespace = {self.placeholder} ORDER BY id"
        )

    def select_line(self) -> str:
        """Select something if a table (two values) has a line."""
        return (
            f"SELECT 1 FROM {self.state_table('table_sync')}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder}"
        )

    def lock_state_row(self) -> str:
        """Select the watermarks of a table (two values) and hold its line until the transaction ends."""
        return (
            f"SELECT {self.identifier('timestamp')} FROM {self.state_table('table_sync')}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder}{self.locking}"
        )

    def insert_version(self, version: int) -> Statements:
        """Say of which version the books are."""
        return [f"INSERT INTO {self.state_table('database_version')} (version) VALUES ({version})"]

    def insert_state(self) -> str:
        """Add a line: namespace, table, watermark, version, target schema, target table, format, schema."""
        columns = (
            "source_namespace", "source_table", "timestamp", "schema_version", "target_schema", "target_table",
            "schema_description_format", "schema_description",
        )  # fmt: skip
        return self._insert("table_sync", columns)

    def update_state(self) -> str:
        """Change a line: watermark, version, schema, of namespace, table."""
        return (
            f"UPDATE {self.state_table('table_sync')} SET {self.identifier('timestamp')} = {self.placeholder},"
            f" schema_version = {self.placeholder}, schema_description = {self.placeholder}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder}"
        )

    def delete_state(self) -> str:
        """Remove the line of a namespace and table."""
        return (
            f"DELETE FROM {self.state_table('table_sync')}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder}"
        )

    def insert_history(self) -> str:
        """Add to our history: time, namespace, table, what happened, detail (JSON)."""
        return self._insert("dapkit_history", ("time", "source_namespace", "source_table", "event", "detail"))

    def newest_history(self) -> str:
        """Select the newest line of our history for each table of a namespace: table, time, event, detail."""
        columns = self.listed(("source_table", "time", "event", "detail"))
        place = "row_number() OVER (PARTITION BY source_table ORDER BY time DESC) AS dapkit_place"
        numbered = (
            f"SELECT {columns}, {place} FROM {self.state_table('dapkit_history')}"
            f" WHERE source_namespace = {self.placeholder}"
        )
        return f"SELECT {columns} FROM ({numbered}) AS numbered WHERE dapkit_place = 1"

    def oldest_history(self, lines: int) -> str:
        """Select the time of the oldest of so many newest lines of a namespace and table, if there are as many."""
        times = (
            f"SELECT time FROM {self.state_table('dapkit_history')}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder} ORDER BY time DESC"
        )
        return self.one_after(times, lines - 1)

    def prune_history(self) -> str:
        """Remove the lines of a namespace and table before a time, but for those whose detail is like a pattern."""
        return (
            f"DELETE FROM {self.state_table('dapkit_history')}"
            f" WHERE source_namespace = {self.placeholder} AND source_table = {self.placeholder}"
            f" AND time < {self.placeholder} AND detail NOT LIKE {self.placeholder}"
        )

    def _insert(self, table: str, columns: Sequence[str]) -> str:
        values = ", ".join([self.placeholder] * len(columns))
        return f"INSERT INTO {self.state_table(table)} ({self.listed(columns)}) VALUES ({values})"

    # Tables

    @abstractmethod
    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""

    def create_namespace(self, namespace: str) -> Statements:
        """Make the place of a namespace where it is missing."""
        return [f"CREATE SCHEMA IF NOT EXISTS {self.identifier(namespace)}"]

    def create_table(self, table: Table) -> Statements:
        """Make a table, with the types and tables that it needs, without its key."""
        columns = ", ".join(self.definition(table, column) for column in table.columns)
        return [f"CREATE TABLE {self.of(table)} ({columns})"]

    def definition(self, table: Table, column: Column) -> str:
        """Return the definition of a column."""
        constraint = " NOT NULL" if column.required else ""
        return f"{self.identifier(column.name)} {self.type_of(table, column)}{self.default(column)}{constraint}"

    def default(self, column: Column) -> str:
        """Return the DEFAULT of a column with a space before it, or nothing."""
        return "" if column.default is None else f" DEFAULT {self.default_value(column)}"

    def default_value(self, column: Column) -> str:
        """Return the value of a column that has a default, as SQL writes it."""
        value = json.loads(column.default or "null")
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int | float):
            return repr(value)
        return self.literal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def add_key(self, table: Table) -> Statements:
        """Add the primary key to a table that is filled."""
        return [f"ALTER TABLE {self.of(table)} ADD PRIMARY KEY ({self.listed(table.key)})"]

    def drop_table(self, namespace: str, table: str) -> Statements:
        """Remove a table and what was made for it."""
        return [f"DROP TABLE IF EXISTS {self.name(namespace, table)}"]

    def alter(self, before: Table, after: Table, *, drop_columns: bool) -> Statements:
        """Alter a table into a later version of its schema.

        Raises:
            SchemaChangeNotSupportedError: that cannot be done while it has rows.
        """
        change = difference(before, after)
        self.check(change, after)
        statements: Statements = []
        for column in change.added:
            statements += self.add_column(after, column)
        for old, new in change.altered:
            statements += self.alter_column(after, old, new)
        for column in change.dropped:
            statements += self.drop_column(after, column) if drop_columns else self.keep_column(after, column)
        return statements

    def check(self, change: SchemaDifference, after: Table) -> None:
        """Raise SchemaChangeNotSupportedError for what no database alters while a table has rows."""
        if change.key_changed:
            raise SchemaChangeNotSupportedError(f"The key of table {after.name} changed", table=after.name)
        for column in change.added:
            if column.required and column.default is None:
                raise SchemaChangeNotSupportedError(f"Column {column.name} is new and required", table=after.name)

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column that is not there yet."""
        return [f"ALTER TABLE {self.of(table)} ADD COLUMN {self.definition(table, column)}"]

    @abstractmethod
    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness. Raises SchemaChangeNotSupportedError."""

    def drop_column(self, table: Table, column: Column) -> Statements:
        """Remove a column that the schema no longer has."""
        return [f"ALTER TABLE {self.of(table)} DROP COLUMN {self.identifier(column.name)}"]

    def keep_column(self, table: Table, column: Column) -> Statements:
        """Let a column that the schema no longer has stay, nullable."""
        if not column.required:
            return []
        return [f"ALTER TABLE {self.of(table)} ALTER COLUMN {self.identifier(column.name)} DROP NOT NULL"]

    def rebuild(self, before: Table, after: Table) -> Statements:
        """Empty a table and give it another schema."""
        return [*self.drop_table(before.namespace, before.name), *self.create_table(after)]

    # Rows, from a temporary table that has those of the files beside `meta.ts` and `meta.action`

    def repeated(self, table: Table, staging: str) -> str:
        """Select one row if a key is there more than once."""
        return self.limited(f"SELECT 1 FROM {staging} GROUP BY {self.listed(table.key)} HAVING count(*) > 1", 1)

    def newest(self, table: Table, staging: str, into: str, *, action: bool) -> str:
        """Make another temporary table with the newest row of each key; of equal age a deletion wins."""
        order = f"{self.age()} DESC" + (f", {self.identifier('meta.action')}" if action else "")
        numbered = (
            f"SELECT *, row_number() OVER (PARTITION BY {self.listed(table.key)} ORDER BY {order}) AS dapkit_place"
            f" FROM {staging}"
        )
        return f"CREATE TEMPORARY TABLE {into} AS SELECT * FROM ({numbered}) AS numbered WHERE dapkit_place = 1"

    def age(self) -> str:
        """Return what puts rows in the order of their times; these may have more or fewer decimals as text."""
        return self.identifier("meta.ts")

    def insert(self, table: Table, staging: str) -> str:
        """Insert every row."""
        columns = self.listed(table.columns)
        return f"INSERT INTO {self.of(table)} ({columns}) SELECT {columns} FROM {staging}"

    def upsert(self, table: Table, staging: str, *, action: bool) -> Statements:
        """Insert the rows or update those of their keys; rows marked as deleted are left aside."""
        columns, key = self.listed(table.columns), self.listed(table.key)
        updates = ", ".join(f"{self.identifier(c.name)} = excluded.{self.identifier(c.name)}" for c in table.value)
        resolution = f"DO UPDATE SET {updates}" if table.value else "DO NOTHING"
        where = f"{self.identifier('meta.action')} <> 'D'" if action else "true"
        return [
            f"INSERT INTO {self.of(table)} ({columns}) SELECT {columns} FROM {staging} WHERE {where}"
            f" ON CONFLICT ({key}) {resolution}"
        ]

    def delete_marked(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are marked as deleted."""
        same = self.same_key(table, "staged", self.of(table))
        mark = f"staged.{self.identifier('meta.action')} = 'D'"
        return f"DELETE FROM {self.of(table)} WHERE EXISTS (SELECT 1 FROM {staging} AS staged WHERE {same} AND {mark})"

    def delete_missing(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are not there any more."""
        same = self.same_key(table, "staged", self.of(table))
        return f"DELETE FROM {self.of(table)} WHERE NOT EXISTS (SELECT 1 FROM {staging} AS staged WHERE {same})"

    def delete_before(self, table: Table, column: str, moment: datetime) -> str:
        """Delete the rows whose date-time in a column lies before a moment."""
        text = str(moment.astimezone(UTC).replace(tzinfo=None))
        return f"DELETE FROM {self.of(table)} WHERE {self.identifier(column)} < {self.literal(text)}"

    # Comparing

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""
        return f"{one} IS DISTINCT FROM {other}"

    def comparable(self, table: Table, column: Column, value: str) -> str:  # noqa: ARG002, for those who need them
        """Return what can be compared with the same column of a table made anew."""
        return value

    def told_apart(self, table: Table, column: Column, value: str) -> str:
        """Return what differs wherever the service's values differ; `comparable` is what a person is shown."""
        return self.comparable(table, column, value)

    def same_key(self, table: Table, one: str, other: str) -> str:
        """Return a condition: rows of two tables, by their names or aliases, have the same key."""
        names = (self.identifier(column.name) for column in table.key)
        return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return the same for a column of the key, in a form that lets its index be used where that can be."""
        return self.comparable(table, column, value)

    def is_loose(self, table: Table, column: Column) -> bool:  # noqa: ARG002, for those who need them
        """Whether a column keeps JSON as text, so that one value may be written in several ways."""
        return column.type.kind in JSON_KINDS

    def may_differ(self, one: str, other: str) -> str:  # noqa: ARG002, for those who can tell
        """Return a condition that is true if two texts are not the same JSON, and hardly ever if they are."""
        return "1 = 1"

    @abstractmethod
    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""


def threshold(sample: Sample) -> int:
    """Return the bucket before which those of a sample lie; at least one belongs to it."""
    return max(1, round(sample.percent * BUCKETS / 100))
