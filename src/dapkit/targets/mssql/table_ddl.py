"""PURE: the T-SQL of tables as the official client lays them out. It writes no comments, so neither do we.

Texts are `varchar` in the collation of the database, in bytes, four for each character. Texts by which rows are
distinguished (those of keys, the values of enums) have a binary collation instead: most databases take `a` for `A`.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mssql.state_tables import TABLES
from dapkit.targets.sql.dialect import (
    JSON_KINDS,
    MARKER_LENGTH,
    STATE_SCHEMA,
    DialectFacts,
    Statements,
    default_text,
    full_name,
    identifier,
    listed,
    state_table,
    text_literal,
)

__all__ = ["ACTION", "LOOKUPS", "TEXTS", "TIME", "MsSqlTables", "has_lookup", "lookups"]

TIME, ACTION = '"dapkit_time"', '"dapkit_action"'
"""The `meta` columns of a staging table."""

_LONGEST = 8000
"""The most bytes of a varchar; beyond it a text is a varchar(max)."""

_LONGEST_KEY = 900
"""The most bytes that a key may have."""

_TYPES = {
    TypeKind.INT16: "smallint",
    TypeKind.INT32: "integer",
    TypeKind.INT64: "bigint",
    TypeKind.FLOAT32: "real",
    TypeKind.FLOAT64: "double precision",
    TypeKind.BOOLEAN: "bit",
    TypeKind.ENUM: "integer",
    TypeKind.OPEN_ENUM: "integer",
    TypeKind.DATETIME: "datetime2",
    TypeKind.DATE: "date",
    TypeKind.TIME: "time",
    TypeKind.UUID: "binary(16)",
    TypeKind.IPV4: "binary(4)",
    TypeKind.IPV6: "binary(16)",
    TypeKind.IP: "binary(16)",
    TypeKind.ARRAY: "varchar(max)",
    TypeKind.OBJECT: "varchar(max)",
    TypeKind.UNTYPED: "varchar(max)",
}
LOOKUPS = frozenset({TypeKind.ENUM, TypeKind.OPEN_ENUM})
"""Kinds that are kept as numbers, which refer to a table of values."""

TEXTS = JSON_KINDS | {TypeKind.TEXT}


def lookups(columns: Sequence[Column]) -> list[Column]:
    """Return the columns whose values lie in tables of their own."""
    return [column for column in columns if column.type.kind in LOOKUPS]


def has_lookup(type_: ColumnType) -> bool:
    """Whether there is a table of values; that of a list of enums, which is JSON, is never filled."""
    return type_.kind in LOOKUPS or (type_.items is not None and type_.items.kind is TypeKind.ENUM)


@dataclass(frozen=True)
class MsSqlTables:
    """How tables are created.

    Attributes:
        exact: the binary collation of texts by which rows are distinguished.
        scratch: a namespace of the session's own: creating one of the same name would wait until another's is undone.
    """

    exact: str = "Latin1_General_100_BIN2_UTF8"
    scratch: str = "dapkit_scratch"

    @property
    def facts(self) -> DialectFacts:
        """Words of this database."""
        return DialectFacts(
            product="SQL Server",
            count_all="count_big(*)",
            lock_hint=" WITH (UPDLOCK, HOLDLOCK, ROWLOCK)",
            scratch=self.scratch,
            time_column=TIME,
            action_column=ACTION,
            row_time=TIME,
            fill_hint=" WITH (TABLOCK)",
            ascii_documents=True,
            joined_deletes=True,
        )

    # Names

    def literal(self, text: str) -> str:
        """Write a text, in Unicode where that is needed."""
        return text_literal(text) if text.isascii() else self.unicode(text)

    def unicode(self, text: str) -> str:
        """Write a text in Unicode."""
        return "N" + text_literal(text)

    def name(self, namespace: str, table: str) -> str:
        """Write the full name of a table."""
        return f"{identifier(namespace)}.{identifier(table)}"

    def temporary(self, name: str) -> str:
        """Write the name of a temporary table."""
        return identifier(f"#{name}")

    def drop_temporary(self, name: str) -> str:
        """Drop a temporary table."""
        return f"DROP TABLE IF EXISTS {name}"

    def limited(self, select: str, rows: int) -> str:
        """Return a SELECT that ends after so many rows."""
        return f"SELECT TOP ({rows}) {select.removeprefix('SELECT ')}"

    def row_after(self, select: str, rows: int) -> str:
        """Return an ordered SELECT of the one row that comes after so many."""
        return f"{select} OFFSET {rows} ROWS FETCH NEXT 1 ROWS ONLY"

    def lookup(self, table: Table, column: Column) -> str:
        """Write the full name of the lookup table of an enum."""
        return self.name(table.namespace, f"{table.name}__{column.name}")

    def reference(self, table: Table, column: Column) -> str:
        """Write the name of the foreign key from an enum to its lookup table."""
        return identifier(f"fk_{table.namespace}_{table.name}_{column.name}")

    def key_name(self, table: Table) -> str:
        """Return the name of a table's key."""
        return identifier(f"pk_{table.namespace}_{table.name}")

    def missing(self, name: str) -> str:
        """Return a condition: there is no table of this full name."""
        return f"OBJECT_ID({self.unicode(name)}, N'U') IS NULL"

    # The state tables

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing, one process at a time."""
        made = [
            f"IF {self.missing(state_table(self, name))} CREATE TABLE {state_table(self, name)} ({columns})"
            for name, columns in TABLES.items()
        ]
        return [self.alone("dapkit books"), *self.create_namespace(STATE_SCHEMA), *made]

    def alone(self, what: str) -> str:
        """Wait until no other transaction holds a lock of this name, and hold it."""
        return (
            f"DECLARE @held integer; EXEC @held = sp_getapplock @Resource = {self.unicode(what)},"
            " @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 600000;"
            " IF @held < 0 RAISERROR(N'Lock request time out period exceeded.', 16, 1)"
        )

    def insert_version(self, version: int) -> Statements:
        """Record the version of the state tables, in a column that usually numbers itself."""
        table = state_table(self, "database_version")
        insert = f"INSERT INTO {table} (version) VALUES ({version})"
        return [f"SET IDENTITY_INSERT {table} ON", insert, f"SET IDENTITY_INSERT {table} OFF"]

    # Types

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""
        return self.type(column.type, key=column in table.key)

    def type(self, type_: ColumnType, *, key: bool = False) -> str:
        """Return a type as SQL writes it; texts of a key are bounded, and distinguished exactly."""
        match type_.kind:
            case TypeKind.DECIMAL:
                return f"decimal({type_.precision},{type_.scale})"
            case TypeKind.TEXT if key:
                length = _LONGEST_KEY if type_.length is None else min(4 * type_.length, _LONGEST)
                return f"varchar({length}) COLLATE {self.exact}"
            case TypeKind.TEXT:
                length = max(4 * (type_.length or 0), MARKER_LENGTH if type_.marker else 1)
                bounded = type_.length is not None and length <= _LONGEST
                return f"varchar({length})" if bounded else "varchar(max)"
        return _TYPES[type_.kind]

    # Tables

    def create_namespace(self, namespace: str) -> Statements:
        """Create the schema of a namespace where it is missing; that has to be a batch of its own."""
        create = self.unicode(f"CREATE SCHEMA {identifier(namespace)}")
        return [f"IF SCHEMA_ID({self.unicode(namespace)}) IS NULL EXEC({create})"]

    def clear_leftovers(self, table: Table) -> Statements:  # noqa: ARG002
        """Lookup tables that are left are used again."""
        return []

    def create_scratch(self, table: Table) -> Statements:
        """Create a table in the scratch namespace."""
        return [*self.create_namespace(table.namespace), *self.create_table(table)]

    def create_table(self, table: Table) -> Statements:
        """Create a table with its lookup tables; columns with a default come last."""
        ordered = sorted(table.columns, key=lambda column: column.default is not None)
        columns = ", ".join(self.definition(table, column) for column in ordered)
        made = [self.create_lookup(table, column) for column in table.columns if has_lookup(column.type)]
        return [*made, f"CREATE TABLE {full_name(self, table)} ({columns})"]

    def definition(self, table: Table, column: Column) -> str:
        """Return the definition of a column."""
        constraint = "NOT NULL" if column.required else "NULL"
        name, type_ = identifier(column.name), self.type_of(table, column)
        return f"{name} {type_} {constraint}{self.named_default(table, column)}"

    def named_default(self, table: Table, column: Column) -> str:
        """Return the DEFAULT of a column with a space before it, or nothing; the number of an enum is not known."""
        if column.default is None or column.type.kind in LOOKUPS:
            return ""
        name = identifier(f"df_{table.name}_{column.name}")
        return f" CONSTRAINT {name} DEFAULT {self.default_value(column)}"

    def default_value(self, column: Column) -> str:
        """Return the value of a column that has a default, in the form that the column has."""
        value = json.loads(column.default or "null")
        match column.type.kind:
            case TypeKind.BOOLEAN:
                return str(int(value))
            case TypeKind.DATETIME:
                moment = datetime.fromisoformat(value)
                utc = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
                return self.literal(utc.isoformat(" "))
            case TypeKind.UUID:
                return f"0x{uuid.UUID(value).hex}"
            case TypeKind.IPV4 | TypeKind.IPV6 | TypeKind.IP:
                packed = ip_address(value).packed
                return f"0x{packed.ljust(4 if column.type.kind is TypeKind.IPV4 else 16, bytes(1)).hex()}"
            case TypeKind.ARRAY | TypeKind.OBJECT | TypeKind.UNTYPED:
                return self.literal(json.dumps(value))
        return default_text(self, column)

    def create_lookup(self, table: Table, column: Column) -> str:
        """Create the lookup table of an enum where it is missing."""
        name, bare = self.lookup(table, column), f"{table.name}__{column.name}"
        key = identifier(f"pk_{table.namespace}_{bare}")
        return (
            f'IF {self.missing(name)} CREATE TABLE {name} ("id" integer NOT NULL IDENTITY, {self._lookup_value()},'
            f' CONSTRAINT {key} PRIMARY KEY ("id"), CONSTRAINT {self._unique(table, column)} UNIQUE ("value"))'
        )

    def _lookup_value(self) -> str:
        return f'"value" varchar(256) COLLATE {self.exact} NOT NULL'

    def _unique(self, table: Table, column: Column) -> str:
        return identifier(f"uq_{table.name}__{column.name}")

    def exact_lookup(self, table: Table, column: Column) -> Statements:
        """Let a lookup table that the official client created distinguish values by case and accents."""
        place, unique = f"ALTER TABLE {self.lookup(table, column)}", self._unique(table, column)
        return [
            f"{place} DROP CONSTRAINT {unique}",
            f"{place} ALTER COLUMN {self._lookup_value()}",
            f'{place} ADD CONSTRAINT {unique} UNIQUE ("value")',
        ]

    def add_key(self, table: Table) -> Statements:
        """Add the primary key and the references to lookup tables to a table that is filled."""
        key = f"ADD CONSTRAINT {self.key_name(table)} PRIMARY KEY ({listed(table.key)})"
        return [
            f"ALTER TABLE {full_name(self, table)} {key}",
            *(self.refer(table, each) for each in lookups(table.columns)),
        ]

    def refer(self, table: Table, column: Column) -> str:
        """Bind an enum to its lookup table by a foreign key."""
        return (
            f"ALTER TABLE {full_name(self, table)} ADD CONSTRAINT {self.reference(table, column)}"
            f' FOREIGN KEY ({identifier(column.name)}) REFERENCES {self.lookup(table, column)} ("id")'
        )
