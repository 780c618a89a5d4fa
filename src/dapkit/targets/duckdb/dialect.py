"""PURE: DuckDB's SQL. Enums are texts; the merge keeps keys unique, since an index would cost more than the load."""

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import read_tsv, unescaped
from dapkit.errors import UnalterableError
from dapkit.model import Column, Kind, Table, Type
from dapkit.targets.dialect import BOOKS, Dialect, Statements

__all__ = ["DuckDbDialect"]

_TYPES = {
    Kind.INT16: "SMALLINT",
    Kind.INT32: "INTEGER",
    Kind.INT64: "BIGINT",
    Kind.FLOAT32: "REAL",
    Kind.FLOAT64: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.DATETIME: "TIMESTAMP",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.UUID: "UUID",
    Kind.OBJECT: "JSON",
    Kind.FREE: "JSON",
}
_FIRST, _LAST = "TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
_FAR = r"'^[+-]|^0000-'"


class DuckDbDialect(Dialect):
    """DuckDB's SQL."""

    def create_books(self) -> Statements:
        """Make the books, laid out as the official client's, and our own tables."""
        sequence = f"{self.identifier(BOOKS)}.table_sync_id"
        return [
            f"CREATE SCHEMA IF NOT EXISTS {self.identifier(BOOKS)}",
            f"CREATE SEQUENCE IF NOT EXISTS {sequence}",
            f"CREATE TABLE IF NOT EXISTS {self.book('table_sync')} (id BIGINT DEFAULT nextval('{BOOKS}.table_sync_id'),"
            " source_namespace VARCHAR NOT NULL, source_table VARCHAR NOT NULL, timestamp TIMESTAMP NOT NULL,"
            " schema_version BIGINT NOT NULL, target_schema VARCHAR, target_table VARCHAR NOT NULL,"
            " schema_description_format VARCHAR NOT NULL, schema_description VARCHAR NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.book('database_version')} (version BIGINT)",
            f"CREATE TABLE IF NOT EXISTS {self.book('dapkit_origin')} (origin VARCHAR NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {self.book('dapkit_history')} (time TIMESTAMP NOT NULL,"
            " source_namespace VARCHAR NOT NULL, source_table VARCHAR NOT NULL, event VARCHAR NOT NULL,"
            " detail VARCHAR)",
        ]

    def type_of(self, table: Table, column: Column) -> str:  # noqa: ARG002, of no matter here
        """Return the type of a column."""
        return self._type(column.type)

    def _type(self, type_: Type) -> str:
        if type_.kind is Kind.DECIMAL:
            return f"DECIMAL({type_.precision},{type_.scale})"
        if type_.kind is Kind.ARRAY:
            assert type_.items is not None
            return "JSON" if type_.items.kind in (Kind.OBJECT, Kind.FREE) else f"{self._type(type_.items)}[]"
        return _TYPES.get(type_.kind, "VARCHAR")

    def create_table(self, table: Table) -> Statements:
        """Make a table with its comments."""
        comments = [f"COMMENT ON TABLE {self.of(table)} IS {self.literal(table.comment)}"] if table.comment else []
        comments += [
            f"COMMENT ON COLUMN {self.of(table)}.{self.identifier(column.name)} IS {self.literal(column.comment)}"
            for column in table.columns
            if column.comment
        ]
        return [*super().create_table(table), *comments]

    def add_key(self, table: Table) -> Statements:  # noqa: ARG002, see the module
        """Add nothing."""
        return []

    def add_column(self, table: Table, column: Column) -> Statements:
        """Add a column; DuckDB takes no constraint with it."""
        name = self.identifier(column.name)
        definition = f"{name} {self.type_of(table, column)}{self.default(column)}"
        required = [f"ALTER TABLE {self.of(table)} ALTER COLUMN {name} SET NOT NULL"] if column.required else []
        return [f"ALTER TABLE {self.of(table)} ADD COLUMN IF NOT EXISTS {definition}", *required]

    def alter_column(self, table: Table, before: Column, after: Column) -> Statements:
        """Give a column its new type or requiredness."""
        old, new = self.type_of(table, before), self.type_of(table, after)
        if after.required and not before.required:
            raise UnalterableError(f"Column {after.name} became required", table=table.name)
        place = f"ALTER TABLE {self.of(table)} ALTER COLUMN {self.identifier(after.name)}"
        statements = [f"{place} DROP NOT NULL"] if before.required and not after.required else []
        if old == new:
            return statements
        if (old, new) not in _WIDENED and new != "VARCHAR":
            raise UnalterableError(f"Column {after.name} cannot go from {old} to {new}", table=table.name)
        return [*statements, f"{place} SET DATA TYPE {new}"]

    def upsert(self, table: Table, staging: str, *, action: bool) -> Statements:
        """Delete the rows of the same keys, then insert."""
        same = self._same_key(table, "staged")
        where = f" WHERE {self.identifier(META_ACTION)} <> 'D'" if action else ""
        columns = self.listed(table.columns)
        return [
            f"DELETE FROM {self.of(table)} USING {staging} AS staged WHERE {same}",
            f"INSERT INTO {self.of(table)} ({columns}) SELECT {columns} FROM {staging}{where}",
        ]

    def stage(self, table: Table, header: Header, paths: list[str], staging: str) -> str:
        """Read the files into a temporary table, as its columns' types want it."""
        there = {name.partition(".")[2]: name for name in header.names if not name.startswith("meta.")}
        columns = [
            f"{self._converted(column, there.get(column.name))} AS {self.identifier(column.name)}"
            for column in table.columns
        ]
        meta = [self.identifier(name) for name in header.names if name in (META_TS, META_ACTION)]
        return (
            f"CREATE OR REPLACE TEMPORARY TABLE {staging} AS"
            f" SELECT {', '.join([*meta, *columns])} FROM {read_tsv(paths, header)}"
        )

    def count_repaired(self, table: Table, header: Header, paths: list[str]) -> str | None:
        """Count by column the values that are repaired; None when there is no column that may need it."""
        far = [column for column in table.columns if column.type.kind is Kind.DATETIME]
        there = {name.partition(".")[2]: name for name in header.names if not name.startswith("meta.")}
        counts = [
            f"count(*) FILTER (WHERE regexp_matches({self.identifier(there[column.name])}, {_FAR}))"
            f" AS {self.identifier(column.name)}"
            for column in far
            if column.name in there
        ]
        return f"SELECT {', '.join(counts)} FROM {read_tsv(paths, header)}" if counts else None

    def _converted(self, column: Column, source: str | None) -> str:
        """Return an expression for a column from the text in the file, or null where the file has none."""
        if source is None:
            return f"CAST(NULL AS {self._type(column.type)})"
        text = self.identifier(source)
        kind = column.type.kind
        if kind is Kind.DATETIME:
            far = f"CASE WHEN starts_with({text}, '+') THEN {_LAST} ELSE {_FIRST} END"
            return f"CASE WHEN regexp_matches({text}, {_FAR}) THEN {far} ELSE CAST({text} AS TIMESTAMP) END"
        if kind is Kind.ARRAY and self._type(column.type) != "JSON":
            return f"CAST(CAST({unescaped(text)} AS JSON) AS {self._type(column.type)})"
        if self._type(column.type) in ("VARCHAR", "JSON"):
            return unescaped(text)
        return f"CAST({text} AS {self._type(column.type)})"


_WIDENED = {
    ("SMALLINT", "INTEGER"), ("SMALLINT", "BIGINT"), ("INTEGER", "BIGINT"), ("REAL", "DOUBLE"),
    ("INTEGER", "DOUBLE"), ("SMALLINT", "REAL"), ("SMALLINT", "DOUBLE"), ("DATE", "TIMESTAMP"),
}  # fmt: skip
"""Types that hold every value of another, in pairs of what was and what may come."""
