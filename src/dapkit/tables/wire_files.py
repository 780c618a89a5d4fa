"""PURE: the SQL with which DuckDB reads downloaded files, and the SELECT that makes a flat table of them.

Files that are read together must have the same columns (`FileShape`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dapkit.decode.tsv import META_ACTION, META_TS, Header
from dapkit.decode.tsv_sql import literal_path, quote_identifier, read_tsv, text_literal, unescape_sql
from dapkit.model import JSON_KINDS, Column, Format, Nested, Table, TypeKind
from dapkit.tables.conversion import FileType, bad_value, from_json, from_parquet, from_text, once, packed
from dapkit.tables.json_text import json_text
from dapkit.tables.types import flat_type, is_structured, json_type, struct_type

TS, ACTION = "_ts", "_action"
"""Columns of a flat table for when a row changed in the service, and whether it was updated or deleted (U, D)."""

_TEXTS = frozenset({TypeKind.TEXT, TypeKind.ENUM, TypeKind.OPEN_ENUM})
_NEEDS_UNESCAPING = _TEXTS | JSON_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShape:
    """The columns that files have.

    Attributes:
        names: of CSV and TSV, as in the header; of JSONL only if they were looked for.
        types: of Parquet: the types of `key`, `value` and `meta`, as far as there are any.
    """

    names: tuple[str, ...] = ()
    types: Mapping[str, FileType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatColumns:
    """Which columns a flat table has besides the schema's, and how nested values are stored.

    `action` is true for changes, which say of each row whether it was updated or deleted.
    """

    nested: Nested = Nested.STRUCT
    ts: bool = False
    action: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatSelect:
    """How files of one format and shape become rows of a flat table."""

    table: Table
    format: Format
    shape: FileShape
    columns: FlatColumns

    def names(self) -> tuple[str, ...]:
        """Return the names of the flat columns."""
        return tuple(self._columns())

    def sql(self, paths: Sequence[str], max_line_size: int) -> str:
        """Return the SELECT.

        Args:
            paths: of the files; at least one.
            max_line_size: bytes of the longest line that is read.
        """
        selected = ", ".join(f"{sql} AS {quote_identifier(name)}" for name, sql in self._columns().items())
        action = self._meta("action")
        # A snapshot does not have deleted rows.
        kept = f" WHERE {action} IS DISTINCT FROM 'D'" if action and not self.columns.action else ""
        source = self._read(paths, max_line_size)
        if self.columns.action:
            # Computed first: it may depend on all columns, and all columns depend on it.
            source = f"(SELECT *, {self._action()} AS {ACTION} FROM {source})"
        return f"SELECT {selected} FROM {source}{kept}"

    def _columns(self) -> dict[str, str]:
        columns = {
            each.name: f"coalesce({self._value('key', each)}, {bad_value(each.name)})" for each in self.table.key
        }
        for each in self.table.value:
            sql = self._value("value", each)
            # What a deleted row has in its other columns need not follow the schema.
            columns[each.name] = f"CASE WHEN {ACTION} = 'U' THEN {sql} END" if self.columns.action else sql
        if self.columns.action:
            columns[ACTION] = ACTION
        if self.columns.ts:
            ts = self._meta("ts")
            columns[TS] = f"TRY_CAST({ts or 'NULL'} AS TIMESTAMP WITH TIME ZONE)"
        return columns

    def _action(self) -> str:
        """Return the action of a row. If the file does not say it, a row without any value was deleted."""
        stated = self._meta("action")
        values = [f"({self._value('value', each)}) IS NULL" for each in self.table.value]
        implied = f"CASE WHEN {' AND '.join(values)} THEN 'D' ELSE 'U' END" if values else "'U'"
        if stated is None:
            return implied
        known = f"WHEN {stated} IN ('U', 'D') THEN {stated} WHEN {stated} IS NULL THEN {implied}"
        return f"CASE {known} ELSE {bad_value(ACTION)} END"

    def _meta(self, name: str) -> str | None:
        """Return an expression for `meta.ts` or `meta.action`; None if the files do not have it."""
        if self.format is Format.JSONL:
            return f"meta['{name}']"
        if self.format is Format.PARQUET:
            meta = self.shape.types.get("meta")
            return f"meta['{name}']" if meta and name in dict(meta.fields) else None
        column = META_TS if name == "ts" else META_ACTION
        return quote_identifier(column) if column in self.shape.names else None

    def _value(self, section: str, column: Column) -> str:
        if self.format is Format.JSONL:
            value = f"{quote_identifier(section)}[{text_literal(column.name)}]"
            return from_json(column.type, value, self.columns.nested, column.name)
        if self.format is Format.PARQUET:
            return self._parquet_value(section, column)
        return self._text_value(f"{section}.{column.name}", column, self.columns.nested)

    def _parquet_value(self, section: str, column: Column) -> str:
        found = self.shape.types.get(section)
        file_type = dict(found.fields).get(column.name) if found else None
        if file_type is None:
            return f"CAST(NULL AS {flat_type(column.type, self.columns.nested)})"
        value = f"{quote_identifier(section)}[{text_literal(column.name)}]"
        return from_parquet(column.type, value, file_type, self.columns.nested, column.name)

    def _text_value(self, name: str, column: Column, nested: Nested) -> str:
        """Return the value of a column of CSV or TSV, or of the columns of its fields in mode expanded."""
        if name in self.shape.names:
            return from_text(column.type, self._text(name, column), nested, column.name)
        type_ = column.type
        if type_.kind is TypeKind.OBJECT and any(each.startswith(f"{name}.") for each in self.shape.names):
            if not is_structured(type_, nested):
                value = self._text_value(name, column, Nested.STRUCT)
                return once(value, lambda each: json_text(type_, each))
            return packed({each.name: self._text_value(f"{name}.{each.name}", each, nested) for each in type_.fields})
        return f"CAST(NULL AS {flat_type(type_, nested)})"

    def _text(self, name: str, column: Column) -> str:
        text = quote_identifier(name)
        if self.format is Format.TSV:
            return unescape_sql(text) if column.type.kind in _NEEDS_UNESCAPING else text
        # Some writers of CSV have the bare word NULL where there is no value; in a text it may be the text itself.
        return text if column.type.kind in _TEXTS else f"nullif({text}, 'NULL')"

    def _read(self, paths: Sequence[str], max_line_size: int) -> str:
        files = ", ".join(text_literal(literal_path(path)) for path in paths)
        match self.format:
            case Format.TSV:
                return read_tsv(paths, Header(self.shape.names), max_line_size)
            case Format.CSV:
                columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in self.shape.names)
                return (
                    f"read_csv([{files}], columns = {{{columns}}}, header = true, auto_detect = false,"
                    " compression = 'gzip', delim = ',', quote = '\"', escape = '\"', comment = '', nullstr = '',"
                    f" allow_quoted_nulls = false, max_line_size = {max_line_size}, buffer_size = {max_line_size},"
                    " strict_mode = true)"
                )
            case Format.JSONL:
                structs = {"key": self.table.key, "value": self.table.value}
                types = {name: struct_type(columns, json_type) for name, columns in structs.items() if columns}
                types["meta"] = "STRUCT(ts VARCHAR, action VARCHAR)"
                columns = ", ".join(f"{name}: {text_literal(type_)}" for name, type_ in types.items())
                return (
                    f"read_json([{files}], format = 'newline_delimited', compression = 'gzip', columns = {{{columns}}},"
                    f" maximum_object_size = {max_line_size})"
                )
            case Format.PARQUET:
                return f"read_parquet([{files}])"


def unknown_columns(table: Table, format_: Format, shape: FileShape) -> set[str]:
    """Return the columns of files that the schema does not have, as far as their shape says which they have."""
    leaves = {name for each in table.columns for name in _leaf_names(each)}
    if format_ is Format.PARQUET:
        sections = (shape.types[name].fields for name in ("key", "value") if name in shape.types)
        found = {name for fields in sections for name, _ in fields}
    else:
        parts = (name.partition(".") for name in shape.names)
        found = {name for section, _, name in parts if section in ("key", "value")}
    return found - leaves


def _leaf_names(column: Column) -> Iterator[str]:
    """Yield a column's name and, as in mode expanded, those of its fields."""
    yield column.name
    for each in column.type.fields:
        yield from (f"{column.name}.{name}" for name in _leaf_names(each))


def empty_select(table: Table, columns: FlatColumns) -> str:
    """Return a SELECT with the columns of a flat table and no rows."""
    types = {each.name: flat_type(each.type, columns.nested) for each in table.columns}
    if columns.action:
        types[ACTION] = "VARCHAR"
    if columns.ts:
        types[TS] = "TIMESTAMP WITH TIME ZONE"
    nulls = ", ".join(f"CAST(NULL AS {type_}) AS {quote_identifier(name)}" for name, type_ in types.items())
    return f"SELECT {nulls} LIMIT 0"
