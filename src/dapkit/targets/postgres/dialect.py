"""PURE: PostgreSQL's SQL. Types, names and books are those of the official client, down to the comments."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import difference
from dapkit.targets.base import Sample
from dapkit.targets.postgres import state_tables as sync_states
from dapkit.targets.sql.dialect import BUCKETS, JSON_KINDS, MARKER_LENGTH, STATE_SCHEMA, Dialect, Statements, threshold

__all__ = ["PostgresDialect"]

_TYPES = {
    TypeKind.INT16: "smallint",
    TypeKind.INT32: "integer",
    TypeKind.INT64: "bigint",
    TypeKind.FLOAT32: "real",
    TypeKind.FLOAT64: "double precision",
    TypeKind.BOOLEAN: "boolean",
    TypeKind.OPEN_ENUM: "integer",
    TypeKind.DATETIME: "timestamp",
    TypeKind.DATE: "date",
    TypeKind.TIME: "time",
    TypeKind.UUID: "uuid",
    TypeKind.IPV4: "inet",
    TypeKind.IPV6: "inet",
    TypeKind.IP: "inet",
    TypeKind.OBJECT: "jsonb",
    TypeKind.UNTYPED: "jsonb",
}
_WIDENED = {
    ("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"), ("real", "double precision"),
    ("smallint", "real"), ("smallint", "double precision"), ("integer", "double precision"), ("date", "timestamp"),
}  # fmt: skip
"""Types that hold every value of another, in pairs of what was and what may come."""
_READ_AS_TEXT = frozenset({"smallint", "integer", "bigint", "uuid", "boolean"})
"""Types whose values as text are what the service writes."""


_FORMATTED = {
    "varchar": "character varying",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
}
"""What the server's catalogue calls types that go by a shorter name here."""


