r"""PURE: how the text of a file becomes the rows of a table, in PostgreSQL's SQL.

Most columns' text means the same to COPY as to the service. The others (lists, whose text is JSON, and open enums,
which are stored as numbers) are copied as text into a temporary table, named as in the file's header, and converted
from there. When a file is read carefully, all columns are copied as text, and values that the server cannot store are
repaired on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.model import JSON_KINDS, Column, ColumnType, Table, TypeKind
from dapkit.schema import UNSPECIFIED
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.sql.dialect import identifier, listed, text_literal

STAGING = "pg_temp.dapkit_staging"
RAW = "pg_temp.dapkit_raw"

_FAR = r"'^(\+|-|0000-)'"
_FIRST, _LAST = "0001-01-01", "9999-12-31"
# An odd number of backslashes begins an escape; an even number is so many backslashes.
_JSON_NUL = r"(?<!\\)((\\\\)*)\\u0000"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A column that may have values the server cannot store, their condition, and whether they can be repaired."""

    column: Column
    condition: str
    repairable: bool


@dataclass(frozen=True, slots=True)
class CopySql:
    """How files with one header are copied into one table.

    Attributes:
        careful: whether every value is checked, and repaired where needed.
    """

    dialect: PostgresDialect
    table: Table
    header: Header
    careful: bool = False

    @property
    def direct(self) -> bool:
        """Whether COPY may write into the table itself."""
        return not self.careful and not any(map(_converted_by_sql, self.columns))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table's columns that the file has."""
        return tuple(column for column in self.table.columns if self.header.source(column.name))

    def copy(self, into: str) -> str:
        """Write lines into a table of the final types."""
        names = (name if column is None else column for name, column in self._pairs())
        return f"COPY {into} ({listed(names)}) FROM STDIN"

    def copy_raw(self) -> str:
        """Write lines into the table of texts."""
        return f"COPY {RAW} FROM STDIN"

    def create_raw(self) -> list[str]:
        """Create the table of texts; unless files are read carefully, COPY converts there what it can."""
        natural = {
            column.name: self.dialect.type_of(self.table, column)
            for column in self.columns
            if not (self.careful or _converted_by_sql(column))
        }
        columns = ", ".join(f"{identifier(name)} {natural.get(column or '', 'text')}" for name, column in self._pairs())
        return [f"DROP TABLE IF EXISTS {RAW}", f"CREATE TEMPORARY TABLE dapkit_raw ({columns}) ON COMMIT DROP"]

    def add_values(self) -> list[str]:
        """Add the values of open enums that are new."""
        return [
            f"INSERT INTO {self.dialect.facts.lookup_table(self.table, column)} (value)"
            f" SELECT DISTINCT {self._raw(column)} FROM {RAW} AS raw WHERE {self._raw(column)} IS NOT NULL"
            " ON CONFLICT (value) DO NOTHING"
            for column in self.columns
            if column.type.kind is TypeKind.OPEN_ENUM
        ]

    def insert(self, into: str) -> str:
        """Convert the texts into rows; `meta` columns go with them into the temporary table only."""
        names = [name for name in self.header.names if into == STAGING and name in (META_TS, META_ACTION)]
        values = [f'raw."{name}"' + ("::timestamp" if name == META_TS else "") for name in names]
        names += [column.name for column in self.columns]
        values += [self.value(column) for column in self.columns]
        joins = "".join(
            f" LEFT JOIN {self.dialect.facts.lookup_table(self.table, column)} AS {self._lookup(column)}"
            f" ON {self._lookup(column)}.value = {self._raw(column)}"
            for column in self.columns
            if column.type.kind is TypeKind.OPEN_ENUM
        )
        selected = ", ".join(values)
        return f"INSERT INTO {into} ({listed(names)}) SELECT {selected} FROM {RAW} AS raw{joins}"

    def value(self, column: Column) -> str:
        """Return an expression for a column."""
        text = self._raw(column)
        if column.type.kind is TypeKind.OPEN_ENUM:
            return f"{self._lookup(column)}.id"
        if not (self.careful or _converted_by_sql(column)):
            return text
        return self._converted(column, column.type, text)

    def _converted(self, column: Column, type_: ColumnType, text: str) -> str:
        kind, target = type_.kind, self.dialect.column_type(self.table, column.name, type_)
        if kind is TypeKind.TEXT:
            return text  # an assignment rejects what is too long, a cast would cut it
        if kind is TypeKind.ARRAY and target != "jsonb":
            assert type_.items is not None
            item = self._converted(column, type_.items, "item")
            items = f"ARRAY(SELECT {item} FROM jsonb_array_elements_text({self._json(text)}::jsonb) AS list(item))"
            return f"CASE WHEN {text} IS NOT NULL THEN {items}::{target} END"
        if self.careful:
            text = self._repaired(type_, text)
        return f"({text})::{target}"

    def _repaired(self, type_: ColumnType, text: str) -> str:
        match type_.kind:
            case TypeKind.DATETIME:
                clamped = f"CASE WHEN {text} LIKE '+%' THEN '{_LAST} 23:59:59.999999' ELSE '{_FIRST} 00:00:00' END"
            case TypeKind.DATE:
                clamped = f"CASE WHEN {text} LIKE '+%' THEN '{_LAST}' ELSE '{_FIRST}' END"
            case TypeKind.ENUM:
                instead = text_literal(UNSPECIFIED) if UNSPECIFIED in type_.values else "NULL"
                return f"CASE WHEN {self._bad(type_, text)} THEN {instead} ELSE {text} END"
            case TypeKind.OBJECT | TypeKind.UNTYPED | TypeKind.ARRAY:
                return self._json(text)
            case _:
                return text
        return f"CASE WHEN {text} ~ {_FAR} THEN {clamped} ELSE {text} END"

    def _json(self, text: str) -> str:
        return rf"regexp_replace({text}, '{_JSON_NUL}', '\1', 'g')" if self.careful else text

    def suspects(self) -> list[Suspect]:
        """Return what has to be checked in the texts of a file that is read carefully."""
        found = []
        for column in self.columns:
            condition = self._bad(column.type, self._raw(column))
            if condition:
                found.append(Suspect(column, condition, not column.required or _repairs_to_value(column.type)))
        return found

    def _bad(self, type_: ColumnType, text: str) -> str:
        """Return the condition of texts that are not valid for a type; nothing if all are, or no repair helps."""
        match type_.kind:
            case TypeKind.DATETIME | TypeKind.DATE:
                return f"{text} ~ {_FAR}"
            case TypeKind.ENUM:
                return f"{text} NOT IN ({', '.join(map(text_literal, type_.values))})"
            case TypeKind.OBJECT | TypeKind.UNTYPED:
                return f"{text} ~ '{_JSON_NUL}'"
            case TypeKind.ARRAY:
                assert type_.items is not None
                item = self._bad(type_.items, "item") if type_.items.kind not in JSON_KINDS else ""
                items = f"jsonb_array_elements_text({self._json(text)}::jsonb) AS list(item)"
                within = f" OR EXISTS (SELECT 1 FROM {items} WHERE {item})" if item else ""
                return f"({text} ~ '{_JSON_NUL}'{within})"
        return ""

    def find(self, suspect: Suspect) -> str:
        """Select the original of every bad value of a column, after the key of its row."""
        key = ", ".join(self._raw(column) for column in self.table.key)
        return f"SELECT {key}, {self._raw(suspect.column)} FROM {RAW} AS raw WHERE {suspect.condition}"

    def trial(self, column: Column) -> list[str]:
        """Convert one column alone, to find out whether it is the one at which an insert fails."""
        target = self.dialect.type_of(self.table, column) + (" NOT NULL" if column.required else "")
        joined = column.type.kind is TypeKind.OPEN_ENUM
        target, value = ("varchar(64)", self._raw(column)) if joined else (target, self.value(column))
        return [
            "DROP TABLE IF EXISTS pg_temp.dapkit_trial",
            f"CREATE TEMPORARY TABLE dapkit_trial (value {target}) ON COMMIT DROP",
            f"INSERT INTO pg_temp.dapkit_trial SELECT {value} FROM {RAW} AS raw",
        ]

    def _pairs(self) -> Sequence[tuple[str, str | None]]:
        return tuple(zip(self.header.names, self.header.columns, strict=True))

    def _raw(self, column: Column) -> str:
        return f"raw.{identifier(self.header.source(column.name) or '')}"

    def _lookup(self, column: Column) -> str:
        return identifier(f"of {column.name}")


def _converted_by_sql(column: Column) -> bool:
    """Whether a column's text has to be converted by SQL."""
    type_ = column.type
    if type_.kind is TypeKind.ARRAY:
        return type_.items is not None and type_.items.kind not in JSON_KINDS
    return type_.kind is TypeKind.OPEN_ENUM


def _repairs_to_value(type_: ColumnType) -> bool:
    """Whether a bad value of a required column can be repaired to something other than null."""
    return type_.kind is not TypeKind.ENUM or UNSPECIFIED in type_.values


def create_staging(dialect: PostgresDialect, table: Table) -> list[str]:
    """Create the staging table with the table's own types and the `meta` columns."""
    columns = "".join(f", {identifier(column.name)} {dialect.type_of(table, column)}" for column in table.columns)
    meta = f'"{META_TS}" timestamp, "{META_ACTION}" text'
    return [
        f"DROP TABLE IF EXISTS {STAGING}",
        f"CREATE TEMPORARY TABLE dapkit_staging ({meta}{columns}) ON COMMIT DROP",
    ]
