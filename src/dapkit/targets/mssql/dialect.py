"""PURE: the T-SQL of rows on their way, of tables in later versions, and of comparisons."""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import difference, widens
from dapkit.targets.base import Sample
from dapkit.targets.mssql.introspection import plain
from dapkit.targets.mssql.table_ddl import ACTION, LOOKUPS, TEXTS, TIME, MsSqlTables, has_lookup, lookups
from dapkit.targets.sql.dialect import (
    BUCKETS,
    JSON_KINDS,
    NUMBERS,
    SchemaPlan,
    Statements,
    full_name,
    identifier,
    listed,
    threshold,
)
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable

__all__ = ["TEXT_COLUMN", "MsSqlDialect"]

TEXT_COLUMN = "dapkit_beside"
"""A new column that takes over the name of another."""

_BINARY = "Latin1_General_100_BIN2"
_STAGED = {
    TypeKind.INT16: "bigint",
    TypeKind.INT32: "bigint",
    TypeKind.FLOAT32: "float",
    TypeKind.FLOAT64: "float",
    TypeKind.ENUM: f"nvarchar(256) COLLATE {_BINARY}",
    TypeKind.OPEN_ENUM: f"nvarchar(256) COLLATE {_BINARY}",
}
"""The staged types of kinds that are kept as something else, wide enough for the server to say what does not fit."""

_AS_TEXT = LOOKUPS | {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.DATE, TypeKind.UUID, TypeKind.TEXT}
"""Kinds whose values as text are what the service writes; those of enums and UUIDs with some help."""

_UUID_GROUPS = ((1, 4), (5, 2), (7, 2), (9, 2), (11, 6))