class PostgresDialect(Dialect):
    """PostgreSQL's SQL."""

    placeholder = "%s"
    locking = " FOR UPDATE"
    scratch = "pg_temp"  # takes no right to make schemas, and several sessions at once

    # The books

    def create_state_tables(self) -> Statements:
        """Make the books, laid out as the official client's, and our own tables, one process at a time."""
        return [sync_states.made(self.identifier(STATE_SCHEMA))]

    # Types

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""
        return self.column_type(table, column.name, column.type)

    def column_type(self, table: Table, name: str, type_: ColumnType) -> str:
        """Return a type as a column of this name has it."""
        match type_.kind:
            case TypeKind.DECIMAL:
                return f"numeric({type_.precision},{type_.scale})"
            case TypeKind.TEXT if type_.length is None:
                return "text"
            case TypeKind.TEXT:
                assert type_.length is not None
                return f"varchar({max(type_.length, MARKER_LENGTH) if type_.marker else type_.length})"
            case TypeKind.ENUM:
                return self.dependant(table, name)
            case TypeKind.ARRAY if type_.items is not None and type_.items.kind not in JSON_KINDS:
                items = type_.items if type_.items.kind is not TypeKind.OPEN_ENUM else ColumnType(kind=TypeKind.TEXT)
                return f"{self.column_type(table, name, items)}[]"
            case TypeKind.ARRAY:
                return "jsonb"
        return _TYPES[type_.kind]

    def dependant(self, table: Table, column: str) -> str:
        """Return the full name of the enum type or the lookup table of a column."""
        return self.name(table.namespace, f"{table.name}__{column}")

    def default(self, column: Column) -> str:
        """Return the DEFAULT of a column, with a space before it; the number of an open enum's value is not known."""
        return "" if column.type.kind is TypeKind.OPEN_ENUM else super().default(column)

    def default_value(self, column: Column) -> str:
        """Return the value of a column that has a default; times are in UTC without saying so."""
        if column.type.kind is not TypeKind.DATETIME:
            return super().default_value(column)
        moment = datetime.fromisoformat(json.loads(column.default or ""))
        utc = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
        return self.literal(utc.isoformat(" "))

    # Tables

    def create_namespace(self, namespace: str) -> Statements:
        """Make the place of a namespace where it is missing, without a right that is needed only then."""
        if namespace == self.scratch:
            return []
        name = self.identifier(namespace)
        missing = f"to_regnamespace({self.literal(name)}) IS NULL"
        return [f"DO $$BEGIN IF {missing} THEN CREATE SCHEMA {name}; END IF; END$$"]

    def create_table(self, table: Table) -> Statements:
        """Make a table with its enum types, lookup tables and comments; columns with a default come last."""
        ordered = sorted(table.columns, key=lambda column: column.default is not None)
        columns = ", ".join(self.definition(table, column) for column in ordered)
        document = table.schema.document
        title = document.get("title") or document.get("description")
        comments = [f"COMMENT ON TABLE {self.of(table)} IS {self.literal(title)}"] if isinstance(title, str) else []
        comments += [self.comment(table, column) for column in table.columns if column.comment]
        dependants = [statement for column in table.columns for statement in self.create_dependant(table, column)]
        return [*dependants, f"CREATE TABLE {self.of(table)} ({columns})", *comments]

    def comment(self, table: Table, column: Column) -> str:
        """Say what a column is."""
        text = "NULL" if column.comment is None else self.literal(column.comment)
        return f"COMMENT ON COLUMN {self.of(table)}.{self.identifier(column.name)} IS {text}"

    def create_dependant(self, table: Table, column: Column) -> Statements:
        """Make the enum type or the lookup table of a column that needs one, with its values."""
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return [
                f"CREATE TYPE {self.dependant(table, name)} AS ENUM ({', '.join(map(self.literal, values))})"
                for name, values in enum_types(column.name, column.type).items()
            ]
        name, bare = self.dependant(table, column.name), f"{table.name}__{column.name}"
        definition = (
            f"CREATE TABLE IF NOT EXISTS {name} (id integer NOT NULL GENERATED BY DEFAULT AS IDENTITY,"
            f" value varchar(64) NOT NULL,"
            f" CONSTRAINT {self.identifier('pk_' + bare)} PRIMARY KEY (id),"
            f" CONSTRAINT {self.identifier('uq_' + bare)} UNIQUE (value))"
        )
        return [definition, *self.add_values(table, column, column.type.values)]

    def take_over(self, table: Table) -> Statements:
        """Make use or an end of what the official `dropdb` leaves: enum types, lookup tables without unique keys."""
        types = [
            f"DROP TYPE IF EXISTS {self.dependant(table, name)}"
            for column in table.columns
            for name in enum_types(column.name, column.type)
        ]
        return types + [self._key_again(table, each) for each in table.columns if each.type.kind is TypeKind.OPEN_ENUM]

    def _key_again(self, table: Table, column: Column) -> str:
        name, key = self.dependant(table, column.name), self.identifier(f"uq_{table.name}__{column.name}")
        found = f"SELECT FROM pg_class WHERE oid = to_regclass({self.literal(name)}) AND NOT EXISTS (SELECT"
        keyless = f"{found} FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'u')"
        add = f"ALTER TABLE {name} ADD CONSTRAINT {key} UNIQUE (value)"
        return f"DO $$BEGIN IF EXISTS ({keyless}) THEN {add}; END IF; END$$"

    def add_values(self, table: Table, column: Column, values: Iterable[str]) -> Statements:
        """Add values to a lookup table."""
        rows = ", ".join(f"({self.literal(value)})" for value in values)
        name = self.dependant(table, column.name)
        return [f"INSERT INTO {name} (value) VALUES {rows} ON CONFLICT (value) DO NOTHING"] if rows else []

    def refer(self, table: Table, column: Column) -> Statements:
        """Bind a column of numbers to its lookup table."""
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return []
        name = self._reference(table, column)
        return [
            f"ALTER TABLE {self.of(table)} ADD CONSTRAINT {name} FOREIGN KEY ({self.identifier(column.name)})"
            f" REFERENCES {self.dependant(table, column.name)} (id)"
        ]

    def _reference(self, table: Table, column: Column) -> str:
        return self.identifier(f"fk_{table.name}_{column.name}")

    def _reference_names(self, table: Table) -> list[str]:
        return [self._reference(table, column) for column in table.columns if column.type.kind is TypeKind.OPEN_ENUM]

    def key_name(self, table: Table) -> str:
        """Return the name of a table's key."""
        return self.identifier(f"pk_{table.name}")

    def add_key(self, table: Table) -> Statements:
        """Add the primary key and the references to lookup tables to a table that is filled."""
        key = f"ADD CONSTRAINT {self.key_name(table)} PRIMARY KEY ({self.listed(table.key)})"
        references = [statement for column in table.columns for statement in self.refer(table, column)]
        return [f"ALTER TABLE {self.of(table)} {key}", *references]

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return a value by which rows of two tables may be compared, whose enums are not of one type or number."""
        if column.type.kind is TypeKind.OPEN_ENUM:
            return (
                f"(SELECT lookup.value FROM {self.dependant(table, column.name)} AS lookup WHERE lookup.id = {value})"
            )
        if self.type_of(table, column).startswith('"'):
            return f"{value}::text" + ("[]" if column.type.kind is TypeKind.ARRAY else "")
        return value

    def is_loose(self, table: Table, column: Column) -> bool:  # noqa: ARG002, JSON is compared as what it is
        """Return that no column keeps JSON as text."""
        return False

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        text = f"concat_ws('|', {', '.join([self.literal(sample.seed), *keys])})"
        return f"(hashtextextended({text}, 0) & {2**63 - 1}) % {BUCKETS} < {threshold(sample)}"

    # Later versions

    def grow(self, before: Table, after: Table) -> Statements:
        """Add the new values of enums, which no transaction may use that adds them."""
        types = [
            (enum_types(old.name, old.type), enum_types(new.name, new.type))
            for old, new in difference(before, after).altered
        ]
        return [
            f"ALTER TYPE {self.dependant(after, name)} ADD VALUE IF NOT EXISTS {self.literal(value)}"
            for old, new in types
            for name in old.keys() & new.keys()
            for value in new[name]
            if value not in old[name]
        ]

    def alter(self, before: Table, after: Table, *, drop_columns: bool) -> Statements:
        """Alter a table into a later version of its schema, comments too; enums have grown by then."""
        known = {column.name: column.comment for column in before.columns}
        comments = [self.comment(after, column) for column in after.columns if column.comment != known.get(column.name)]
        return [*super().alter(before, after, drop_columns=drop_columns), *comments]

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column that is not there yet."""
        return [*self._add_column(table, column), *self.refer(table, column)]

    def _add_column(self, table: Table, column: Column) -> Statements:
        definition = f"ALTER TABLE {self.of(table)} ADD COLUMN {self.definition(table, column)}"
        return [*self.create_dependant(table, column), definition]

    def clear(self, table: Table, column: Column) -> Statements:
        """Make place for a column by removing one of its name that is of another type, and what was made for it."""
        names = [column.name, *enum_types(column.name, column.type)]
        return [
            f"ALTER TABLE {self.of(table)} DROP COLUMN IF EXISTS {self.identifier(column.name)}",
            f"DROP TABLE IF EXISTS {self.dependant(table, column.name)}",
            *(f"DROP TYPE IF EXISTS {self.dependant(table, name)}" for name in dict.fromkeys(names)),
        ]

    def kept_type(self, type_: str, labels: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """Return the type of a column that stands, as the server's catalogue names it, to be compared."""
        return ("enum" + "[]" * type_.endswith("[]"), tuple(labels)) if labels else (type_, ())

    def kept_type_of(self, table: Table, column: Column) -> tuple[str, tuple[str, ...]]:
        """Return the type of a column as `kept_type` does, if there was one of it."""
        type_ = self.type_of(table, column)
        if type_.startswith('"'):
            return self.kept_type(type_, enum_types(column.name, column.type)[column.name])
        name = re.match(r"[a-z]+", type_)
        assert name is not None
        return (_FORMATTED.get(name[0], name[0]) + type_[name.end() :], ())

    def drop_column(self, table: Table, column: Column) -> Statements:
        """Remove a column that the schema no longer has, and what was made for it."""
        return [*super().drop_column(table, column), *self.drop_dependant(table, column)]

    def drop_dependant(self, table: Table, column: Column) -> Statements:
        """Remove the enum type or lookup table of a column that is gone."""
        if column.type.kind is TypeKind.OPEN_ENUM:
            return [f"DROP TABLE IF EXISTS {self.dependant(table, column.name)}"]
        names = enum_types(column.name, column.type)
        return [f"DROP TYPE IF EXISTS {self.dependant(table, name)}" for name in names]

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness."""
        if after.required and not before.required:
            raise SchemaChangeNotSupportedError(f"Column {after.name} became required", table=table.name)
        name = self.identifier(after.name)
        place = f"ALTER TABLE {self.of(table)} ALTER COLUMN {name}"
        statements = [f"{place} DROP NOT NULL"] if before.required and not after.required else []
        old, new = self.type_of(table, before), self.type_of(table, after)
        numbered = TypeKind.OPEN_ENUM in (before.type.kind, after.type.kind)
        if old == new and (before.type.kind is after.type.kind or not numbered):
            kept = enum_types(after.name, after.type)
            gone = set(enum_types(before.name, before.type).get(before.name, ())) - set(kept.get(after.name, ()))
            if gone:
                raise SchemaChangeNotSupportedError(
                    f"Column {after.name} lost the values {', '.join(gone)}", table=table.name
                )
            if after.type.kind is TypeKind.OPEN_ENUM:
                added = [value for value in after.type.values if value not in before.type.values]
                return [*statements, *self.add_values(table, after, added)]
            return statements
        if not _fits(before.type, old, after.type, new):
            raise SchemaChangeNotSupportedError(f"Column {after.name} cannot go from {old} to {new}", table=table.name)
        change = f"{place} SET DATA TYPE {new} USING {name}::{new}"
        return [*statements, change, *self.drop_dependant(table, before)]

    def rebuild(self, before: Table, after: Table) -> Statements:
        """Empty a table and alter it, keyless, into anything: it stays what views, grants and indexes refer to."""
        place = f"ALTER TABLE {self.of(after)}"
        change = difference(before, after)
        statements = [
            f"TRUNCATE {self.of(after)}",
            f"{place} DROP CONSTRAINT IF EXISTS {self.key_name(after)}",
        ]
        references = [name for table in (before, after) for name in self._reference_names(table)]
        statements += [f"{place} DROP CONSTRAINT IF EXISTS {name}" for name in dict.fromkeys(references)]
        for column in change.added:
            statements += [*self.clear(after, column), *self._add_column(after, column)]
        for old, new in change.altered:
            statements += self._remake_column(after, old, new)
        for column in change.dropped:
            statements.append(f"{place} ALTER COLUMN {self.identifier(column.name)} DROP NOT NULL")
        known = {column.name: column.comment for column in before.columns}
        return statements + [
            self.comment(after, column) for column in after.columns if column.comment != known.get(column.name)
        ]

    def _remake_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column of an empty table another type."""
        name = self.identifier(after.name)
        column = f"ALTER TABLE {self.of(table)} ALTER COLUMN {name}"
        nullable = f"{column} {'SET' if after.required else 'DROP'} NOT NULL"
        types = (enum_types(before.name, before.type), enum_types(after.name, after.type))
        if self.type_of(table, before) == self.type_of(table, after) and types[0] == types[1]:
            return [nullable]
        default = self.default(after)
        return [
            f"{column} DROP DEFAULT",
            f"{column} SET DATA TYPE text USING NULL",
            *self.drop_dependant(table, before),
            *self.create_dependant(table, after),
            f"{column} SET DATA TYPE {self.type_of(table, after)} USING NULL",
            *([f"{column} SET{default}"] if default else []),
            nullable,
        ]


def enum_types(name: str, type_: ColumnType) -> dict[str, tuple[str, ...]]:
    """Return the enum types that a column needs, with their values, by what follows the table's name in theirs.

    The official client makes them for the fields of objects too, which nothing uses.
    """
    match type_.kind:
        case TypeKind.ENUM:
            return {name: type_.values}
        case TypeKind.ARRAY if type_.items is not None:
            return enum_types(name, type_.items)
        case TypeKind.OBJECT:
            found: dict[str, tuple[str, ...]] = {}
            for field in type_.fields:
                found |= enum_types(f"{name}__{field.name}", field.type)
            return {name: values for name, values in found.items() if len(values) > 1}
    return {}


def _fits(before: ColumnType, old: str, after: ColumnType, new: str) -> bool:
    """Whether a column's values can become those of a wider type, in the table as it is."""
    if before.kind is TypeKind.OPEN_ENUM:
        return False
    if (old, new) in _WIDENED:
        return True
    if before.kind is TypeKind.DECIMAL and after.kind is TypeKind.DECIMAL:
        whole = after.precision - after.scale >= before.precision - before.scale
        return whole and after.scale >= before.scale
    if after.kind is not TypeKind.TEXT:
        return False
    if before.kind is TypeKind.TEXT:
        return new == "text" or (old != "text" and _length(new) >= _length(old))
    return new == "text" and (old in _READ_AS_TEXT or before.kind is TypeKind.ENUM)


def _length(varchar: str) -> int:
    return int(varchar.removeprefix("varchar(").removesuffix(")"))
