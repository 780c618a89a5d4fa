"""PURE: the SQL of MySQL and MariaDB. Types, names and state tables are the official client's, down to the comments.

DDL commits implicitly here, so nothing relies on a transaction that spans it. Sessions have ANSI_QUOTES, strict modes,
UTC, and the collation in `exact`, which distinguishes texts down to the last space.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from dapkit.decode.tsv import META_ACTION, META_TS
from dapkit.model import JSON_KINDS, Column, ColumnType, Table, TypeKind
from dapkit.targets.mysql.column_types import LONGEST_KEY, alters, column_type, literal, plain_type
from dapkit.targets.mysql.state_tables import TABLES
from dapkit.targets.sql.dialect import (
    Comparison,
    DialectFacts,
    SchemaPlan,
    Statements,
    column_changes,
    default_time,
    defaults_last,
    identifier,
    listed,
    no_statements,
    packed_default,
)
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable

STAGING = '"dapkit_staging"'
TEXT_OF_UUID = "dapkit_text"
"""The column next to another whose UUIDs become text."""

_UUID_GROUPS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
"""First digit and length of each part of a UUID."""

_COMMENTS = {"table": 2048, "column": 1024}
"""How long comments may be."""


_TEXT_LENGTHS = {TypeKind.DATETIME: 19, TypeKind.TIME: 8}
"""The length of a time without the fraction of a second, as CHAR."""


class MySqlDialect:
    """The SQL of MySQL and MariaDB.

    Args:
        product: the server's name.
        exact: the collation that distinguishes texts as the service does.
        utf8: whether tables store all of Unicode by default.
        normal_json: what writes JSON in a normal form, with `{}` for its text.
    """

    create_namespace = add_key = commit_first = no_statements
    """There are no schemas; a table is created with its key; every DDL statement commits."""

    def __init__(
        self,
        product: str = "MySQL",
        exact: str = "utf8mb4_bin",
        utf8: bool = True,
        normal_json: str = "CAST({} AS JSON)",
    ) -> None:
        self.exact = exact
        self.utf8 = utf8
        self.facts = DialectFacts(
            product=product,
            literal=literal,
            placeholder="%s",
            lock_clause=" FOR UPDATE",
            schemas=False,
            lookup_kinds={TypeKind.OPEN_ENUM},
            create_newest="CREATE TEMPORARY TABLE {newest} (PRIMARY KEY ({key})) AS {select}",  # some demand a key
            drop_temporary="DROP TEMPORARY TABLE IF EXISTS",  # without this word it would commit
            update_joined="UPDATE {rows} SET {updates}",
            # MySQL rounds the seconds that the official client saves; MariaDB cuts their fraction off.
            watermarks_late_by=timedelta(seconds=1 if product == "MySQL" else 0),
        )
        self.comparison = Comparison(
            hashed=lambda values: f"crc32(concat_ws('|', {', '.join(values)}))",
            comparable=self._exactly_collated,
            exact=self._exactly_collated,
            key=self._key_text,
            differs=_differs,
            normal_json=normal_json,
        )
        self.lookups = _Lookups(self)
        self.replacement = _Replacement(self)

    def _exactly_collated(self, table: Table, column: Column, value: str) -> str:
        """Write a text in the exact collation, whatever that of its column is."""
        kind = column.type.kind
        if kind is TypeKind.OPEN_ENUM:
            value = (
                f"(SELECT known.value FROM {self.facts.lookup_table(table, column)} AS known WHERE known.id = {value})"
            )
        elif kind not in (TypeKind.TEXT, TypeKind.ENUM, *JSON_KINDS):
            return value
        return f"CONVERT({value} USING utf8mb4) COLLATE {self.exact}"

    def _key_text(self, table: Table, column: Column, value: str) -> str:
        """Write a value of the key as it is, since only so an index finds it, but for the number of an enum."""
        return self._exactly_collated(table, column, value) if column.type.kind is TypeKind.OPEN_ENUM else value

    def reference(self, table: Table, column: Column) -> str:
        """Return the name, without quotes, of the foreign key from an open enum to its lookup table."""
        return f"fk_{self.facts.bare_name(table.namespace, table.name)}_{column.name}"

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing."""
        return [
            f"CREATE TABLE IF NOT EXISTS {self.facts.state_table(name)} {definition}{self._charset()}"
            for name, definition in TABLES.items()
        ]

    def type_of(self, table: Table, column: Column) -> str:
        """Return the type of a column."""
        return self.type(column.type, key=column in table.key)

    def type(self, type_: ColumnType, *, key: bool = False) -> str:
        """Write a type."""
        return column_type(type_, self.exact, key=key)

    def definition(self, table: Table, column: Column) -> str:
        """Return the definition of a column, its comment included."""
        required = " NOT NULL" if column.required else ""
        comment = f" COMMENT {self._comment(column.comment, 'column')}" if column.comment else ""
        return f"{identifier(column.name)} {self.type_of(table, column)}{required}{self._default(column)}{comment}"

    def _comment(self, text: str, of: str) -> str:
        return literal(text.partition("\n")[0][: _COMMENTS[of]])

    def _default(self, column: Column) -> str:
        if column.default is None or column.type.kind is TypeKind.OPEN_ENUM:
            return ""  # the number of an open enum's value is not known here
        value = self._default_value(column)
        bounded = column.type.kind not in JSON_KINDS and self.type(column.type) != "mediumtext"
        return f" DEFAULT {value}" if bounded else f" DEFAULT ({value})"

    def _default_value(self, column: Column) -> str:
        """Write the default of a column in the form that the column has."""
        if packed := packed_default(column):
            return f"X'{packed}'"
        if column.type.kind is TypeKind.DATETIME:
            return literal(default_time(column).replace(microsecond=0).isoformat(" "))
        if column.type.kind in JSON_KINDS:
            return literal(json.dumps(json.loads(column.default or "null"), ensure_ascii=False))
        return self.facts.default_text(column)

    def clear_leftovers(self, table: Table) -> Statements:
        """Remove what an interrupted load left, or what is left of a table that was dropped."""
        lookups = [
            f"DROP TABLE IF EXISTS {self.facts.lookup_table(table, column)}"
            for column in self.facts.lookup_columns(table)
        ]
        return [f"DROP TABLE IF EXISTS {self.facts.full_name(table)}", *lookups]

    def create_table(self, table: Table) -> Statements:
        """Create a table with its key and lookup tables."""
        references = [f"CONSTRAINT {self._bound(table, column)}" for column in self.facts.lookup_columns(table)]
        return [*self.create_lookups(table), self.create(table, self.facts.full_name(table), references)]

    def create(self, table: Table, name: str, constraints: Iterable[str] = ()) -> str:
        """Create a table under a name, with its key; columns with a default come last."""
        columns = [self.definition(table, column) for column in defaults_last(table.columns)]
        key = f"CONSTRAINT {identifier(self._key(table))} PRIMARY KEY ({listed(table.key)})"
        document = table.schema.document
        title = document.get("title") or document.get("description")
        comment = f" COMMENT = {self._comment(title, 'table')}" if isinstance(title, str) else ""
        return f"CREATE TABLE {name} ({', '.join([*columns, key, *constraints])}){comment}{self._charset()}"

    def _charset(self) -> str:
        return "" if self.utf8 else " DEFAULT CHARACTER SET utf8mb4"

    def _key(self, table: Table) -> str:
        return f"pk_{self.facts.bare_name(table.namespace, table.name)}"

    def create_lookups(self, table: Table) -> Statements:
        """Create the lookup tables of open enums where they are missing."""
        statements: Statements = []
        for column in self.facts.lookup_columns(table):
            bare = f"{table.name}__{column.name}"
            key = identifier(f"pk_{self.facts.bare_name(table.namespace, bare)}")
            statements.append(
                f"CREATE TABLE IF NOT EXISTS {self.facts.lookup_table(table, column)}"
                f" (id integer NOT NULL AUTO_INCREMENT, {self.lookup_value()}, CONSTRAINT {key} PRIMARY KEY (id),"
                f" CONSTRAINT {identifier('uq_' + bare)} UNIQUE (value))"
            )
        return statements

    def lookup_value(self) -> str:
        """Define the column of a lookup table that has the values."""
        return f"value varchar(64) CHARACTER SET utf8mb4 COLLATE {self.exact} NOT NULL"

    def refer(self, table: Table, column: Column) -> str:
        """Bind an open enum to its lookup table by a foreign key."""
        return f"ALTER TABLE {self.facts.full_name(table)} ADD CONSTRAINT {self._bound(table, column)}"

    def _bound(self, table: Table, column: Column) -> str:
        name, lookup = identifier(self.reference(table, column)), self.facts.lookup_table(table, column)
        return f"{name} FOREIGN KEY ({identifier(column.name)}) REFERENCES {lookup} (id)"

    def converts(self, table: Table, before: Column, after: Column) -> bool:  # noqa: ARG002
        """Whether the values of a column can be kept when its type changes."""
        return alters(before.type, after.type)

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:
        """Whether an existing column has the type that the schema wants, and no foreign key that it does not want."""
        if column.type.kind is not TypeKind.OPEN_ENUM and existing.reference == self.reference(table, column):
            return False
        key = column.name in {each.name for each in table.key}
        return plain_type(self.type(column.type, key=key)) == plain_type(existing.type)

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column with its lookup table."""
        table = plan.table
        lookups = self.create_lookups(replace(table, key=(), value=(column,)))
        refer = [self.refer(table, column)] if column.type.kind is TypeKind.OPEN_ENUM else []
        add = f"ALTER TABLE {self.facts.full_name(table)} ADD COLUMN {self.definition(table, column)}"
        return [*lookups, add, *refer]

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type, and its lookup table if it has one."""
        bound = plan.existing.columns[column.name].reference == self.reference(plan.table, column)
        kind = TypeKind.OPEN_ENUM if bound else TypeKind.TEXT
        return self.drop_column(plan, replace(column, type=replace(column.type, kind=kind)))

    def restore_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Use a kept column again, with its default instead of nulls if it is required."""
        required = plan.existing.columns[column.name].required
        if required == column.required:
            return []
        if required:
            return [self._modify(plan.table, column)]
        name = identifier(column.name)
        update = (
            f"UPDATE {self.facts.full_name(plan.table)} SET {name} = {self._default_value(column)} WHERE {name} IS NULL"
        )
        return [update, self._modify(plan.table, column)]

    def _modify(self, table: Table, column: Column) -> str:
        return f"ALTER TABLE {self.facts.full_name(table)} MODIFY COLUMN {self.definition(table, column)}"

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""
        if before.type.kind is TypeKind.UUID and after.type.kind is TypeKind.TEXT:
            return self._uuid_as_text(plan.table, after)
        key = after in plan.table.key
        same = self.type(before.type, key=key) == self.type(after.type, key=key)
        return [] if same and before.required == after.required else [self._modify(plan.table, after)]

    def _uuid_as_text(self, table: Table, column: Column) -> Statements:
        """Write UUIDs as text into a new column, which then takes over the name."""
        live, name, as_text = self.facts.full_name(table), identifier(column.name), identifier(TEXT_OF_UUID)
        groups = ", ".join(f"substr(hex({name}), {start}, {length})" for start, length in _UUID_GROUPS)
        definition = self.definition(table, column).removeprefix(name)
        return [
            f"ALTER TABLE {live} ADD COLUMN {as_text} varchar(36)",
            f"UPDATE {live} SET {as_text} = lower(concat_ws('-', {groups})) WHERE {name} IS NOT NULL",
            f"ALTER TABLE {live} DROP COLUMN {name}, CHANGE COLUMN {as_text} {name}{definition}",
        ]

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column, and its lookup table if it has one."""
        live, name = self.facts.full_name(plan.table), identifier(column.name)
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return [f"ALTER TABLE {live} DROP COLUMN {name}"]
        reference = identifier(self.reference(plan.table, column))
        return [
            f"ALTER TABLE {live} DROP FOREIGN KEY {reference}, DROP COLUMN {name}",
            f"DROP TABLE IF EXISTS {self.facts.lookup_table(plan.table, column)}",
        ]

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Remove what an interrupted conversion left, alter the columns, and add foreign keys that are missing."""
        left = TEXT_OF_UUID in plan.existing.columns
        drop = (
            [f"ALTER TABLE {self.facts.full_name(plan.table)} DROP COLUMN {identifier(TEXT_OF_UUID)}"] if left else []
        )
        # A comment is a part of the definition: a column that was just added or altered has it already.
        defined = {new.name for _, new in plan.altered}
        commented = [
            self._modify(plan.table, column)
            for column in plan.commented
            if plan.before.column(column.name) is not None and column.name not in defined
        ]
        unbound = [
            self.refer(plan.table, column)
            for column in self.facts.lookup_columns(plan.table)
            if (existing := plan.existing.columns.get(column.name)) is not None
            and column not in plan.replaced
            and existing.reference != self.reference(plan.table, column)
        ]
        return [*drop, *column_changes(self, plan), *commented, *unbound]

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:  # noqa: ARG002
        """Create the replacement of a table; it gets its foreign keys, whose names are taken, later."""
        return [*self.create_lookups(after), self.create(after, self.replacement.name(after))]

    def create_staging(self, table: Table) -> Statements:
        """Create the staging table; open enums are text there."""
        texts = f"varchar(255) CHARACTER SET utf8mb4 COLLATE {self.exact}"
        columns = [
            f"{identifier(column.name)}"
            f" {texts if column.type.kind is TypeKind.OPEN_ENUM else self.type_of(table, column)} NULL"
            for column in table.columns
        ]
        meta = [
            '"dapkit_row" bigint NOT NULL AUTO_INCREMENT PRIMARY KEY',
            f"{identifier(META_TS)} datetime(6) NULL",
            f"{identifier(META_ACTION)} varchar(8) CHARACTER SET ascii COLLATE ascii_bin NULL",
        ]
        index = f'KEY "dapkit_key" ({listed(table.key)})'
        return [
            f"DROP TEMPORARY TABLE IF EXISTS {STAGING}",
            f"CREATE TEMPORARY TABLE {STAGING} ({', '.join([*meta, *columns, index])})",
        ]


class _Lookups:
    """Open enums are numbers of a lookup table; enums are ENUM."""

    def __init__(self, dialect: MySqlDialect) -> None:
        self._dialect = dialect

    def same_value(self, known: str, text: str) -> str:
        """Return a condition: a row of a lookup table has this text."""
        return f"{known}.value = {text}"

    def same_key(self, table: Table, live: str, staged: str) -> str:
        """Return a condition: a row and a staged one have the same key."""
        names = [(column, identifier(column.name)) for column in table.key]
        key = self._dialect.comparison.key
        return " AND ".join(f"{staged}.{name} = {key(table, column, f'{live}.{name}')}" for column, name in names)

    def exact(self, table: Table, column: Column, existing: ExistingTable) -> Statements:
        """Let a lookup table distinguish values by case."""
        if existing.columns["value"].collation == self._dialect.exact:
            return []
        lookup = self._dialect.facts.lookup_table(table, column)
        return [f"ALTER TABLE {lookup} MODIFY COLUMN {self._dialect.lookup_value()}"]


class _Replacement:
    """A new table is filled next to the old one and takes over its name."""

    def __init__(self, dialect: MySqlDialect) -> None:
        self._dialect = dialect

    def create_temporary(self, table: Table) -> Statements:
        """Create a temporary table."""
        name = self._dialect.facts.full_name(table)
        create = self._dialect.create(table, name).replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
        return [f"{self._dialect.facts.drop_temporary} {name}", create]

    def comparable_table(self, table: Table) -> Table:
        """Keep open enums as text, since a temporary table has no foreign keys, and fractions of seconds.

        Keys keep their type, so that an index finds them.
        """
        text = ColumnType(kind=TypeKind.TEXT, length=LONGEST_KEY)
        key, value = (
            tuple(replace(each, type=text) if each.type.kind is TypeKind.OPEN_ENUM else each for each in columns)
            for columns in (table.key, table.value)
        )
        exact = (
            replace(each, type=replace(each.type, precision=6)) if each.type.kind in _TEXT_LENGTHS else each
            for each in value
        )
        return replace(table, key=key, value=tuple(exact))

    def copy_indexes(self, table: Table, existing: ExistingTable) -> Statements:
        """Create the user's indexes on the replacement."""
        return [f"ALTER TABLE {self.name(table)} ADD {index.definition}" for index in existing.indexes]

    def name(self, table: Table) -> str:
        """Write the name of the replacement."""
        return self._names(table)[0]

    def leftovers(self, table: Table) -> tuple[str, str]:
        """Return the names of the replacement, and of the table that it has replaced."""
        key = hashlib.sha256(self._dialect.facts.full_name(table).encode()).hexdigest()[:16]
        return f"dapkit_new_{key}", f"dapkit_old_{key}"

    def _names(self, table: Table) -> tuple[str, str]:
        new, old = map(self._dialect.facts.state_table, self.leftovers(table))
        return new, old

    def take_over(self, table: Table) -> Statements:
        """Let the replacement take over the name; RENAME does both in one step, which readers never see half done."""
        (new, old), live = self._names(table), self._dialect.facts.full_name(table)
        refer = [self._dialect.refer(table, column) for column in self._dialect.facts.lookup_columns(table)]
        return [f"RENAME TABLE {live} TO {old}, {new} TO {live}", f"DROP TABLE {old}", *refer]


def _differs(column: Column, one: str, other: str) -> str:
    """Compare an actual value with an expected one, whose time has the fraction of a second.

    Both seconds next to such a time are right: MySQL rounds it, MariaDB cuts the fraction off, and rows may have moved
    from one to the other.
    """
    kind = column.type.kind
    if kind not in _TEXT_LENGTHS:
        return f"NOT ({one} <=> {other})"
    rounded = f"CAST({other} AS {'time' if kind is TypeKind.TIME else 'datetime'})"
    cut = f"LEFT(CAST({other} AS char), {_TEXT_LENGTHS[kind]})"
    return f"NOT ({one} <=> {rounded}) AND NOT (CAST({one} AS char) <=> {cut})"