@dataclass(frozen=True)
class MsSqlDialect(MsSqlTables):
    """The SQL of SQL Server: how rows and tables are changed."""

    replacement = None

    @property
    def comparison(self) -> "_Comparison":
        """How tables are compared."""
        return _Comparison(self)

    @property
    def lookups(self) -> "_Lookups":
        """How enums are kept as numbers."""
        return _Lookups(self)

    # Rows

    def create_staging(self, table: Table, name: str) -> str:
        """Create the staging table; texts are in Unicode there, enums are texts."""
        types = [(identifier(each.name), self._staged_type(table, each)) for each in table.columns]
        columns = ", ".join(f"{name} {type_} NULL" for name, type_ in types)
        return f"CREATE TABLE {name} ({TIME} datetime2 NULL, {ACTION} nvarchar(8) NULL, {columns})"

    def _staged_type(self, table: Table, column: Column) -> str:
        type_ = column.type
        if type_.kind is TypeKind.TEXT and column in table.key:
            length = min(2 * (type_.length or 450), 4000)
            return f"nvarchar({length}) COLLATE {_BINARY}"
        return (
            f"nvarchar(max) COLLATE {_BINARY}" if type_.kind in TEXTS else _STAGED.get(type_.kind) or self.type(type_)
        )

    def same_staged(self, table: Table, live: str, staged: str) -> str:
        """Return a condition: a row of the table and a staged one, by their aliases, have the same key."""
        return " AND ".join(self._same(table, column, live, staged) for column in table.key)

    def _same(self, table: Table, column: Column, live: str, staged: str) -> str:
        name = identifier(column.name)
        if column.type.kind in LOOKUPS:
            number = f'SELECT known."id" FROM {self.lookup(table, column)} AS known'
            return f"{live}.{name} = ({number} WHERE {_known('known')} = {staged}.{name})"
        return f"{_whole(column, f'{live}.{name}')} = {_whole(column, f'{staged}.{name}')}"

    def key_values(self, table: Table) -> str:
        """Write texts of the key so that blanks at their end count."""
        return ", ".join(_whole(column, identifier(column.name)) for column in table.key)

    def newest(self, select: str, into: str, table: Table) -> str:  # noqa: ARG002
        """Create a temporary table of a SELECT."""
        return select.replace("SELECT * FROM", f"SELECT * INTO {into} FROM", 1)

    # Changes

    def converts(self, table: Table, before: Column, after: Column) -> bool:  # noqa: ARG002
        """Whether the values of a column can be kept when its type changes."""
        return _alters(before.type, after.type)

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:  # noqa: ARG002
        """Whether an existing column has the type that the schema wants, and a lookup table if it wants one."""
        bound = existing.reference is not None
        return existing.type == plain(self.type(column.type)) and bound == (column.type.kind in LOOKUPS)

    def commit_first(self, before: Table, after: Table) -> Statements:  # noqa: ARG002
        """All DDL is transactional."""
        return []

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column that is not there yet."""
        table = plan.table
        alter = f"ALTER TABLE {full_name(self, table)}"
        if column.type.kind not in LOOKUPS:
            filled = "" if column.default is None or column.required else " WITH VALUES"  # in existing rows, too
            made = [self.create_lookup(table, column)] if has_lookup(column.type) else []
            return [*made, f"{alter} ADD {self.definition(table, column)}{filled}"]
        free = replace(column, required=False)
        added = [self.create_lookup(table, column), f"{alter} ADD {self.definition(table, free)}"]
        return [*added, *self._require(table, column, None), self.refer(table, column)]

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type."""
        return self._clear(plan.table, plan.existing.columns[column.name])

    def restore_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Use a kept column again, with its default instead of nulls."""
        return self._require(plan.table, column, plan.existing.columns[column.name])

    def _require(self, table: Table, column: Column, existing: ExistingColumn | None) -> Statements:
        """Fill a column that may be null with its default, and make it required if it is to be."""
        if column.default is None:
            return []
        live, name, value = full_name(self, table), identifier(column.name), self.default_value(column)
        statements: Statements = []
        if column.type.kind in LOOKUPS:
            lookup, text = self.lookup(table, column), self.unicode(json.loads(column.default))
            value = f'(SELECT known."id" FROM {lookup} AS known WHERE {_known("known")} = {text})'
            statements.append(f'INSERT INTO {lookup} ("value") SELECT {text} WHERE NOT EXISTS {value}')
        statements.append(f"UPDATE {live} SET {name} = {value} WHERE {name} IS NULL")
        return [*statements, *self._modify(table, column, existing)] if column.required else statements

    def _modify(self, table: Table, column: Column, existing: ExistingColumn | None) -> Statements:
        """Give a column its type and nullability; its foreign key is dropped meanwhile."""
        constraint = "NOT NULL" if column.required else "NULL"
        name, type_ = identifier(column.name), self.type_of(table, column)
        if existing is not None and existing.collation and type_.startswith("varchar") and column not in table.key:
            type_ += f" COLLATE {existing.collation}"  # else it would get the database's, which may store fewer texts
        modify = f"ALTER TABLE {full_name(self, table)} ALTER COLUMN {name} {type_} {constraint}"
        unbound = self._unbind(table, existing)
        return [*unbound, modify, self.refer(table, column)] if unbound else [modify]

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""
        table, existing = plan.table, plan.existing.columns.get(after.name)
        if not self._retyped(table, before, after):
            return []
        if after.type.kind is TypeKind.TEXT and before.type.kind in LOOKUPS | {TypeKind.UUID}:
            return self._written_out(plan, before, after)
        key = after in table.key
        retyped = self.type(before.type, key=key) != self.type(after.type, key=key)
        undefaulted = self._drop_default(table, existing) if retyped else []
        redefaulted = self._add_default(table, after) if undefaulted else []
        return [*undefaulted, *self._modify(table, after, existing), *redefaulted]

    def _retyped(self, table: Table, before: Column, after: Column) -> bool:
        key = after in table.key
        return self.type(before.type, key=key) != self.type(after.type, key=key) or before.required != after.required

    def _written_out(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Write values as texts into a new column, which then takes over the name."""
        table, live, name = plan.table, full_name(self, plan.table), identifier(after.name)
        alter = f"ALTER TABLE {live}"
        groups = ", ".join(f"CONVERT(char({2 * n}), SUBSTRING({name}, {start}, {n}), 2)" for start, n in _UUID_GROUPS)
        text = f"LOWER(CONCAT_WS('-', {groups}))"
        if before.type.kind in LOOKUPS:
            text = self.comparison.comparable(table, before, f"{live}.{name}")
        renamed = self.unicode(f"{live}.{identifier(TEXT_COLUMN)}")
        return [
            f"{alter} ADD {identifier(TEXT_COLUMN)} {self.type(after.type)} NULL",
            f"UPDATE {live} SET {identifier(TEXT_COLUMN)} = {text} WHERE {name} IS NOT NULL",
            *self.drop_column(plan, before),
            f"EXEC sp_rename {renamed}, {self.unicode(after.name)}, N'COLUMN'",
            *([f"{alter} ALTER COLUMN {name} {self.type(after.type)} NOT NULL"] if after.required else []),
            *self._add_default(table, after),
        ]

    def _add_default(self, table: Table, column: Column) -> Statements:
        default = self.named_default(table, column)
        alter = f"ALTER TABLE {full_name(self, table)}"
        return [f"{alter} ADD{default} FOR {identifier(column.name)}"] if default else []

    def _drop_default(self, table: Table, existing: ExistingColumn | None) -> Statements:
        if existing is None or existing.default is None:
            return []
        return [f"ALTER TABLE {full_name(self, table)} DROP CONSTRAINT {identifier(existing.default)}"]

    def _unbind(self, table: Table, existing: ExistingColumn | None) -> Statements:
        """Drop the foreign key from a column to its lookup table."""
        if existing is None or existing.reference is None:
            return []
        return [f"ALTER TABLE {full_name(self, table)} DROP CONSTRAINT {identifier(existing.reference)}"]

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column, and its lookup table if it has one."""
        lookup = [f"DROP TABLE IF EXISTS {self.lookup(plan.table, column)}"] if has_lookup(column.type) else []
        return [*self._clear(plan.table, plan.existing.columns[column.name]), *lookup]

    def _clear(self, table: Table, existing: ExistingColumn) -> Statements:
        drop = f"ALTER TABLE {full_name(self, table)} DROP COLUMN {identifier(existing.name)}"
        return [*self._drop_default(table, existing), *self._unbind(table, existing), drop]

    def relax_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Let a column be NULL."""
        return self._modify(plan.table, replace(column, required=False), plan.existing.columns.get(column.name))

    def comment_column(self, plan: SchemaPlan, column: Column) -> Statements:  # noqa: ARG002
        """There are no comments."""
        return []

    def arrange(self, plan: SchemaPlan, statements: Statements) -> Statements:
        """Drop the key and the user's indexes while one of their columns is altered, and create them again."""
        retyped = {new.name for old, new in plan.altered if self._retyped(plan.table, old, new)}
        changed = (*plan.added, *plan.replaced, *plan.restored, *plan.dropped, *plan.relaxed)
        names = retyped | {column.name for column in changed}
        if retyped & {column.name for column in plan.table.key}:
            alter = f"ALTER TABLE {full_name(self, plan.table)}"
            name = self.key_name(plan.table)
            name = name if plan.existing.key_name is None else identifier(plan.existing.key_name)
            key = f"{alter} ADD CONSTRAINT {name} PRIMARY KEY ({listed(plan.table.key)})"
            statements = [f"{alter} DROP CONSTRAINT {name}", *statements, key]
        own = [index for index in plan.existing.indexes if index.columns & names]
        return self._without(plan.table, own, statements, {column.name for column in plan.dropped})

    def _without(
        self, table: Table, own: Sequence[ExistingIndex], statements: Statements, gone: Set[str]
    ) -> Statements:
        """Drop indexes around some statements; those of a column that is gone are not created again."""
        live = full_name(self, table)
        return [
            *(f"DROP INDEX {identifier(index.name)} ON {live}" for index in own),
            *statements,
            *(index.definition for index in own if not index.columns & gone),
        ]

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:
        """Empty a table and alter it, without its key, into anything: views, grants and indexes still refer to it."""
        change, live = difference(before, after), full_name(self, after)
        alter = f"ALTER TABLE {live}"
        old_key = {column.name for column in before.key}
        remade = [*change.added, *(new for _, new in change.altered)]
        remade += [each for each in after.key if each.name not in old_key and each not in remade]
        cleared = [column for column in remade if column.name in existing.columns]
        names = {column.name for column in cleared}
        if existing.columns.keys() <= names:  # a table must always have a column
            return [f"DROP TABLE IF EXISTS {full_name(self, before)}", *self.create_table(after)]
        relaxed = [replace(each, required=False) for each in change.dropped if each.required]
        orphans = [old for old, new in change.altered if has_lookup(old.type) and not has_lookup(new.type)]
        statements = [
            f"TRUNCATE TABLE {live}",
            *([f"{alter} DROP CONSTRAINT {identifier(existing.key_name)}"] if existing.key_name else []),
            *(sql for each in existing.columns.values() if each.name not in names for sql in self._unbind(after, each)),
            *(sql for column in cleared for sql in self._clear(after, existing.columns[column.name])),
            *(f"DROP TABLE IF EXISTS {self.lookup(after, column)}" for column in orphans),
            *(self.create_lookup(after, column) for column in remade if has_lookup(column.type)),
            *(f"{alter} ADD {self.definition(after, column)}" for column in remade),
            *(sql for each in relaxed for sql in self._modify(after, each, None)),
        ]
        return self._without(after, [each for each in existing.indexes if each.columns & names], statements, set())

    def copy_indexes(self, table: Table, existing: ExistingTable) -> Statements:  # noqa: ARG002
        """The user's indexes stay."""
        return []


