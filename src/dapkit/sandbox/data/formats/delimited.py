r"""CSV and TSV, with a header: `meta.ts`, `meta.action`, `key.<column>…`, `value.<column>…`.

CSV follows RFC 4180: `""` is the empty string, nothing is null, newlines are raw inside quotes. TSV is the text
format of PostgreSQL's COPY: `\N` is null, and escapes keep each row on one line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.expressions import (
    EXACT,
    FLOATING,
    TEMPORAL,
    datetime_text,
    json_value,
    scalar_text,
)
from dapkit.sandbox.data.formats.layout import Cell, Layout
from dapkit.sandbox.data.formats.output import copy, copy_lines, gzipped
from dapkit.sandbox.data.sql import identifier

# NULLSTR keeps its default, the empty text: with any other value, DuckDB writes empty strings without quotes, and they
# could not be distinguished from nulls.
_CSV_OPTIONS = "FORMAT csv, HEADER true, DELIMITER ',', QUOTE '\"', ESCAPE '\"', COMPRESSION none"
# The backslash comes first, because the escapes of the other characters contain one.
_TSV_ESCAPES = (("\\", "\\\\"), *((chr(code), f"\\{letter}") for code, letter in enumerate("btnvfr", start=8)))
_UNESCAPED_KINDS = EXACT | FLOATING | TEMPORAL


@dataclass(frozen=True, slots=True)
class _FlatColumn:
    """A column: its name in the header, and SQL for its text, NULL where the value is.

    `plain` means that the text never contains a backslash or a control character.
    """

    name: str
    sql: str
    plain: bool


def write_csv(connection: DuckDBPyConnection, select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip CSV and return how many there are."""
    columns = ", ".join(f"{column.sql} AS {identifier(column.name)}" for column in _flat_columns(layout))
    with gzipped(path) as plain:
        return copy(connection, columns, select_sql, plain, _CSV_OPTIONS)


def write_tsv(connection: DuckDBPyConnection, select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip TSV and return how many there are."""
    columns = tuple(_flat_columns(layout))
    texts = ", ".join(f"coalesce({_escaped(column)}, '\\N')" for column in columns)
    header = "\t".join(column.name for column in columns) + "\n"
    with gzipped(path, header) as plain:
        return copy_lines(connection, f"concat_ws(chr(9), {texts})", select_sql, plain)


def _escaped(column: _FlatColumn) -> str:
    """Return SQL for the text with COPY's escapes."""
    if column.plain:
        return column.sql
    escaped = column.sql
    for character, escape in _TSV_ESCAPES:
        escaped = f"replace({escaped}, chr({ord(character)}), '{escape}')"
    # Most texts need no escapes, and looking for each character costs a third of replacing it.
    found = " OR ".join(f"contains({column.sql}, chr({ord(character)}))" for character, _ in _TSV_ESCAPES)
    return f"CASE WHEN {found} THEN {escaped} ELSE {column.sql} END"


def _flat_columns(layout: Layout) -> Iterator[_FlatColumn]:
    """Yield the columns. Nested ones are always expanded in the key, and in the value depending on the mode."""
    yield _FlatColumn("meta.ts", datetime_text("ts"), plain=True)
    if layout.incremental:
        yield _FlatColumn("meta.action", "action", plain=True)
    yield from _columns("key", _expand(layout.key))
    yield from _columns("value", _expand(layout.value) if layout.expanded else layout.value)


def _expand(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Replace nested cells by their fields, at any depth, under dotted names."""
    for cell in cells:
        if cell.column.kind is Kind.OBJECT:
            for leaf in _expand(cell.fields):
                yield Cell(f"{cell.name}.{leaf.name}", leaf.column, leaf.sql)
        else:
            yield cell


def _columns(prefix: str, cells: Iterable[Cell]) -> Iterator[_FlatColumn]:
    for cell in cells:
        kind = cell.column.kind
        text = json_value(cell) if kind in (Kind.OBJECT, Kind.ARRAY) else scalar_text(kind, cell.sql)
        yield _FlatColumn(f"{prefix}.{cell.name}", text, plain=kind in _UNESCAPED_KINDS)
