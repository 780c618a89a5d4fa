"""PURE: DuckDB's SQL. Enums are texts; merging keeps keys unique, since an index would cost more than the load."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import MAX_LINE_SIZE, has_unusual_year, original_values, read_tsv, unescape_sql
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import widens
from dapkit.targets.sql.dialect import (
    STATE_SCHEMA,
    Comparison,
    DialectFacts,
    SchemaPlan,
    Statements,
    column_changes,
    identifier,
    listed,
    no_statements,
    recreate,
    text_literal,
)
from dapkit.targets.sql.introspection import ExistingColumn
from dapkit.targets.sql.state_tables import file_state_tables

STAGING = '"dapkit_staging"'
ORIGINALS = "dapkit_originals"
"""A column of the staging table: what `dapkit.decode.tsv_sql.original_values` says of the row."""

_TYPES = {
    TypeKind.INT16: "SMALLINT",
    TypeKind.INT32: "INTEGER",
    TypeKind.INT64: "BIGINT",
    TypeKind.FLOAT32: "REAL",
    TypeKind.FLOAT64: "DOUBLE",
    TypeKind.BOOLEAN: "BOOLEAN",
    TypeKind.DATETIME: "TIMESTAMP",
    TypeKind.DATE: "DATE",
    TypeKind.TIME: "TIME",
    TypeKind.UUID: "UUID",
    TypeKind.OBJECT: "JSON",
    TypeKind.UNTYPED: "JSON",
}
_ENDS = {
    TypeKind.DATETIME: ("TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"),
    TypeKind.DATE: ("DATE '0001-01-01'", "DATE '9999-12-31'"),
}
"""First and last value of kinds whose years must have four digits: DuckDB stores more, but few readers do."""


class DuckDbDialect:
    """DuckDB's SQL."""

    facts = DialectFacts(product="DuckDB", row_time='CAST("meta.ts" AS TIMESTAMP)')
    comparison = Comparison(
        hashed=lambda values: f"hash({', '.join(values)})",
        keeps_json_as_text=lambda column: type_text(column.type) == "JSON",
    )
    lookups = replacement = None
    clear_leftovers = add_key = commit_first = clear_column = no_statements
    rebuild = recreate

    def create_state_tables(self) -> Statements:
        """Create the state tables where they are missing."""
        id_ = f"BIGINT DEFAULT nextval('{STATE_SCHEMA}.table_sync_id')"
        return [
            *self.create_namespace(STATE_SCHEMA),
            f"CREATE SEQUENCE IF NOT EXISTS {identifier(STATE_SCHEMA)}.table_sync_id",
            *file_state_tables(self, id_=id_, text="VARCHAR", integer="BIGINT", time="TIMESTAMP"),
        ]

    def create_namespace(self, namespace: str) -> Statements:
        """Create the schema of a namespace."""
        return [f"CREATE SCHEMA IF NOT EXISTS {identifier(namespace)}"]

    def type_of(self, table: Table, column: Column) -> str:  # noqa: ARG002, types do not depend on the table here
        """Return the type of a column."""
        return type_text(column.type)

    def create_table(self, table: Table) -> Statements:
        """Create a table with its comments."""
        columns = ", ".join(self._definition(column) for column in table.columns)
        return [f"CREATE TABLE {self.facts.full_name(table)} ({columns})", *self._comments(table)]

    def _definition(self, column: Column) -> str:
        required = " NOT NULL" if column.required else ""
        return f"{identifier(column.name)} {type_text(column.type)}{self._default(column)}{required}"

    def _default(self, column: Column) -> str:
        return "" if column.default is None else f" DEFAULT {self.facts.default_text(column)}"

    def _comments(self, table: Table) -> Statements:
        live = self.facts.full_name(table)
        comments = [f"COMMENT ON TABLE {live} IS {text_literal(table.comment)}"] if table.comment else []
        return comments + [
            f"COMMENT ON COLUMN {live}.{identifier(column.name)} IS {text_literal(column.comment)}"
            for column in table.columns
            if column.comment
        ]

    def converts(self, table: Table, before: Column, after: Column) -> bool:
        """Whether the values of a column can be kept when its type changes."""
        return self.type_of(table, before) == self.type_of(table, after) or widens(before.type, after.type)

    def matches(self, table: Table, column: Column, existing: ExistingColumn) -> bool:  # noqa: ARG002
        """Whether an existing column has the type that the schema wants."""
        return existing.type == type_text(column.type)

    def add_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Add a column, or use one of the name again with the values that still fit its type."""
        name, type_ = identifier(column.name), type_text(column.type)
        live = self.facts.full_name(plan.table)
        alter = f"ALTER TABLE {live} ALTER COLUMN {name}"
        value = f"TRY_CAST({name} AS {type_})"
        if column.required:
            value = f"coalesce({value}, {self.facts.default_text(column)})"
        return [
            f"ALTER TABLE {live} ADD COLUMN IF NOT EXISTS {name} {type_}{self._default(column)}",
            f"{alter} DROP DEFAULT",
            f"{alter} SET DATA TYPE {type_} USING {value}",
            *([f"{alter} SET{self._default(column)}"] if column.default is not None else []),
            *([f"{alter} SET NOT NULL"] if column.required else []),
        ]

    restore_column = add_column

    def alter_column(self, plan: SchemaPlan, before: Column, after: Column) -> Statements:
        """Give a column its new type, or let it be NULL."""
        alter = f"ALTER TABLE {self.facts.full_name(plan.table)} ALTER COLUMN {identifier(after.name)}"
        statements = [f"{alter} DROP NOT NULL"] if before.required and not after.required else []
        retyped = type_text(before.type) != type_text(after.type)
        return [*statements, f"{alter} SET DATA TYPE {type_text(after.type)}"] if retyped else statements

    def drop_column(self, plan: SchemaPlan, column: Column) -> Statements:
        """Remove a column."""
        return [f"ALTER TABLE {self.facts.full_name(plan.table)} DROP COLUMN {identifier(column.name)}"]

    def alter_table(self, plan: SchemaPlan) -> Statements:
        """Alter a table, or a copy if it has indexes: DuckDB alters none that has, nor one that has just lost them."""
        statements = column_changes(self, plan)
        if not statements or not plan.existing.indexes:
            return statements
        live, copy = self.facts.full_name(plan.before), self.facts.name(plan.before.namespace, "dapkit_copy")
        alter = f"ALTER TABLE {live} ALTER COLUMN"
        columns = plan.before.columns
        return [
            f"CREATE TABLE {copy} AS SELECT * FROM {live}",
            f"DROP TABLE {live}",
            f"ALTER TABLE {copy} RENAME TO {identifier(plan.before.name)}",
            *(f"{alter} {identifier(each.name)} SET{self._default(each)}" for each in columns if each.default),
            *(f"{alter} {identifier(each.name)} SET NOT NULL" for each in columns if each.required),
            *self._comments(plan.before),
            *statements,
            *(index.definition for index in plan.existing.indexes),
        ]

    def stage_nothing(self, table: Table, staging: str) -> str:
        """Create an empty staging table."""
        columns = ", ".join(
            f"CAST(NULL AS {type_text(each.type)}) AS {identifier(each.name)}" for each in table.columns
        )
        meta = f"'' AS {identifier(META_TS)}, '' AS {identifier(META_ACTION)}"
        return f"CREATE OR REPLACE TEMPORARY TABLE {staging} AS SELECT {meta}, {columns} LIMIT 0"


def type_text(type_: ColumnType) -> str:
    """Write a type."""
    if type_.kind is TypeKind.DECIMAL:
        return f"DECIMAL({type_.precision},{type_.scale})"
    if type_.kind is TypeKind.ARRAY:
        assert type_.items is not None
        return "JSON" if type_.items.kind in (TypeKind.OBJECT, TypeKind.UNTYPED) else f"{type_text(type_.items)}[]"
    return _TYPES.get(type_.kind, "VARCHAR")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReader:
    """The SQL by which DuckDB reads the files of one load.

    Attributes:
        table: where the rows go.
        header: of the files.
        paths: of the files.
        longest_line: bytes of the longest line that is read.
    """

    table: Table
    header: Header
    paths: Sequence[str]
    longest_line: int = MAX_LINE_SIZE

    def stage(self, staging: str) -> str:
        """Read the files into a staging table, with the originals of values that are repaired."""
        columns = [
            f"{value} AS {identifier(column.name)}"
            for column, value in zip(self.table.columns, self._values(), strict=True)
        ]
        meta = [identifier(name) for name in self.header.names if name in (META_TS, META_ACTION)]
        odd = f"{self._originals()} AS {ORIGINALS}"
        return (
            f"CREATE OR REPLACE TEMPORARY TABLE {staging} AS"
            f" SELECT {', '.join([*meta, *columns, odd])} FROM {self._read()}"
        )

    def load(self, into: str) -> str:
        """Read the files straight into a table."""
        columns, values = listed(self.table.columns), ", ".join(self._values())
        return f"INSERT INTO {into} ({columns}) SELECT {values} FROM {self._read()}"

    def may_be_repaired(self, name: str) -> str | None:
        """Find out whether a table has values that a repair may have written; None where nothing is repaired."""
        ends = [
            f"{identifier(column.name)} IN ({', '.join(_ENDS[column.type.kind])})"
            for column in self.table.columns
            if column.type.kind in _ENDS
        ]
        return f"SELECT 1 FROM {name} WHERE {' OR '.join(ends)} LIMIT 1" if ends else None

    def read_originals(self) -> str:
        """Select the originals of values that are repaired from the files."""
        odd = f"SELECT {self._originals()} AS {ORIGINALS} FROM {self._read()}"
        return f"SELECT {ORIGINALS} FROM ({odd}) WHERE {ORIGINALS} IS NOT NULL"

    def _read(self) -> str:
        return read_tsv(self.paths, self.header, self.longest_line)

    def _originals(self) -> str:
        odd = {
            column.name: has_unusual_year(identifier(source))
            for column in self.table.columns
            if column.type.kind in _ENDS and (source := self.header.source(column.name))
        }
        return original_values(self.table, self.header, odd)

    def _values(self) -> list[str]:
        return [_converted(column, self.header.source(column.name)) for column in self.table.columns]


def _converted(column: Column, source: str | None) -> str:
    """Return an expression for a column from the text in the file, or null where the file has none."""
    type_ = type_text(column.type)
    if source is None:
        return f"CAST(NULL AS {type_})"
    text = identifier(source)
    if column.type.kind in _ENDS:
        first, last = _ENDS[column.type.kind]
        clamped = f"CASE WHEN starts_with({text}, '+') THEN {last} ELSE {first} END"
        return f"CASE WHEN {has_unusual_year(text)} THEN {clamped} ELSE CAST({text} AS {type_}) END"
    if column.type.kind is TypeKind.ARRAY and type_ != "JSON":
        return f"CAST(CAST({unescape_sql(text)} AS JSON) AS {type_})"
    if type_ in ("VARCHAR", "JSON"):
        return unescape_sql(text)
    return f"CAST({text} AS {type_})"
