"""PURE: DuckDB's SQL. Enums are texts; the merge keeps keys unique, since an index would cost more than the load."""

from collections.abc import Sequence

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import MAX_LINE_SIZE, has_unusual_year, original_values, read_tsv, unescape_sql
from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import widens
from dapkit.targets.base import Sample
from dapkit.targets.sql.dialect import BUCKETS, STATE_SCHEMA, Dialect, Statements, threshold

__all__ = ["ORIGINALS", "DuckDbDialect"]

ORIGINALS = "dapkit_originals"
"""A column of the temporary table: what `dapkit.decode.tsv_sql.originals` says of the row."""

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
"""First and last value of kinds whose years must have four digits: DuckDB holds more of them, few readers do."""


class DuckDbDialect(Dialect):
    """DuckDB's SQL; files are read whose lines have no more bytes than `longest_line`."""

    def __init__(self, longest_line: int = MAX_LINE_SIZE) -> None:
        self._longest_line = longest_line

    def create_state_tables(self) -> Statements:
        """Make the books, laid out as the official client's, and our own tables."""
        sequence = f"{self.identifier(STATE_SCHEMA)}.table_sync_id"
        return [
            f"CREATE SCHEMA IF NOT EXISTS {self.identifier(STATE_SCHEMA)}",
            f"CREATE SEQUENCE IF NOT EXISTS {sequence}",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('table_sync')} ("
            f"id BIGINT DEFAULT nextval('{STATE_SCHEMA}.table_sync_id'),"
            " source_namespace VARCHAR NOT NULL, source_table VARCHAR NOT NULL, timestamp TIMESTAMP NOT NULL,"
            " schema_version BIGINT NOT NULL, target_schema VARCHAR, target_table VARCHAR NOT NULL,"
            " schema_description_format VARCHAR NOT NULL, schema_description VARCHAR NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('database_version')} (version BIGINT)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('dapkit_origin')} (origin VARCHAR NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.state_table('dapkit_history')} (time TIMESTAMP NOT NULL,"
            " source_namespace VARCHAR NOT NULL, source_table VARCHAR NOT NULL, event VARCHAR NOT NULL,"
            " detail VARCHAR)",
        ]

    def type_of(self, table: Table, column: Column) -> str:  # noqa: ARG002, of no matter here
        """Return the type of a column."""
        return self._type(column.type)

    def _type(self, type_: ColumnType) -> str:
        if type_.kind is TypeKind.DECIMAL:
            return f"DECIMAL({type_.precision},{type_.scale})"
        if type_.kind is TypeKind.ARRAY:
            assert type_.items is not None
            return "JSON" if type_.items.kind in (TypeKind.OBJECT, TypeKind.UNTYPED) else f"{self._type(type_.items)}[]"
        return _TYPES.get(type_.kind, "VARCHAR")

    def create_table(self, table: Table) -> Statements:
        """Make a table with its comments."""
        return [*super().create_table(table), *self._comments(table)]

    def _comments(self, table: Table) -> Statements:
        comments = [f"COMMENT ON TABLE {self.of(table)} IS {self.literal(table.comment)}"] if table.comment else []
        comments += [
            f"COMMENT ON COLUMN {self.of(table)}.{self.identifier(column.name)} IS {self.literal(column.comment)}"
            for column in table.columns
            if column.comment
        ]
        return comments

    def unindexed(self, table: Table) -> Statements:
        """Make a table anew with all its rows: DuckDB alters none that has indexes, nor one that just lost them."""
        live, beside = self.of(table), self.name(table.namespace, "dapkit_anew")
        alter = f"ALTER TABLE {live} ALTER COLUMN"
        defaults = [column for column in table.columns if column.default is not None]
        return [
            f"CREATE TABLE {beside} AS SELECT * FROM {live}",
            f"DROP TABLE {live}",
            f"ALTER TABLE {beside} RENAME TO {self.identifier(table.name)}",
            *(f"{alter} {self.identifier(column.name)} SET{self.default(column)}" for column in defaults),
            *(f"{alter} {self.identifier(column.name)} SET NOT NULL" for column in table.columns if column.required),
            *self._comments(table),
        ]

    def add_key(self, table: Table) -> Statements:  # noqa: ARG002, see the module
        """Add nothing."""
        return []

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column. One that was dropped and kept takes its place again, with what still fits its type."""
        name, type_ = self.identifier(column.name), self.type_of(table, column)
        place = f"ALTER TABLE {self.of(table)} ALTER COLUMN {name}"
        value = f"TRY_CAST({name} AS {type_})"
        if column.required:
            value = f"coalesce({value}, {self.default_value(column)})"
        return [
            f"ALTER TABLE {self.of(table)} ADD COLUMN IF NOT EXISTS {name} {type_}{self.default(column)}",
            f"{place} DROP DEFAULT",
            f"{place} SET DATA TYPE {type_} USING {value}",
            *([f"{place} SET{self.default(column)}"] if column.default is not None else []),
            *([f"{place} SET NOT NULL"] if column.required else []),
        ]

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness."""
        old, new = self.type_of(table, before), self.type_of(table, after)
        if after.required and not before.required:
            raise SchemaChangeNotSupportedError(f"Column {after.name} became required", table=table.name)
        place = f"ALTER TABLE {self.of(table)} ALTER COLUMN {self.identifier(after.name)}"
        statements = [f"{place} DROP NOT NULL"] if before.required and not after.required else []
        if old == new:
            return statements
        if not widens(before.type, after.type):
            raise SchemaChangeNotSupportedError(f"Column {after.name} cannot go from {old} to {new}", table=table.name)
        return [*statements, f"{place} SET DATA TYPE {new}"]

    def upsert(self, table: Table, staging: str, *, action: bool) -> Statements:
        """Delete the rows of the same keys, then insert."""
        same = self.same_key(table, "staged", self.of(table))
        where = f" WHERE {self.identifier(META_ACTION)} <> 'D'" if action else ""
        columns = self.listed(table.columns)
        return [
            f"DELETE FROM {self.of(table)} USING {staging} AS staged WHERE {same}",
            f"INSERT INTO {self.of(table)} ({columns}) SELECT {columns} FROM {staging}{where}",
        ]

    def is_loose(self, table: Table, column: Column) -> bool:  # noqa: ARG002, of no matter here
        """Whether a column keeps JSON as text."""
        return self._type(column.type) == "JSON"

    def sampled(self, keys: Sequence[str], sample: Sample) -> str:
        """Return a condition that picks rows by a hash of their keys."""
        return f"hash({', '.join([self.literal(sample.seed), *keys])}) % {BUCKETS} < {threshold(sample)}"

    def age(self) -> str:
        """Return the time of a row, which is text in the temporary table."""
        return f"CAST({super().age()} AS TIMESTAMP)"

    def stage(self, table: Table, header: Header, paths: list[str], staging: str) -> str:
        """Read the files into a temporary table, as its columns' types want it, with the originals of what is odd."""
        columns = [
            f"{value} AS {self.identifier(column.name)}"
            for column, value in zip(table.columns, self._values(table, header), strict=True)
        ]
        meta = [self.identifier(name) for name in header.names if name in (META_TS, META_ACTION)]
        odd = f"{self._originals(table, header)} AS {ORIGINALS}"
        return (
            f"CREATE OR REPLACE TEMPORARY TABLE {staging} AS"
            f" SELECT {', '.join([*meta, *columns, odd])} FROM {self._read(paths, header)}"
        )

    def load(self, table: Table, header: Header, paths: list[str]) -> str:
        """Read the files straight into the table."""
        values = ", ".join(self._values(table, header))
        columns = self.listed(table.columns)
        return f"INSERT INTO {self.of(table)} ({columns}) SELECT {values} FROM {self._read(paths, header)}"

    def _read(self, paths: list[str], header: Header) -> str:
        return read_tsv(paths, header, self._longest_line)

    def may_be_repaired(self, table: Table) -> str | None:
        """Find out whether the table has values that a repair may have made; None where there is nothing to repair."""
        ends = [
            f"{self.identifier(column.name)} IN ({', '.join(_ENDS[column.type.kind])})"
            for column in table.columns
            if column.type.kind in _ENDS
        ]
        return f"SELECT 1 FROM {self.of(table)} WHERE {' OR '.join(ends)} LIMIT 1" if ends else None

    def read_originals(self, table: Table, header: Header, paths: list[str]) -> str:
        """Select from the files the originals of what is odd."""
        odd = f"SELECT {self._originals(table, header)} AS {ORIGINALS} FROM {self._read(paths, header)}"
        return f"SELECT {ORIGINALS} FROM ({odd}) WHERE {ORIGINALS} IS NOT NULL"

    def _originals(self, table: Table, header: Header) -> str:
        odd = {
            column.name: has_unusual_year(self.identifier(source))
            for column in table.columns
            if column.type.kind in _ENDS and (source := header.source(column.name))
        }
        return original_values(table, header, odd)

    def _values(self, table: Table, header: Header) -> list[str]:
        return [self._converted(column, header.source(column.name)) for column in table.columns]

    def stage_nothing(self, table: Table, staging: str) -> str:
        """Make the temporary table without rows."""
        columns = ", ".join(
            f"CAST(NULL AS {self.type_of(table, column)}) AS {self.identifier(column.name)}" for column in table.columns
        )
        meta = f"'' AS {self.identifier(META_TS)}, '' AS {self.identifier(META_ACTION)}"
        return f"CREATE OR REPLACE TEMPORARY TABLE {staging} AS SELECT {meta}, {columns} LIMIT 0"

    def _converted(self, column: Column, source: str | None) -> str:
        """Return an expression for a column from the text in the file, or null where the file has none."""
        type_ = self._type(column.type)
        if source is None:
            return f"CAST(NULL AS {type_})"
        text = self.identifier(source)
        if column.type.kind in _ENDS:
            first, last = _ENDS[column.type.kind]
            clamped = f"CASE WHEN starts_with({text}, '+') THEN {last} ELSE {first} END"
            return f"CASE WHEN {has_unusual_year(text)} THEN {clamped} ELSE CAST({text} AS {type_}) END"
        if column.type.kind is TypeKind.ARRAY and type_ != "JSON":
            return f"CAST(CAST({unescape_sql(text)} AS JSON) AS {type_})"
        if type_ in ("VARCHAR", "JSON"):
            return unescape_sql(text)
        return f"CAST({text} AS {type_})"