class _Lookups:
    """Enums are numbers of a lookup table."""

    def __init__(self, dialect: MsSqlDialect) -> None:
        self._dialect = dialect

    def columns(self, table: Table) -> Sequence[Column]:
        """Return the columns that are kept so."""
        return lookups(table.columns)

    def name(self, table: Table, column: Column) -> str:
        """Write the name of the lookup table of a column."""
        return self._dialect.lookup(table, column)

    def same_value(self, known: str, text: str) -> str:
        """Return a condition: a row of a lookup table has exactly this text."""
        return f"{_known(known)} = {text}"

    def exact(self, table: Table, column: Column, existing: ExistingTable) -> Statements:
        """Let a lookup table distinguish values by case."""
        if existing.columns["value"].collation == self._dialect.exact:
            return []
        return self._dialect.exact_lookup(table, column)

    def comparable_table(self, table: Table) -> Table:
        """Return the table as it is, with lookup tables of its own."""
        return table


class _Comparison:
    """How tables are compared whose enums are numbered differently."""

    def __init__(self, dialect: MsSqlDialect) -> None:
        self._dialect = dialect

    def differs(self, one: str, other: str) -> str:
        """Return a condition: two values differ, where null equals null."""
        nulls = f"({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL)"
        return f"({one} <> {other} OR {nulls})"

    def comparable(self, table: Table, column: Column, value: str) -> str:
        """Return a value by which rows of two tables may be compared, whose enums are not of one number."""
        if column.type.kind not in LOOKUPS:
            return value
        return f'(SELECT known."value" FROM {self._dialect.lookup(table, column)} AS known WHERE known."id" = {value})'

    def exact_comparison(self, table: Table, column: Column, value: str) -> str:
        """Return what differs wherever the service's values differ, in case or in blanks too."""
        comparable = self.comparable(table, column, value)
        return _exactly(comparable, "max") if column.type.kind in TEXTS | LOOKUPS else comparable

    def comparable_key(self, table: Table, column: Column, value: str) -> str:
        """Return a value of the key that equals none but itself."""
        return self.exact_comparison(table, column, value)

    def is_text_json(self, table: Table, column: Column) -> bool:  # noqa: ARG002
        """Whether a column keeps JSON, which is always text."""
        return column.type.kind in JSON_KINDS

    def may_differ(self, one: str, other: str) -> str:  # noqa: ARG002
        """SQL Server cannot tell."""
        return "1 = 1"

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        text = ", N'|', ".join([f"N{self._dialect.literal(sample.seed)}", *keys])
        number = f"CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT({text})), 1, 4) AS bigint)"
        return f"{number} % {BUCKETS} < {threshold(sample)}"


def _exactly(value: str, length: str = "4000") -> str:
    """Return a text in a form that equals only itself: SQL Server ignores blanks at the end."""
    return f"CAST({value} AS nvarchar({length})) COLLATE {_BINARY} + N'|'"


def _whole(column: Column, value: str) -> str:
    return _exactly(value) if column.type.kind is TypeKind.TEXT else value


def _known(lookup: str) -> str:
    return f'CAST({lookup}."value" AS nvarchar(256)) COLLATE {_BINARY}'


def _alters(before: ColumnType, after: ColumnType) -> bool:
    """Whether the values of a column, as they are kept, can become those of another type."""
    if not widens(before, after):
        return False
    if before.kind is after.kind or {before.kind, after.kind} <= JSON_KINDS or {before.kind, after.kind} <= LOOKUPS:
        return True
    if after.kind is TypeKind.TEXT:
        return before.kind in _AS_TEXT
    return (before.kind in NUMBERS and after.kind in NUMBERS) or after.kind is TypeKind.IP
