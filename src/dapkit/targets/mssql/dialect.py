"""PURE: T-SQL of rows on their way, and of tables in later versions.

Rows change by UPDATE and INSERT, not by MERGE: the table's line in the books is held, so nobody else writes between the
two, and MERGE would add nothing but its known faults.
"""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import SchemaDifference, difference, widens
from dapkit.targets.base import Sample
from dapkit.targets.mssql.introspection import Found, Index, plain
from dapkit.targets.mssql.table_ddl import LOOKUPS, TEXTS, Tables, has_lookup, lookups
from dapkit.targets.sql.dialect import BUCKETS, JSON_KINDS, NUMBERS, Statements, threshold

__all__ = ["ACTION", "BESIDE", "TIME", "MsSqlDialect"]

TIME, ACTION = "dapkit_time", "dapkit_action"
"""The `meta` columns of staged rows."""

BESIDE = "dapkit_beside"
"""A column that is to take another's place."""

_BINARY = "Latin1_General_100_BIN2"
_STAGED = {
    TypeKind.INT16: "bigint",
    TypeKind.INT32: "bigint",
    TypeKind.FLOAT32: "float",
    TypeKind.FLOAT64: "float",
    TypeKind.ENUM: f"nvarchar(256) COLLATE {_BINARY}",
    TypeKind.OPEN_ENUM: f"nvarchar(256) COLLATE {_BINARY}",
}
"""How kinds are staged that are kept as something else, wide enough for the server to say what does not fit."""

_AS_TEXT = LOOKUPS | {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.DATE, TypeKind.UUID, TypeKind.TEXT}
"""Kinds whose values as text are what the service writes; those of enums and UUIDs with some help."""

_UUID_GROUPS = ((1, 4), (5, 2), (7, 2), (9, 2), (11, 6))


