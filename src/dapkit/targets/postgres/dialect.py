"""PURE: PostgreSQL's SQL. Types, names and state tables are those of the official client, down to the comments."""

import re
from collections.abc import Iterable

from dapkit.model import JSON_KINDS, Column, ColumnType, Table, TypeKind
from dapkit.schema import difference
from dapkit.targets.postgres.state_tables import create_statement
from dapkit.targets.sql.dialect import (
    MARKER_LENGTH,
    SERVER_TYPES,
    STATE_SCHEMA,
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
    text_literal,
)
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable

_TYPES = SERVER_TYPES | {
    TypeKind.FLOAT32: "real",
    TypeKind.FLOAT64: "double precision",
    TypeKind.BOOLEAN: "boolean",
    TypeKind.DATETIME: "timestamp",
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


class PostgresDialect:
    """PostgreSQL's SQL."""

    # Scratch tables are temporary: that takes no right to create schemas, and several sessions can have one each.
    facts = DialectFacts(
        product="PostgreSQL",
        placeholder="%s",
        lock_clause=" FOR UPDATE",
        scratch="pg_temp",
        newest='pg_temp."dapkit_newest"',
    )
    lookups = replacement = None
    """The numbers of open enums are looked up while their texts are copied into the staging table."""
    restore_column = no_statements

    def __init__(self) -> None:
        self.comparison = Comparison(
            hashed=lambda values: f"(hashtextextended(concat_ws('|', {', '.join(values)}), 0) & {2**63 - 1})",
            comparable=self._enum_as_text,
            exact=self._enum_as_text,
            key=self._enum_as_text,
            keeps_json_as_text=lambda column: False,  # noqa: ARG005
        )

    def _enum_as_text(self, table: Table, column: Column, value: str) -> str:
        """Write an enum as text: the enums of two tables are of different types, and numbered differently."""
        if column.type.kind is TypeKind.OPEN_ENUM:
            lookup = self.facts.lookup_table(table, column)
            return f"(SELECT lookup.value FROM {lookup} AS lookup WHERE lookup.id = {value})"
        if self.type_of(table, column).startswith('"'):
            return f"{value}::text" + ("[]" if column.type.kind is TypeKind.ARRAY else "")
        return value

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
                return self.facts.lookup_table(table, name)
            case TypeKind.ARRAY if type_.items is not None and type_.items.kind not in JSON_KINDS:
                items = type_.items if type_.items.kind is not TypeKind.OPEN_ENUM else ColumnType(kind=TypeKind.TEXT)
                return f"{self.column_type(table, name, items)}[]"
            case TypeKind.ARRAY:
                return "jsonb"
        return _TYPES[type_.kind]

    def _default(self, column: Column) -> str:
        """Return the DEFAULT of a column with a space before it; the number of an open enum's value is not known."""
        if column.default is None or column.type.kind is TypeKind.OPEN_ENUM:
            return ""
        if column.type.kind is not TypeKind.DATETIME:
            return f" DEFAULT {self.facts.default_text(column)}"
        return f" DEFAULT {text_literal(default_time(column).isoformat(' '))}"

    def _definition(self, table: Table, column: Column) -> str:
        required = " NOT NULL" if column.required else ""
        return f"{identifier(column.name)} {self.type_of(table, column)}{self._default(column)}{required}"

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing, one process at a time."""
        return [create_statement(identifier(STATE_SCHEMA))]

    def create_namespace(self, namespace: str) -> Statements:
        """Create a schema only if it is missing: the right to create one is needed only then."""
        if namespace == self.facts.scratch:
            return []
        name = identifier(namespace)
        missing = f"to_regnamespace({text_literal(name)}) IS NULL"
        return [f"DO $$BEGIN IF {missing} THEN CREATE SCHEMA {name}; END IF; END$$"]

    def clear_leftovers(self, table: Table) -> Statements:
        """Remove or repair what the official `dropdb` leaves: enum types, lookup tables without unique keys."""
        types = [
            f"DROP TYPE IF EXISTS {self.facts.lookup_table(table, name)}"
            for column in table.columns
            for name in enum_types(column.name, column.type)
        ]
        return types + [self._key_again(table, each) for each in table.columns if each.type.kind is TypeKind.OPEN_ENUM]

    def _key_again(self, table: Table, column: Column) -> str:
        name, key = self.facts.lookup_table(table, column), identifier(f"uq_{table.name}__{column.name}")
        found = f"SELECT FROM pg_class WHERE oid = to_regclass({text_literal(name)}) AND NOT EXISTS (SELECT"
        keyless = f"{found} FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'u')"
        add = f"ALTER TABLE {name} ADD CONSTRAINT {key} UNIQUE (value)"
        return f"DO $$BEGIN IF EXISTS ({keyless}) THEN {add}; END IF; END$$"

    def create_table(self, table: Table) -> Statements:
        """Create a table with its enum types, lookup tables and comments; columns with a default come last."""
        columns = ", ".join(self._definition(table, column) for column in defaults_last(table.columns))
        document = table.schema.document
        title = document.get("title") or document.get("description")
        comments = (
            [f"COMMENT ON TABLE {self.facts.full_name(table)} IS {text_literal(title)}"]
            if isinstance(title, str)
            else []
        )
        comments += [self._comment(table, column) for column in table.columns if column.comment]
        dependants = [statement for column in table.columns for statement in self._create_dependant(table, column)]
        return [*dependants, f"CREATE TABLE {self.facts.full_name(table)} ({columns})", *comments]

    def _comment(self, table: Table, column: Column) -> str:
        text = "NULL" if column.comment is None else text_literal(column.comment)
        return f"COMMENT ON COLUMN {self.facts.full_name(table)}.{identifier(column.name)} IS {text}"

    def _create_dependant(self, table: Table, column: Column) -> Statements:
        """Create the enum type or the lookup table of a column that needs one, with its values."""
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return [
                f"CREATE TYPE {self.facts.lookup_table(table, name)} AS ENUM ({', '.join(map(text_literal, values))})"
                for name, values in enum_types(column.name, column.type).items()
            ]
        name, bare = self.facts.lookup_table(table, column), f"{table.name}__{column.name}"
        definition = (
            f"CREATE TABLE IF NOT EXISTS {name} (id integer NOT NULL GENERATED BY DEFAULT AS IDENTITY,"
            f" value varchar(64) NOT NULL,"
            f" CONSTRAINT {identifier('pk_' + bare)} PRIMARY KEY (id),"
            f" CONSTRAINT {identifier('uq_' + bare)} UNIQUE (value))"
        )
        return [definition, *self._add_values(table, column, column.type.values)]

    def _add_values(self, table: Table, column: Column, values: Iterable[str]) -> Statements:
        """Add values to a lookup table."""
        rows = ", ".join(f"({text_literal(value)})" for value in values)
        name = self.facts.lookup_table(table, column)
        return [f"INSERT INTO {name} (value) VALUES {rows} ON CONFLICT (value) DO NOTHING"] if rows else []

    def _refer(self, table: Table, column: Column) -> Statements:
        """Bind a column of numbers to its lookup table by a foreign key."""
        if column.type.kind is not TypeKind.OPEN_ENUM:
            return []
        name = self._reference(table, column)
        return [
            f"ALTER TABLE {self.facts.full_name(table)} ADD CONSTRAINT {name} FOREIGN KEY ({identifier(column.name)})"
            f" REFERENCES {self.facts.lookup_table(table, column)} (id)"
        ]

    def _reference(self, table: Table, column: Column) -> str:
        return identifier(f"fk_{table.name}_{column.name}")

    def _reference_names(self, table: Table) -> list[str]:
        return [self._reference(table, column) for column in table.columns if column.type.kind is TypeKind.OPEN_ENUM]

    def _key_name(self, table: Table) -> str:
        return identifier(f"pk_{table.name}")

    def add_key(self, table: Table) -> Statements:
        """Add the primary key and the references to lookup tables to a table that is filled."""
        key = f"ADD CONSTRAINT {self._key_name(table)} PRIMARY KEY ({listed(table.key)})"
        references = [statement for column in table.columns for statement in self._refer(table, column)]
        return [f"ALTER TABLE {self.facts.full_name(table)} {key}", *references]

    def converts(self, table: Table, before: Column, after: Column) -> bool:
        """Whether the values of a column can be kept when its type changes."""
        old, new = self.type_of(table, before), self.type_of(table, after)
        numbered = TypeKind.OPEN_ENUM in (before.type.kind, after.type.kind)
        if old == new and (before.type.kind is after.type.kind or not numbered):
            known = enum_types(after.name, after.type).get(after.name, ())
            return set(enum_types(before.name, before.type).get(before.name, ())) <= set(known)
        return _fits(before.type, old, after.type, new)

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:
        """Whether an existing column has the type that the schema wants, with the same values if it is an enum."""
        type_ = self.type_of(table, column)
        if existing.values:
            wanted = enum_types(column.name, column.type).get(column.name)
            is_array = type_.endswith("[]") == existing.type.endswith("[]")
            return type_.startswith('"') and wanted == existing.values and is_array
        name = re.match(r"[a-z]+", type_)
        return name is not None and _FORMATTED.get(name[0], name[0]) + type_[name.end() :] == existing.type

    def commit_first(self, before: Table, after: Table) -> Statements:
        """Add the new values of enums: no transaction may use them that adds them."""
        types = [
            (enum_types(old.name, old.type), enum_types(new.name, new.type))
            for old, new in difference(before, after).altered
        ]
        return [
            f"ALTER TYPE {self.facts.lookup_table(after, name)} ADD VALUE IF NOT EXISTS {text_literal(value)}"
            for old, new in types
            for name in old.keys() & new.keys()
            for value in new[name]
            if value not in old[name]
        ]

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column with its enum type or lookup table."""
        return [*self._add_column(plan.table, column), *self._refer(plan.table, column)]

    def _add_column(self, table: Table, column: Column) -> Statements:
        definition = f"ALTER TABLE {self.facts.full_name(table)} ADD COLUMN {self._definition(table, column)}"
        return [*self._create_dependant(table, column), definition]

    def clear_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove an existing column of another type."""
        return self._clear(plan.table, column)

    def _clear(self, table: Table, column: Column) -> Statements:
        names = [column.name, *enum_types(column.name, column.type)]
        return [
            f"ALTER TABLE {self.facts.full_name(table)} DROP COLUMN IF EXISTS {identifier(column.name)}",
            f"DROP TABLE IF EXISTS {self.facts.lookup_table(table, column)}",
            *(f"DROP TYPE IF EXISTS {self.facts.lookup_table(table, name)}" for name in dict.fromkeys(names)),
        ]

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""
        table, name = plan.table, identifier(after.name)
        alter = f"ALTER TABLE {self.facts.full_name(table)} ALTER COLUMN {name}"
        statements = [f"{alter} DROP NOT NULL"] if before.required and not after.required else []
        old, new = self.type_of(table, before), self.type_of(table, after)
        open_enums = [each.type.kind is TypeKind.OPEN_ENUM for each in (before, after)]
        if all(open_enums):
            added = [value for value in after.type.values if value not in before.type.values]
            return [*statements, *self._add_values(table, after, added)]
        if old == new and not any(open_enums):
            return statements
        change = f"{alter} SET DATA TYPE {new} USING {name}::{new}"
        return [*statements, change, *self._drop_dependant(table, before)]

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column, and what was created for it."""
        drop = f"ALTER TABLE {self.facts.full_name(plan.table)} DROP COLUMN {identifier(column.name)}"
        return [drop, *self._drop_dependant(plan.table, column)]

    def _drop_dependant(self, table: Table, column: Column) -> Statements:
        if column.type.kind is TypeKind.OPEN_ENUM:
            return [f"DROP TABLE IF EXISTS {self.facts.lookup_table(table, column)}"]
        names = enum_types(column.name, column.type)
        return [f"DROP TYPE IF EXISTS {self.facts.lookup_table(table, name)}" for name in names]

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Alter the columns, then their comments; the driver takes views out of the way."""
        return [*column_changes(self, plan), *(self._comment(plan.table, column) for column in plan.commented)]

    def rebuild(self, before: Table, after: Table, existing: ExistingTable) -> Statements:  # noqa: ARG002
        """Empty a table and alter it, without its key, into anything: views, grants and indexes still refer to it."""
        alter = f"ALTER TABLE {self.facts.full_name(after)}"
        change = difference(before, after)
        statements = [
            f"TRUNCATE {self.facts.full_name(after)}",
            f"{alter} DROP CONSTRAINT IF EXISTS {self._key_name(after)}",
        ]
        references = [name for table in (before, after) for name in self._reference_names(table)]
        statements += [f"{alter} DROP CONSTRAINT IF EXISTS {name}" for name in dict.fromkeys(references)]
        for column in change.added:
            statements += [*self._clear(after, column), *self._add_column(after, column)]
        for old, new in change.altered:
            statements += self._remake_column(after, old, new)
        for column in change.dropped:
            statements.append(f"{alter} ALTER COLUMN {identifier(column.name)} DROP NOT NULL")
        known = {column.name: column.comment for column in before.columns}
        return statements + [
            self._comment(after, column) for column in after.columns if column.comment != known.get(column.name)
        ]

    def _remake_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column of an empty table another type."""
        name = identifier(after.name)
        column = f"ALTER TABLE {self.facts.full_name(table)} ALTER COLUMN {name}"
        nullable = f"{column} {'SET' if after.required else 'DROP'} NOT NULL"
        types = (enum_types(before.name, before.type), enum_types(after.name, after.type))
        if self.type_of(table, before) == self.type_of(table, after) and types[0] == types[1]:
            return [nullable]
        default = self._default(after)
        return [
            f"{column} DROP DEFAULT",
            f"{column} SET DATA TYPE text USING NULL",
            *self._drop_dependant(table, before),
            *self._create_dependant(table, after),
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
