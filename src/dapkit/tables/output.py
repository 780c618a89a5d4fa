"""PURE: how rows of a flat table are written: the SELECT and the options of COPY for each format of flat files.

Parquet keeps the types. In CSV and JSON lines, times are texts in ISO 8601. CSV has a column for each field of a
struct (`settings.theme`), and lists as JSON. JSON lines have the words NaN, Infinity and -Infinity where JSON has
no number.
"""

from collections.abc import Iterator

from dapkit.decode.tsv_sql import quote_identifier, text_literal
from dapkit.model import ColumnType, FlatFormat, Nested, Table, TypeKind
from dapkit.tables.json_text import json_object, json_text, plain_text
from dapkit.tables.types import is_structured
from dapkit.tables.wire_files import ACTION, TS, FlatColumns

COPY_OPTIONS = {
    FlatFormat.PARQUET: "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2",
    FlatFormat.CSV: "FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"', ESCAPE '\"', COMPRESSION none",
    # CSV with everything switched off that makes it CSV: one column of text is written as it is, one line a row.
    FlatFormat.JSONL: "FORMAT csv, HEADER false, DELIMITER '', QUOTE '', ESCAPE '', COMPRESSION none",
}
PARQUET_V1_OPTIONS = COPY_OPTIONS[FlatFormat.PARQUET].replace("PARQUET_VERSION v2", "PARQUET_VERSION v1")
"""Larger files, without the encoding of `WIDE_INT32`."""
WIDE_INT32 = (
    "SELECT count(*) FROM parquet_metadata(?) WHERE type = 'INT32' AND encodings LIKE '%DELTA%'"
    " AND TRY_CAST(stats_max AS BIGINT) - TRY_CAST(stats_min AS BIGINT) >= 2147483648"
)
"""How many columns other programs, such as Arrow, may not be able to read: DuckDB writes the differences of 32-bit
integers with more than 32 bits where they need them."""
CSV_HEADER_OPTIONS = COPY_OPTIONS[FlatFormat.CSV].replace("HEADER false", "HEADER true")

_TIME = ColumnType(kind=TypeKind.DATETIME)
_TEXT = ColumnType(kind=TypeKind.TEXT)


def output_select(select: str, table: Table, columns: FlatColumns, format_: FlatFormat) -> str:
    """Return a SELECT of flat rows in the form in which a format writes them.

    Args:
        select: returns the flat rows.
        table: the table.
        columns: which columns the rows have.
        format_: of the file.
    """
    match format_:
        case FlatFormat.PARQUET:
            return select
        case FlatFormat.CSV:
            fields = (
                field
                for name, type_ in _typed(table, columns)
                for field in _csv_fields(name, type_, quote_identifier(name), columns.nested)
            )
            selected = ", ".join(f"{sql} AS {quote_identifier(name)}" for name, sql in fields)
        case FlatFormat.JSONL:
            members = [(name, _json_value(name, type_, columns.nested)) for name, type_ in _typed(table, columns)]
            selected = f"concat('{{', {json_object(members, nulls=True)}, '}}')"
    return f"SELECT {selected} FROM ({select})"


def _typed(table: Table, columns: FlatColumns) -> Iterator[tuple[str, ColumnType]]:
    yield from ((each.name, each.type) for each in table.columns)
    if columns.action:
        yield ACTION, _TEXT
    if columns.ts:
        yield TS, _TIME


def _csv_fields(name: str, type_: ColumnType, sql: str, nested: Nested) -> Iterator[tuple[str, str]]:
    if is_structured(type_, nested) and type_.kind is TypeKind.OBJECT:
        for each in type_.fields:
            yield from _csv_fields(f"{name}.{each.name}", each.type, f"{sql}[{text_literal(each.name)}]", nested)
    elif is_structured(type_, nested):
        yield name, json_text(type_, sql)
    else:
        yield name, plain_text(type_, sql)


def _json_value(name: str, type_: ColumnType, nested: Nested) -> str:
    value = quote_identifier(name)
    as_text = type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT) and not is_structured(type_, nested)
    return value if as_text else json_text(type_, value)  # JSON text is JSON already
