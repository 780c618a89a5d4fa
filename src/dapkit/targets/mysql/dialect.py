"""PURE: the SQL of MySQL and MariaDB. Types, names and books are those of the official client, down to the comments.

Their DDL commits by itself, so nothing here relies on a transaction that spans it. Sessions have ANSI_QUOTES, strict
modes, UTC, and the collation in `exact`, by which texts are told apart to the last space.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address

from dapkit.decode.tsv import META_ACTION, META_TS
from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import difference, widens
from dapkit.targets.base import Sample
from dapkit.targets.mysql import state_tables as sync_states
from dapkit.targets.sql.dialect import BUCKETS, JSON_KINDS, MARKER_LENGTH, NUMBERS, Dialect, Statements, threshold

__all__ = ["STAGING", "TEXT_OF_UUID", "MySqlDialect", "alters", "dialect_of", "open_enums", "with_texts"]

STAGING = '"dapkit_staging"'
TEXT_OF_UUID = "dapkit_text"
"""The column beside another whose UUIDs become text."""

_LONGEST = 16_383
"""The most characters of a varchar in four bytes each; beyond it a text is a mediumtext."""

_LONGEST_KEY = 255
_COMMENTS = {"table": 2048, "column": 1024}
"""How long comments may be."""

_TYPES = {
    TypeKind.INT16: "smallint",
    TypeKind.INT32: "integer",
    TypeKind.INT64: "bigint",
    TypeKind.FLOAT32: "double",
    TypeKind.FLOAT64: "double",
    TypeKind.BOOLEAN: "tinyint",
    TypeKind.OPEN_ENUM: "integer",
    TypeKind.DATETIME: "datetime",
    TypeKind.DATE: "date",
    TypeKind.TIME: "time",
    TypeKind.UUID: "binary(16)",
    TypeKind.IPV4: "binary(4)",
    TypeKind.IPV6: "binary(16)",
    TypeKind.IP: "binary(16)",
    TypeKind.ARRAY: "json",
    TypeKind.OBJECT: "json",
    TypeKind.UNTYPED: "json",
}
_AS_TEXT = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.TEXT, TypeKind.ENUM, TypeKind.DATE, TypeKind.UUID}
)
"""Kinds whose values as text are what the service writes; those of UUIDs with some help."""


@dataclass(frozen=True)
class MySqlDialect(Dialect):
    """The SQL of MySQL and MariaDB.

    Attributes:
        exact: the collation that tells texts apart as the service does.
        utf8: whether tables hold all of Unicode without being told to.
        normal_json: the function that writes JSON in a form of its own, with `{}` for its text.
    """

    exact: str = "utf8mb4_bin"
    utf8: bool = True
    normal_json: str = "CAST({} AS JSON)"

    placeholder = "%s"
    locking = " FOR UPDATE"

    # Names

    def literal(self, text: str) -> str:
        """Return a text as SQL writes it."""
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def bare(self, namespace: str, table: str) -> str:
        """Return the name of a table without quotes: the namespace goes before it."""
        return f"{namespace}__{table}"

    def name(self, namespace: str, table: str) -> str:
        """Return the full name of a table."""
        return self.identifier(self.bare(namespace, table))

    def lookup(self, table: Table, column: Column) -> str:
        """Return the full name of the table that holds the values of an open enum."""
        return self.name(table.namespace, f"{table.name}__{column.name}")

    def reference(self, table: Table, column: Column) -> str:
        """Return the name, without quotes, of the constraint that binds an open enum to its table."""
        return f"fk_{self.bare(table.namespace, table.name)}_{column.name}"

    # The books

    def create_state_tables(self) -> Statements:
        """Make the books, laid out as the official client's, and our own tables."""
        return [self.create_book(name) for name in sync_states.TABLES]

    def create_book(self, name: str) -> str:
        """Make one table of the books."""
        return f"CREATE TABLE IF NOT EXISTS {self.state_table(name)} {sync_states.TABLES[name]}{self._charset()}"

    def create_namespace(self, namespace: str) -> Statements:  # noqa: ARG002, it is part of the names
        """Make nothing."""
        return []

    # Tables

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""
        return self.type(column.type, key=column in table.key)

    def type(self, type_: ColumnType, *, key: bool = False) -> str:
        """Return a type as SQL writes it; texts of a key are bounded, and told apart exactly."""
        match type_.kind:
            case TypeKind.DECIMAL:
                return f"decimal({type_.precision},{type_.scale})"
            case TypeKind.TEXT if key:
                length = _LONGEST_KEY if type_.length is None else type_.length
                length = max(length, MARKER_LENGTH) if type_.marker else length
                return f"varchar({length}) CHARACTER SET utf8mb4 COLLATE {self.exact}"
            case TypeKind.TEXT:
                length = max(type_.length or 0, MARKER_LENGTH if type_.marker else 0)
                bounded = type_.length is not None and length <= _LONGEST
                return f"varchar({length})" if bounded else "mediumtext"
            case TypeKind.ENUM:
                values = ", ".join(map(self.literal, type_.values))
                ascii_ = all(value.isascii() for value in type_.values)
                charset = "ascii COLLATE ascii_bin" if ascii_ else "utf8mb4 COLLATE utf8mb4_bin"
                return f"ENUM ({values}) CHARACTER SET {charset}"
        return _TYPES[type_.kind]

    def definition(self, table: Table, column: Column) -> str:
        """Return the definition of a column, its comment included."""
        required = " NOT NULL" if column.required else ""
        comment = f" COMMENT {self._comment(column.comment, 'column')}" if column.comment else ""
        return f"{self.identifier(column.name)} {self.type_of(table, column)}{required}{self.default(column)}{comment}"

    def _comment(self, text: str, of: str) -> str:
        return self.literal(text.partition("\n")[0][: _COMMENTS[of]])

    def default(self, column: Column) -> str:
        """Return the DEFAULT of a column with a space before it, or nothing."""
        if column.default is None or column.type.kind is TypeKind.OPEN_ENUM:
            return ""  # the number of an open enum's value is not known here
        value = self.default_value(column)
        bounded = column.type.kind not in JSON_KINDS and self.type(column.type) != "mediumtext"
        return f" DEFAULT {value}" if bounded else f" DEFAULT ({value})"

    def default_value(self, column: Column) -> str:
        """Return the value of a column that has a default, in the form that the column has."""
        value = json.loads(column.default or "null")
        match column.type.kind:
            case TypeKind.DATETIME:
                moment = datetime.fromisoformat(value)
                utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
                return self.literal(utc.replace(tzinfo=None, microsecond=0).isoformat(" "))
            case TypeKind.UUID:
                return f"X'{uuid.UUID(value).hex}'"
            case TypeKind.IPV4 | TypeKind.IPV6 | TypeKind.IP:
                packed = ip_address(value).packed
                return f"X'{packed.ljust(4 if column.type.kind is TypeKind.IPV4 else 16, bytes(1)).hex()}'"
            case TypeKind.ARRAY | TypeKind.OBJECT | TypeKind.UNTYPED:
                return self.literal(json.dumps(value, ensure_ascii=False))
        return super().default_value(column)

    def create_table(self, table: Table) -> Statements:
        """Make a table with its key and lookup tables."""
        references = [f"CONSTRAINT {self._bound(table, column)}" for column in open_enums(table)]
        return [*self.create_lookups(table), self.create(table, self.of(table), references)]

    def create(self, table: Table, name: str, constraints: Iterable[str] = ()) -> str:
        """Make a table under a name, with its key; columns with a default come last."""
        ordered = sorted(table.columns, key=lambda column: column.default is not None)
        columns = [self.definition(table, column) for column in ordered]
        key = f"CONSTRAINT {self.identifier(self._key(table))} PRIMARY KEY ({self.listed(table.key)})"
        document = table.schema.document
        title = document.get("title") or document.get("description")
        comment = f" COMMENT = {self._comment(title, 'table')}" if isinstance(title, str) else ""
        return f"CREATE TABLE {name} ({', '.join([*columns, key, *constraints])}){comment}{self._charset()}"

    def _charset(self) -> str:
        return "" if self.utf8 else " DEFAULT CHARACTER SET utf8mb4"

    def _key(self, table: Table) -> str:
        return f"pk_{self.bare(table.namespace, table.name)}"

    def create_lookups(self, table: Table) -> Statements:
        """Make the tables for the values of open enums where they are missing."""
        statements: Statements = []
        for column in open_enums(table):
            bare = f"{table.name}__{column.name}"
            key = self.identifier(f"pk_{self.bare(table.namespace, bare)}")
            statements.append(
                f"CREATE TABLE IF NOT EXISTS {self.lookup(table, column)} (id integer NOT NULL AUTO_INCREMENT,"
                f" {self._lookup_value()}, CONSTRAINT {key} PRIMARY KEY (id),"
                f" CONSTRAINT {self.identifier('uq_' + bare)} UNIQUE (value))"
            )
        return statements

    def _lookup_value(self) -> str:
        return f"value varchar(64) CHARACTER SET utf8mb4 COLLATE {self.exact} NOT NULL"

    def tell_apart(self, lookup: str) -> str:
        """Let a lookup table that another client made tell values apart by case and accents."""
        return f"ALTER TABLE {lookup} MODIFY COLUMN {self._lookup_value()}"

    def refer(self, table: Table, column: Column) -> str:
        """Bind an open enum to its table."""
        return f"ALTER TABLE {self.of(table)} ADD CONSTRAINT {self._bound(table, column)}"

    def _bound(self, table: Table, column: Column) -> str:
        name, lookup = self.identifier(self.reference(table, column)), self.lookup(table, column)
        return f"{name} FOREIGN KEY ({self.identifier(column.name)}) REFERENCES {lookup} (id)"

    def add_key(self, table: Table) -> Statements:  # noqa: ARG002, see create
        """Add nothing."""
        return []

    # Later versions

    def alter(self, before: Table, after: Table, *, drop_columns: bool) -> Statements:
        """Alter a table into a later version of its schema, comments too."""
        statements = super().alter(before, after, drop_columns=drop_columns)
        known = {column.name: column for column in before.columns}
        changed = {new.name for _, new in difference(before, after).altered}
        for column in after.columns:
            old = known.get(column.name)
            if old is not None and old.comment != column.comment and column.name not in changed:
                statements.append(self._modify(after, column))
        return statements

    def _modify(self, table: Table, column: Column) -> str:
        return f"ALTER TABLE {self.of(table)} MODIFY COLUMN {self.definition(table, column)}"

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column that is not there yet."""
        lookups = self.create_lookups(replace(table, key=(), value=(column,)))
        refer = [self.refer(table, column)] if column.type.kind is TypeKind.OPEN_ENUM else []
        return [*lookups, *super().add_column(table, column), *refer]

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness."""
        if after.required and not before.required:
            raise SchemaChangeNotSupportedError(f"Column {after.name} became required", table=table.name)
        key = after in table.key
        old, new = self.type(before.type, key=key), self.type(after.type, key=key)
        if not alters(before.type, after.type):
            raise SchemaChangeNotSupportedError(f"Column {after.name} cannot go from {old} to {new}", table=table.name)
        if before.type.kind is TypeKind.UUID and after.type.kind is TypeKind.TEXT:
            return self._uuid_as_text(table, after)
        return [] if old == new and before.required == after.required else [self._modify(table, after)]

    def _uuid_as_text(self, table: Table, column: Column) -> Statements:
        """Write UUIDs out, in a column beside, which then takes the other's place."""
        place, name, beside = (
            f"ALTER TABLE {self.of(table)}",
            self.identifier(column.name),
            self.identifier(TEXT_OF_UUID),
        )
        groups = ", ".join(f"substr(hex({name}), {start}, {length})" for start, length in _UUID_GROUPS)
        definition = self.definition(table, column).removeprefix(name)
        return [
            f"{place} ADD COLUMN {beside} varchar(36)",
            f"UPDATE {self.of(table)} SET {beside} = lower(concat_ws('-', {groups})) WHERE {name} IS NOT NULL",
            f"{place} DROP COLUMN {name}, CHANGE COLUMN {beside} {name}{definition}",
        ]

    def fill_nulls(self, table: Table, column: Column) -> Statements:
        """Make a column that was kept, and is back, required again."""
        name = self.identifier(column.name)
        update = f"UPDATE {self.of(table)} SET {name} = {self.default_value(column)} WHERE {name} IS NULL"
        return [update, self._modify(table, column)]

    def drop_column(self, table: Table, column: Column) -> Statements:
        """Remove a column that the schema no longer has, and what was made for it."""
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return super().drop_column(table, column)
        name, reference = self.identifier(column.name), self.identifier(self.reference(table, column))
        return [
            f"ALTER TABLE {self.of(table)} DROP FOREIGN KEY {reference}, DROP COLUMN {name}",
            f"DROP TABLE IF EXISTS {self.lookup(table, column)}",
        ]

    def keep_column(self, table: Table, column: Column) -> Statements:
        """Let a column that the schema no longer has stay, nullable."""
        return [self._modify(table, replace(column, required=False))] if column.required else []

    # Rows

    def create_staging(self, table: Table) -> Statements:
        """Make the temporary table of the files' rows; open enums are text there."""
        texts = f"varchar(255) CHARACTER SET utf8mb4 COLLATE {self.exact}"
        columns = [
            f"{self.identifier(column.name)}"
            f" {texts if column.type.kind is TypeKind.OPEN_ENUM else self.type_of(table, column)} NULL"
            for column in table.columns
        ]
        meta = [
            '"dapkit_row" bigint NOT NULL AUTO_INCREMENT PRIMARY KEY',
            f"{self.identifier(META_TS)} datetime(6) NULL",
            f"{self.identifier(META_ACTION)} varchar(8) CHARACTER SET ascii NULL",
        ]
        index = f'KEY "dapkit_key" ({self.listed(table.key)})'
        return [
            f"DROP TEMPORARY TABLE IF EXISTS {STAGING}",
            f"CREATE TEMPORARY TABLE {STAGING} ({', '.join([*meta, *columns, index])})",
        ]

    def newest(self, table: Table, staging: str, into: str, *, action: bool) -> str:
        """Make another temporary table with the newest row of each key, keyed, since some servers demand it."""
        start = f"CREATE TEMPORARY TABLE {into} "
        made = super().newest(table, staging, into, action=action)
        return f"{start}(PRIMARY KEY ({self.listed(table.key)})) {made.removeprefix(start)}"

    def add_values(self, table: Table, staging: str) -> Statements:
        """Add the values of open enums that are new."""
        return [
            f"INSERT INTO {lookup} (value) SELECT DISTINCT staged.{name} FROM {staging} AS staged"
            f" LEFT JOIN {lookup} AS known ON known.value = staged.{name}"
            f" WHERE staged.{name} IS NOT NULL AND known.id IS NULL"
            for column in open_enums(table)
            for lookup, name in [(self.lookup(table, column), self.identifier(column.name))]
        ]

    def insert(self, table: Table, staging: str, *, into: str = "", action: bool = False) -> str:
        """Insert every row, or only those that are not marked as deleted."""
        numbers = {column.name: f"lookup_{place}" for place, column in enumerate(open_enums(table))}
        values = [
            f"{numbers[column.name]}.id" if column.name in numbers else f"staged.{self.identifier(column.name)}"
            for column in table.columns
        ]
        joins = "".join(
            f" LEFT JOIN {self.lookup(table, column)} AS {numbers[column.name]}"
            f" ON {numbers[column.name]}.value = staged.{self.identifier(column.name)}"
            for column in open_enums(table)
        )
        where = f" WHERE staged.{self.identifier(META_ACTION)} <> 'D'" if action else ""
        return (
            f"INSERT INTO {into or self.of(table)} ({self.listed(table.columns)})"
            f" SELECT {', '.join(values)} FROM {staging} AS staged{joins}{where}"
        )

    def upsert(self, table: Table, staging: str, *, action: bool) -> Statements:
        """Insert the rows or update those of their keys; rows marked as deleted are left aside."""
        names = [self.identifier(column.name) for column in table.value or table.key[:1]]
        updates = ", ".join(f"{name} = VALUES({name})" for name in names)
        return [f"{self.insert(table, staging, action=action)} ON DUPLICATE KEY UPDATE {updates}"]

    def count(self, staging: str, *, action: bool) -> str:
        """Count the rows, those that are marked as deleted left aside."""
        where = f" WHERE {self.identifier(META_ACTION)} <> 'D'" if action else ""
        return f"SELECT count(*) FROM {staging}{where}"

    def delete_marked(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are marked as deleted, found by the key of the live table."""
        mark = f"staged.{self.identifier(META_ACTION)} = 'D'"
        live = f"{staging} AS staged JOIN {self.of(table)} AS live ON {self._same(table)}"
        return f"DELETE live FROM {live} WHERE {mark}"

    def delete_missing(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are not there any more."""
        live = f"{self.of(table)} AS live LEFT JOIN {staging} AS staged ON {self._same(table)}"
        return f"DELETE live FROM {live} WHERE staged.{self.identifier(table.key[0].name)} IS NULL"

    def _same(self, table: Table) -> str:
        names = ((column, self.identifier(column.name)) for column in table.key)
        return " AND ".join(
            f"staged.{name} = {self.comparable_key(table, column, f'live.{name}')}" for column, name in names
        )

    # Comparing

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""
        return f"NOT ({one} <=> {other})"

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return a value by which rows of two tables may be compared, whatever their collations."""
        kind = column.type.kind
        if kind is TypeKind.OPEN_ENUM:
            value = f"(SELECT known.value FROM {self.lookup(table, column)} AS known WHERE known.id = {value})"
        elif kind not in (TypeKind.TEXT, TypeKind.ENUM, *JSON_KINDS):
            return value
        return f"CONVERT({value} USING utf8mb4) COLLATE {self.exact}"

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return the same for a column of the key, which an index finds only as it is."""
        return self.comparable(table, column, value) if column.type.kind is TypeKind.OPEN_ENUM else value

    def may_differ(self, one: str, other: str) -> str:
        """Return a condition that is true if two texts are not the same JSON, and hardly ever if they are."""
        return self.differs(self.normal_json.format(one), self.normal_json.format(other))

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        text = f"concat_ws('|', {', '.join([self.literal(sample.seed), *keys])})"
        return f"crc32({text}) % {BUCKETS} < {threshold(sample)}"

    def create_scratch(self, table: Table) -> Statements:
        """Make a temporary table like another."""
        temporary = self.create(table, self.of(table)).replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
        return [*self.drop_scratch(table), temporary]

    def drop_scratch(self, table: Table) -> Statements:
        """Remove that table."""
        return [f"DROP TEMPORARY TABLE IF EXISTS {self.of(table)}"]


_UUID_GROUPS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def open_enums(table: Table) -> list[Column]:
    """Return the columns whose values lie in tables of their own."""
    return [column for column in table.columns if column.type.kind is TypeKind.OPEN_ENUM]


def with_texts(table: Table) -> Table:
    """Return a table whose open enums are texts."""
    key, value = (
        tuple(
            replace(column, type=ColumnType(kind=TypeKind.TEXT, length=_LONGEST_KEY))
            if column.type.kind is TypeKind.OPEN_ENUM
            else column
            for column in columns
        )
        for columns in (table.key, table.value)
    )
    return replace(table, key=key, value=value)


def dialect_of(version: str, charset: str) -> MySqlDialect:
    """Return the SQL of a server that calls itself so, for a database of a character set."""
    utf8 = charset == "utf8mb4"
    if "mariadb" not in version.lower():
        return MySqlDialect(exact="utf8mb4_0900_bin", utf8=utf8)
    # some call themselves 5.5.5-10.11.2-MariaDB, for the sake of old clients
    numbers = version.removeprefix("5.5.5-").split(".")
    normal = "JSON_NORMALIZE({})" if tuple(map(int, numbers[:2])) >= (10, 7) else "JSON_COMPACT({})"
    return MySqlDialect(exact="utf8mb4_nopad_bin", utf8=utf8, normal_json=normal)


def alters(before: ColumnType, after: ColumnType) -> bool:
    """Whether a column's values, as they are kept, become those of another type."""
    if not widens(before, after):
        return False
    if before.kind is after.kind or {before.kind, after.kind} <= JSON_KINDS:
        return True
    if after.kind is TypeKind.TEXT:
        return before.kind in _AS_TEXT
    numbers = before.kind in NUMBERS and after.kind in NUMBERS
    return numbers or after.kind is TypeKind.IP  # an IPv4 address is padded with zeros, as a wider column pads it