@dataclass(frozen=True)
class MsSqlDialect(Tables):
    """The SQL of SQL Server.

    Attributes:
        found: what stands of the table that is to be altered.
    """

    found: Found = field(default_factory=Found)

    # The books

    def lines(self) -> str:
        """Select the numbers of a table's lines (two values)."""
        where = "source_namespace = ? AND source_table = ?"
        return f'SELECT "id" FROM {self.state_table("table_sync")} WHERE {where}'

    def hold_lines(self, numbers: list[int]) -> str:
        """Select the latest watermark of lines, which are held until the transaction ends; others are not."""
        return (
            f'SELECT max("timestamp") FROM {self.state_table("table_sync")} WITH (UPDLOCK, HOLDLOCK, ROWLOCK)'
            f" WHERE {_numbered(numbers)}"
        )

    def delete_lines(self, numbers: list[int]) -> str:
        """Remove lines; others are not waited for."""
        return f"DELETE FROM {self.state_table('table_sync')} WHERE {_numbered(numbers)}"

    def update_state(self) -> str:
        """Change a table's line, which is held; those that others hold are passed by: waiting is a deadlock."""
        return super().update_state().replace(" SET ", " WITH (ROWLOCK, READPAST) SET ", 1)

    # Rows

    def create_staging(self, table: Table, name: str) -> str:
        """Make the table of the files' rows; texts are in Unicode there, enums are texts."""
        types = [(self.identifier(each.name), self._staged_type(table, each)) for each in table.columns]
        columns = ", ".join(f"{name} {type_} NULL" for name, type_ in types)
        return f'CREATE TABLE {name} ("{TIME}" datetime2 NULL, "{ACTION}" nvarchar(8) NULL, {columns})'

    def _staged_type(self, table: Table, column: Column) -> str:
        type_ = column.type
        if type_.kind is TypeKind.TEXT and column in table.key:
            length = min(2 * (type_.length or 450), 4000)
            return f"nvarchar({length}) COLLATE {_BINARY}"
        return (
            f"nvarchar(max) COLLATE {_BINARY}" if type_.kind in TEXTS else _STAGED.get(type_.kind) or self.type(type_)
        )

    def same_key(self, table: Table, one: str, other: str) -> str:
        """Return a condition: a row of the table and a staged one, by their aliases, have the same key."""
        return " AND ".join(self._same(table, column, one, other) for column in table.key)

    def _same(self, table: Table, column: Column, live: str, staged: str) -> str:
        name = self.identifier(column.name)
        if column.type.kind in LOOKUPS:
            number = f'SELECT known."id" FROM {self.lookup(table, column)} AS known'
            return f"{live}.{name} = ({number} WHERE {_known('known')} = {staged}.{name})"
        return f"{_whole(column, f'{live}.{name}')} = {_whole(column, f'{staged}.{name}')}"

    def _keys(self, table: Table) -> str:
        return ", ".join(_whole(column, self.identifier(column.name)) for column in table.key)

    def repeated(self, table: Table, staging: str) -> str:
        """Select one row if a key is there more than once."""
        return self.limited(f"SELECT 1 FROM {staging} GROUP BY {self._keys(table)} HAVING count(*) > 1", 1)

    def newest(self, table: Table, staging: str, into: str, *, action: bool) -> str:
        """Make another temporary table with the newest row of each key; of equal age a deletion wins."""
        order = f'"{TIME}" DESC' + (f', "{ACTION}"' if action else "")
        place = f"row_number() OVER (PARTITION BY {self._keys(table)} ORDER BY {order}) AS dapkit_place"
        numbered = f"SELECT *, {place} FROM {staging}"
        return f"SELECT * INTO {into} FROM ({numbered}) AS numbered WHERE dapkit_place = 1"

    def add_values(self, table: Table, staging: str) -> Statements:
        """Add the values of enums that are new."""
        return [
            f'INSERT INTO {self.lookup(table, column)} ("value") SELECT DISTINCT staged.{name} FROM {staging} AS staged'
            f" WHERE staged.{name} IS NOT NULL AND NOT EXISTS"
            f" (SELECT 1 FROM {self.lookup(table, column)} AS known WHERE {_known('known')} = staged.{name})"
            for column in lookups(table.columns)
            for name in [self.identifier(column.name)]
        ]

    def _values(self, table: Table) -> tuple[dict[str, str], str]:
        """Return an expression for each column from staged rows, and the joins that these need."""
        values, joins = {}, ""
        for place, column in enumerate(table.columns):
            staged = f"staged.{self.identifier(column.name)}"
            values[column.name] = staged
            if column.type.kind in LOOKUPS:
                known = f"known_{place}"
                values[column.name] = f'{known}."id"'
                joins += f" LEFT JOIN {self.lookup(table, column)} AS {known} ON {_known(known)} = {staged}"
        return values, joins

    def insert(self, table: Table, staging: str) -> str:
        """Insert every row into a table that nobody else sees yet."""
        values, joins = self._values(table)
        return (
            f"INSERT INTO {self.of(table)} WITH (TABLOCK) ({self.listed(table.columns)})"
            f" SELECT {', '.join(values.values())} FROM {staging} AS staged{joins}"
        )

    def upsert(self, table: Table, staging: str, *, action: bool) -> Statements:
        """Update the rows of known keys and insert the others; rows marked as deleted are left aside."""
        values, joins = self._values(table)
        live, same = self.of(table), self.same_key(table, "live", "staged")
        there = f" AND staged.\"{ACTION}\" <> 'D'" if action else ""
        updates = ", ".join(f"{self.identifier(each.name)} = {values[each.name]}" for each in table.value)
        update = f"UPDATE live SET {updates} FROM {live} AS live JOIN {staging} AS staged ON {same}{there}{joins}"
        insert = (
            f"INSERT INTO {live} ({self.listed(table.columns)}) SELECT {', '.join(values.values())}"
            f" FROM {staging} AS staged{joins} WHERE NOT EXISTS (SELECT 1 FROM {live} AS live WHERE {same}){there}"
        )
        return [update, insert] if table.value else [insert]

    def delete_marked(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are marked as deleted."""
        same, mark = self.same_key(table, "live", "staged"), f"staged.\"{ACTION}\" = 'D'"
        return f"DELETE live FROM {self.of(table)} AS live JOIN {staging} AS staged ON {same} AND {mark}"

    def delete_missing(self, table: Table, staging: str) -> str:
        """Delete the rows whose keys are not there any more."""
        same = self.same_key(table, "live", "staged")
        absent = f"NOT EXISTS (SELECT 1 FROM {staging} AS staged WHERE {same})"
        return f"DELETE live FROM {self.of(table)} AS live WHERE {absent}"

    # Comparing

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""
        nulls = f"({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL)"
        return f"({one} <> {other} OR {nulls})"

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return a value by which rows of two tables may be compared, whose enums are not of one number."""
        if column.type.kind not in LOOKUPS:
            return value
        return f'(SELECT known."value" FROM {self.lookup(table, column)} AS known WHERE known."id" = {value})'

    def told_apart(self, table: Table, column: Column, value: str) -> str:
        """Return what differs wherever the service's values differ, in case or in blanks too."""
        comparable = self.comparable(table, column, value)
        return _exactly(comparable, "max") if column.type.kind in TEXTS | LOOKUPS else comparable

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return a value of the key that equals none but itself."""
        return self.told_apart(table, column, value)

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        text = ", N'|', ".join([f"N{self.literal(sample.seed)}", *keys])
        number = f"CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT({text})), 1, 4) AS bigint)"
        return f"{number} % {BUCKETS} < {threshold(sample)}"

    # Later versions, of the table in `found`

    def alter(self, before: Table, after: Table, *, drop_columns: bool) -> Statements:
        """Alter a table, as it stands, into a later version of its schema; indexes of the user's own stay."""
        added = [column for column in difference(before, after).added if column.name in self.found.columns]
        kept = [column for column in added if self._stands(column)]
        stand = replace(before, value=(*before.value, *kept))
        first = [sql for each in added if each not in kept for sql in self._clear(after, each)]
        first += [sql for each in kept for sql in self._require(after, each)]
        statements = super().alter(stand, after, drop_columns=drop_columns)
        change = difference(stand, after)
        names = {new.name for old, new in change.altered if self._retyped(after, old, new)}
        names |= {each.name for each in (*added, *change.dropped)}
        gone = {each.name for each in change.dropped} if drop_columns else set()
        own = [each for each in self.found.indexes if each.columns & names]
        statements = self._around_key(after, change, [*first, *statements])
        return self._without(after, own, statements, gone)

    def _stands(self, column: Column) -> bool:
        """Whether a column that was kept means what a column of the schema means."""
        there = self.found.columns[column.name]
        bound = there.reference is not None
        return there.type == plain(self.type(column.type)) and bound == (column.type.kind in LOOKUPS)

    def _retyped(self, table: Table, before: Column, after: Column) -> bool:
        key = after in table.key
        return self.type(before.type, key=key) != self.type(after.type, key=key) or before.required != after.required

    def _around_key(self, table: Table, change: SchemaDifference, statements: Statements) -> Statements:
        """Take the key away while one of its columns is altered."""
        names = {column.name for column in table.key}
        if not any(new.name in names and self._retyped(table, old, new) for old, new in change.altered):
            return statements
        place = f"ALTER TABLE {self.of(table)}"
        name = self.key_name(table) if self.found.key is None else self.identifier(self.found.key)
        key = f"{place} ADD CONSTRAINT {name} PRIMARY KEY ({self.listed(table.key)})"
        return [f"{place} DROP CONSTRAINT {name}", *statements, key]

    def _without(self, table: Table, own: Sequence[Index], statements: Statements, gone: Set[str]) -> Statements:
        """Take indexes away while one of their columns is altered; those of a column that is gone stay away."""
        live = self.of(table)
        return [
            *(f"DROP INDEX {self.identifier(each.name)} ON {live}" for each in own),
            *statements,
            *(
                f"CREATE {each.kind}INDEX {self.identifier(each.name)} ON {live} {each.rest}"
                for each in own
                if not each.columns & gone
            ),
        ]

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column that is not there yet."""
        place = f"ALTER TABLE {self.of(table)}"
        if column.type.kind not in LOOKUPS:
            filled = "" if column.default is None or column.required else " WITH VALUES"  # in the rows before, too
            made = [self.create_lookup(table, column)] if has_lookup(column.type) else []
            return [*made, f"{place} ADD {self.definition(table, column)}{filled}"]
        free = replace(column, required=False)
        added = [self.create_lookup(table, column), f"{place} ADD {self.definition(table, free)}"]
        return [*added, *self._require(table, column), self.refer(table, column)]

    def _require(self, table: Table, column: Column) -> Statements:
        """Let a column that may be null be its default instead, and required if it is to be."""
        if column.default is None:
            return []
        live, name, value = self.of(table), self.identifier(column.name), self.default_value(column)
        statements: Statements = []
        if column.type.kind in LOOKUPS:
            lookup, text = self.lookup(table, column), self.unicode(json.loads(column.default))
            value = f'(SELECT known."id" FROM {lookup} AS known WHERE {_known("known")} = {text})'
            statements.append(f'INSERT INTO {lookup} ("value") SELECT {text} WHERE NOT EXISTS {value}')
        statements.append(f"UPDATE {live} SET {name} = {value} WHERE {name} IS NULL")
        return [*statements, *self._modify(table, column)] if column.required else statements

    def _modify(self, table: Table, column: Column) -> Statements:
        """Give a column its type and requiredness, for as long unbound from a lookup table."""
        constraint = "NOT NULL" if column.required else "NULL"
        name, type_ = self.identifier(column.name), self.type_of(table, column)
        there = self.found.columns.get(column.name)
        if there is not None and there.collation and type_.startswith("varchar") and column not in table.key:
            type_ += f" COLLATE {there.collation}"  # the database's own would be taken, which may hold fewer texts
        modify = f"ALTER TABLE {self.of(table)} ALTER COLUMN {name} {type_} {constraint}"
        unbound = self._unbind(table, column.name)
        return [*unbound, modify, self.refer(table, column)] if unbound else [modify]

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness."""
        if after.required and not before.required:
            raise SchemaChangeNotSupportedError(f"Column {after.name} became required", table=table.name)
        key = after in table.key
        old, new = self.type(before.type, key=key), self.type(after.type, key=key)
        if not _alters(before.type, after.type):
            raise SchemaChangeNotSupportedError(f"Column {after.name} cannot go from {old} to {new}", table=table.name)
        if not self._retyped(table, before, after):
            return []
        if after.type.kind is TypeKind.TEXT and before.type.kind in LOOKUPS | {TypeKind.UUID}:
            return self._written_out(table, before, after)
        undefaulted = self._drop_default(table, after.name) if old != new else []
        redefaulted = self._add_default(table, after) if undefaulted else []
        return [*undefaulted, *self._modify(table, after), *redefaulted]

    def _written_out(self, table: Table, before: Column, after: Column) -> Statements:
        """Write values out as texts, in a column beside, which then takes the other's place."""
        place, live, name = f"ALTER TABLE {self.of(table)}", self.of(table), self.identifier(after.name)
        groups = ", ".join(f"CONVERT(char({2 * n}), SUBSTRING({name}, {start}, {n}), 2)" for start, n in _UUID_GROUPS)
        text = f"LOWER(CONCAT_WS('-', {groups}))"
        if before.type.kind in LOOKUPS:
            text = self.comparable(table, before, f"{live}.{name}")
        renamed = self.unicode(f"{live}.{self.identifier(BESIDE)}")
        return [
            f"{place} ADD {self.identifier(BESIDE)} {self.type(after.type)} NULL",
            f"UPDATE {live} SET {self.identifier(BESIDE)} = {text} WHERE {name} IS NOT NULL",
            *self.drop_column(table, before),
            f"EXEC sp_rename {renamed}, {self.unicode(after.name)}, N'COLUMN'",
            *([f"{place} ALTER COLUMN {name} {self.type(after.type)} NOT NULL"] if after.required else []),
            *self._add_default(table, after),
        ]

    def _add_default(self, table: Table, column: Column) -> Statements:
        default = self.named_default(table, column)
        place = f"ALTER TABLE {self.of(table)}"
        return [f"{place} ADD{default} FOR {self.identifier(column.name)}"] if default else []

    def _drop_default(self, table: Table, name: str) -> Statements:
        existing = self.found.columns.get(name)
        if existing is None or existing.default is None:
            return []
        return [f"ALTER TABLE {self.of(table)} DROP CONSTRAINT {self.identifier(existing.default)}"]

    def drop_column(self, table: Table, column: Column) -> Statements:
        """Remove a column that the schema no longer has, and what was made for it."""
        gone = [f"DROP TABLE IF EXISTS {self.lookup(table, column)}"] if has_lookup(column.type) else []
        return [*self._clear(table, column), *gone]

    def _clear(self, table: Table, column: Column) -> Statements:
        """Remove a column as it stands."""
        drop = f"ALTER TABLE {self.of(table)} DROP COLUMN {self.identifier(column.name)}"
        return [*self._drop_default(table, column.name), *self._unbind(table, column.name), drop]

    def _unbind(self, table: Table, name: str) -> Statements:
        """Take away what binds a column to its lookup table."""
        existing = self.found.columns.get(name)
        if existing is None or existing.reference is None:
            return []
        return [f"ALTER TABLE {self.of(table)} DROP CONSTRAINT {self.identifier(existing.reference)}"]

    def keep_column(self, table: Table, column: Column) -> Statements:
        """Let a column that the schema no longer has stay, nullable."""
        return self._modify(table, replace(column, required=False)) if column.required else []

    def rebuild(self, before: Table, after: Table) -> Statements:
        """Empty a table and alter it, keyless, into anything: it stays what views, grants and indexes refer to."""
        place, change, live = f"ALTER TABLE {self.of(after)}", difference(before, after), self.of(after)
        old_key = {column.name for column in before.key}
        remade = [*change.added, *(new for _, new in change.altered)]
        remade += [each for each in after.key if each.name not in old_key and each not in remade]
        cleared = [column for column in remade if column.name in self.found.columns]
        names = {column.name for column in cleared}
        if self.found.columns.keys() <= names:  # a table has to have a column at any time
            return super().rebuild(before, after)
        orphans = [old for old, new in change.altered if has_lookup(old.type) and not has_lookup(new.type)]
        unbound = replace(self, found=Found())
        statements = [
            f"TRUNCATE TABLE {live}",
            *([f"{place} DROP CONSTRAINT {self.identifier(self.found.key)}"] if self.found.key else []),
            *(sql for name in self.found.columns if name not in names for sql in self._unbind(after, name)),
            *(sql for column in cleared for sql in self._clear(after, column)),
            *(f"DROP TABLE IF EXISTS {self.lookup(after, column)}" for column in orphans),
            *(self.create_lookup(after, column) for column in remade if has_lookup(column.type)),
            *(f"{place} ADD {self.definition(after, column)}" for column in remade),
            *(sql for column in change.dropped for sql in unbound.keep_column(after, column)),
        ]
        return self._without(after, [each for each in self.found.indexes if each.columns & names], statements, set())


def _numbered(numbers: list[int]) -> str:
    return f'"id" IN ({", ".join(map(str, numbers)) or "NULL"})'


def _exactly(value: str, length: str = "4000") -> str:
    """Return a text so that it equals none but itself: SQL Server takes no notice of blanks at the end."""
    return f"CAST({value} AS nvarchar({length})) COLLATE {_BINARY} + N'|'"


def _whole(column: Column, value: str) -> str:
    return _exactly(value) if column.type.kind is TypeKind.TEXT else value


def _known(lookup: str) -> str:
    return f'CAST({lookup}."value" AS nvarchar(256)) COLLATE {_BINARY}'


def _alters(before: ColumnType, after: ColumnType) -> bool:
    """Whether a column's values, as they are kept, become those of another type."""
    if not widens(before, after):
        return False
    if before.kind is after.kind or {before.kind, after.kind} <= JSON_KINDS or {before.kind, after.kind} <= LOOKUPS:
        return True
    if after.kind is TypeKind.TEXT:
        return before.kind in _AS_TEXT
    return (before.kind in NUMBERS and after.kind in NUMBERS) or after.kind is TypeKind.IP
