"""PURE: the T-SQL of SQL Server (experimental). Layout and names are those of the official client, without comments.

Enums are stored as numbers that refer to lookup tables. Most databases compare texts without case, and all of them
ignore spaces at the end, so texts are converted to a binary collation where they have to be distinguished.
"""

import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from dapkit.model import JSON_KINDS, Column, Table, TypeKind
from dapkit.schema import difference
from dapkit.targets.mssql.column_types import (
    BINARY_UTF8,
    LOOKUPS,
    TEXTS,
    catalog_type,
    column_type,
    exact_text,
    has_lookup,
    staged_type,
)
from dapkit.targets.mssql.lookup_tables import MsSqlLookups, unicode_literal
from dapkit.targets.mssql.state_tables import CREATE_STATE_TABLES, DROP_LEFTOVERS, LOCK_STATE_TABLES
from dapkit.targets.sql.dialect import (
    STATE_SCHEMA,
    Comparison,
    DialectFacts,
    SchemaPlan,
    Statements,
    column_changes,
    converts_as_stored,
    default_time,
    defaults_last,
    identifier,
    listed,
    no_statements,
    packed_default,
    text_literal,
)
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable

_TIME, _ACTION = '"dapkit_time"', '"dapkit_action"'
"""The `meta` columns of a staging table."""

_REPLACEMENT = "dapkit_replacement"
"""A column that takes over the name of another."""

_AS_TEXT = LOOKUPS | {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.DATE, TypeKind.UUID, TypeKind.TEXT}
"""Kinds whose values become, as text, what the service writes; those of enums and UUIDs by a query."""

_UUID_GROUPS = ((1, 4), (5, 2), (7, 2), (9, 2), (11, 6))
"""First byte and length of each part of a UUID."""


class MsSqlDialect:
    """SQL Server's SQL.

    Args:
        collation: of texts that identify rows, see `column_types`.
        scratch: the schema of tables that are only made to be compared with; each session needs a separate one,
            since creating a schema waits for the end of another transaction that creates the same.
    """

    replacement = None
    clear_leftovers = commit_first = no_statements
    """Lookup tables that the official `dropdb` leaves are used again; all DDL is transactional."""

    def __init__(self, collation: str = BINARY_UTF8, scratch: str = "dapkit_scratch") -> None:
        self.collation = collation
        self.facts = DialectFacts(
            product="SQL Server",
            literal=lambda text: text_literal(text) if text.isascii() else unicode_literal(text),
            count_all="count_big(*)",
            limit_by_top=True,
            # ROWLOCK and the row's number: rows of other tables are neither locked nor waited for.
            lock_hint=" WITH (UPDLOCK, HOLDLOCK, ROWLOCK)",
            scratch=scratch,
            numbered_version=True,
            action_column=_ACTION,
            row_time=_TIME,
            exact_text=exact_text,
            newest='"#dapkit_newest"',
            create_newest="SELECT * INTO {newest} FROM ({select}) AS newest",
            fill_hint=" WITH (TABLOCK)",  # the log then needs less space
            lookup_kinds=LOOKUPS,
            ascii_documents=True,  # which any code page can store
        )
        self.lookups = MsSqlLookups(collation)
        self.comparison = Comparison(
            hashed=_hashed,
            comparable=self._enum_as_text,
            exact=self._distinguished,
            key=self._distinguished,
            differs=_differs,
        )

    def _enum_as_text(self, table: Table, column: Column, value: str) -> str:
        """Write an enum as text: those of two tables are numbered differently."""
        return self.lookups.text(table, column, value) if column.type.kind in LOOKUPS else value

    def _distinguished(self, table: Table, column: Column, value: str) -> str:
        """Write a value so that it differs by case and spaces too."""
        text = self._enum_as_text(table, column, value)
        return exact_text(text, "max") if column.type.kind in TEXTS | LOOKUPS else text

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing, one process at a time."""
        return [LOCK_STATE_TABLES, *self.create_namespace(STATE_SCHEMA), *CREATE_STATE_TABLES, DROP_LEFTOVERS]

    def create_namespace(self, namespace: str) -> Statements:
        """Create a schema where it is missing; CREATE SCHEMA has to be a separate batch."""
        create = unicode_literal(f"CREATE SCHEMA {identifier(namespace)}")
        return [f"IF SCHEMA_ID({unicode_literal(namespace)}) IS NULL EXEC({create})"]

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""
        return column_type(column.type, key=column in table.key, exact=self.collation)

    def create_table(self, table: Table) -> Statements:
        """Create a table with its lookup tables; columns with a default come last."""
        columns = ", ".join(self._definition(table, column) for column in defaults_last(table.columns))
        return [*self._create_lookups(table, table.columns), f"CREATE TABLE {self.facts.full_name(table)} ({columns})"]

    def _create_lookups(self, table: Table, columns: Iterable[Column]) -> Statements:
        return [self.lookups.create(table, column) for column in columns if has_lookup(column.type)]

    def _definition(self, table: Table, column: Column) -> str:
        default = self._default(table, column)
        return f"{identifier(column.name)} {self.type_of(table, column)} {_nullable(column)}{default}"

    def _default(self, table: Table, column: Column) -> str:
        """Return the DEFAULT of a column with a space before it; the number of an enum's value is not known."""
        if column.default is None or column.type.kind in LOOKUPS:
            return ""
        name = identifier(f"df_{table.name}_{column.name}")
        return f" CONSTRAINT {name} DEFAULT {self._default_value(column)}"

    def _default_value(self, column: Column) -> str:
        if packed := packed_default(column):
            return f"0x{packed}"
        if column.type.kind is TypeKind.DATETIME:
            return self.facts.literal(default_time(column).isoformat(" "))
        value = json.loads(column.default or "null")
        if column.type.kind is TypeKind.BOOLEAN:
            return str(int(value))
        if column.type.kind in JSON_KINDS:
            return self.facts.literal(json.dumps(value))
        return self.facts.default_text(column)

    def add_key(self, table: Table) -> Statements:
        """Add the primary key, and the references to lookup tables."""
        references = [self._refer(table, column) for column in self.facts.lookup_columns(table)]
        return [self._add_key(table, _key_name(table)), *references]

    def _add_key(self, table: Table, name: str) -> str:
        return f"{self._alter(table)} ADD CONSTRAINT {name} PRIMARY KEY ({listed(table.key)})"

    def _refer(self, table: Table, column: Column) -> str:
        name = identifier(f"fk_{table.namespace}_{table.name}_{column.name}")
        return (
            f"{self._alter(table)} ADD CONSTRAINT {name} FOREIGN KEY ({identifier(column.name)})"
            f' REFERENCES {self.facts.lookup_table(table, column)} ("id")'
        )

    def _alter(self, table: Table) -> str:
        return f"ALTER TABLE {self.facts.full_name(table)}"

    def converts(self, table: Table, before: Column, after: Column) -> bool:  # noqa: ARG002
        """Whether the stored values of a column become those of another type."""
        return converts_as_stored(before.type, after.type, _AS_TEXT, LOOKUPS)

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:
        """Whether an existing column has the type that the schema wants: the number of an enum is no plain number."""
        is_enum = column.type.kind in LOOKUPS
        return existing.type == catalog_type(self.type_of(table, column)) and is_enum == (
            existing.reference is not None
        )

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column; existing rows get its default."""
        table, add = plan.table, f"{self._alter(plan.table)} ADD"
        created = self._create_lookups(table, [column])
        if column.type.kind in LOOKUPS:  # whose default needs a number before it can be NOT NULL
            nullable = self._definition(table, replace(column, required=False))
            return [*created, f"{add} {nullable}", *self._fill_column(table, column), self._refer(table, column)]
        filled = "" if column.default is None or column.required else " WITH VALUES"
        return [*created, f"{add} {self._definition(table, column)}{filled}"]

    def _fill_column(self, table: Table, column: Column, existing: ExistingColumn | None = None) -> Statements:
        """Give rows without a value the default, and then let the column be required if it has to be."""
        if column.default is None:
            return []
        name, value, statements = identifier(column.name), "", []
        if column.type.kind in LOOKUPS:
            text = unicode_literal(json.loads(column.default))
            value = self.lookups.number(table, column, text)
            lookup = self.facts.lookup_table(table, column)
            statements = [f'INSERT INTO {lookup} ("value") SELECT {text} WHERE NOT EXISTS {value}']
        value = value or self._default_value(column)
        statements.append(f"UPDATE {self.facts.full_name(table)} SET {name} = {value} WHERE {name} IS NULL")
        return [*statements, *self._modify(table, column, existing)] if column.required else statements

    def _modify(self, table: Table, column: Column, existing: ExistingColumn | None = None) -> Statements:
        """Give a column its type and nullability; its reference is dropped before and added again."""
        type_ = self.type_of(table, column)
        if existing is not None and existing.collation and type_.startswith("varchar") and column not in table.key:
            # Otherwise it would get the collation of the database, which may lack some of its characters.
            type_ += f" COLLATE {existing.collation}"
        modify = f"{self._alter(table)} ALTER COLUMN {identifier(column.name)} {type_} {_nullable(column)}"
        unbound = self._unbind(table, existing)
        return [*unbound, modify, self._refer(table, column)] if unbound else [modify]

    def _unbind(self, table: Table, existing: ExistingColumn | None) -> Statements:
        """Drop the reference to a lookup table."""
        return self._drop_constraint(table, None if existing is None else existing.reference)

    def _drop_constraint(self, table: Table, name: str | None) -> Statements:
        return [] if name is None else [f"{self._alter(table)} DROP CONSTRAINT {identifier(name)}"]

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type."""
        return self._clear(plan.table, plan.existing.columns[column.name])

    def _clear(self, table: Table, existing: ExistingColumn) -> Statements:
        drop = f"{self._alter(table)} DROP COLUMN {identifier(existing.name)}"
        return [*self._drop_constraint(table, existing.default), *self._unbind(table, existing), drop]

    def restore_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Use a kept column again; rows that have no value in it get its default."""
        return self._fill_column(plan.table, column, plan.existing.columns[column.name])

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""
        table, existing = plan.table, plan.existing.columns[after.name]
        if not self._is_altered(table, before, after):
            return []
        if after.type.kind is TypeKind.TEXT and before.type.kind in LOOKUPS | {TypeKind.UUID}:
            return self._written_out(plan, before, after)
        # A default is a constraint, which is in the way of another type.
        retyped = self.type_of(table, before) != self.type_of(table, after)
        dropped = self._drop_constraint(table, existing.default if retyped else None)
        restored = self._add_default(table, after) if dropped else []
        return [*dropped, *self._modify(table, after, existing), *restored]

    def _is_altered(self, table: Table, before: Column, after: Column) -> bool:
        key = after in table.key
        types = [column_type(each.type, key=key, exact=self.collation) for each in (before, after)]
        return types[0] != types[1] or before.required != after.required

    def _written_out(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Write values out as texts, in a column that takes over the name of the other."""
        table, live, name = plan.table, self.facts.full_name(plan.table), identifier(after.name)
        groups = ", ".join(f"CONVERT(char({2 * n}), SUBSTRING({name}, {start}, {n}), 2)" for start, n in _UUID_GROUPS)
        text = f"LOWER(CONCAT_WS('-', {groups}))"
        if before.type.kind in LOOKUPS:
            text = self.lookups.text(table, before, f"{live}.{name}")
        type_, new, alter = self.type_of(table, after), identifier(_REPLACEMENT), self._alter(table)
        return [
            f"{alter} ADD {new} {type_} NULL",
            f"UPDATE {live} SET {new} = {text} WHERE {name} IS NOT NULL",
            *self.drop_column(plan, before),
            f"EXEC sp_rename {unicode_literal(f'{live}.{new}')}, {unicode_literal(after.name)}, N'COLUMN'",
            *([f"{alter} ALTER COLUMN {name} {type_} NOT NULL"] if after.required else []),
            *self._add_default(table, after),
        ]

    def _add_default(self, table: Table, column: Column) -> Statements:
        default = self._default(table, column)
        return [f"{self._alter(table)} ADD{default} FOR {identifier(column.name)}"] if default else []

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column that left the schema, and its lookup table."""
        lookup = (
            [f"DROP TABLE IF EXISTS {self.facts.lookup_table(plan.table, column)}"] if has_lookup(column.type) else []
        )
        return [*self.clear_column(plan, column), *lookup]

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Drop the key, and the user's indexes, while columns that they use are altered."""
        statements = column_changes(self, plan)
        if not statements:
            return []
        table = plan.table
        altered = {new.name for old, new in plan.altered if self._is_altered(table, old, new)}
        if altered & {column.name for column in table.key}:
            name = _key_name(table) if plan.existing.key_name is None else identifier(plan.existing.key_name)
            statements = [f"{self._alter(table)} DROP CONSTRAINT {name}", *statements, self._add_key(table, name)]
        touched = altered | {each.name for each in (*plan.replaced, *plan.restored, *plan.dropped)}
        dropped = {column.name for column in plan.dropped}
        return self._around_indexes(table, _using(plan.existing, touched), statements, dropped)

    def _around_indexes(
        self, table: Table, indexes: Sequence[ExistingIndex], statements: Statements, dropped: Set[str]
    ) -> Statements:
        """Drop indexes first and create them again afterwards, but for those of a dropped column."""
        live = self.facts.full_name(table)
        drops = [f"DROP INDEX {identifier(each.name)} ON {live}" for each in indexes]
        return [*drops, *statements, *(each.definition for each in indexes if not each.columns & dropped)]

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:
        """Empty a table and alter it, without its key, into anything: views and grants still refer to it."""
        alter, change, live = self._alter(after), difference(before, after), self.facts.full_name(after)
        old_key = {column.name for column in before.key}
        remade = [*change.added, *(new for _, new in change.altered)]
        # A text that joins the key gets the binary collation.
        remade += [each for each in after.key if each.name not in old_key and each not in remade]
        cleared = {each.name: existing.columns[each.name] for each in remade if each.name in existing.columns}
        if existing.columns.keys() <= cleared.keys():  # a table cannot be without any column
            return [f"DROP TABLE IF EXISTS {live}", *self.create_table(after)]
        kept = [each for name, each in existing.columns.items() if name not in cleared]
        orphans = [old for old, new in change.altered if has_lookup(old.type) and not has_lookup(new.type)]
        relaxed = [replace(column, required=False) for column in change.dropped if column.required]
        statements = [
            f"TRUNCATE TABLE {live}",
            *self._drop_constraint(after, existing.key_name),
            *(sql for each in kept for sql in self._unbind(after, each)),
            *(sql for each in cleared.values() for sql in self._clear(after, each)),
            *(f"DROP TABLE IF EXISTS {self.facts.lookup_table(after, column)}" for column in orphans),
            *self._create_lookups(after, remade),
            *(f"{alter} ADD {self._definition(after, column)}" for column in remade),
            *(sql for column in relaxed for sql in self._modify(after, column)),
        ]
        return self._around_indexes(after, _using(existing, cleared.keys()), statements, set())


def create_staging(table: Table, name: str) -> str:
    """Create the staging table of a table."""
    types = [(identifier(each.name), staged_type(each.type, key=each in table.key)) for each in table.columns]
    columns = ", ".join(f"{column} {type_} NULL" for column, type_ in types)
    return f"CREATE TABLE {name} ({_TIME} datetime2 NULL, {_ACTION} nvarchar(8) NULL, {columns})"


def _hashed(values: Sequence[str]) -> str:
    text = ", N'|', ".join(values)
    return f"CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT({text})), 1, 4) AS bigint)"


def _nullable(column: Column) -> str:
    return "NOT NULL" if column.required else "NULL"


def _key_name(table: Table) -> str:
    return identifier(f"pk_{table.namespace}_{table.name}")


def _using(existing: ExistingTable, names: Set[str]) -> list[ExistingIndex]:
    """Return the indexes that use one of these columns."""
    return [each for each in existing.indexes if each.columns & names]


def _differs(_column: Column, one: str, other: str) -> str:
    # IS DISTINCT FROM exists only from SQL Server 2022 on.
    nulls = f"({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL)"
    return f"({one} <> {other} OR {nulls})"
