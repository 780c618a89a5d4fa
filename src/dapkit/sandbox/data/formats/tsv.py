r"""TSV as PostgreSQL's COPY writes text, with a header: `\N` is null, escapes keep a row on its line."""

from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.sandbox.data.formats.compress import gzipped
from dapkit.sandbox.data.formats.flat import FlatColumn, flat_columns
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.sql import copy_lines

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The backslash comes first: the escapes of the others bring new ones.
_ESCAPES = (("\\", "\\\\"), *((chr(code), f"\\{letter}") for code, letter in enumerate("btnvfr", start=8)))


def write_tsv(connection: "DuckDBPyConnection", select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip TSV and return how many they are."""
    columns = tuple(flat_columns(layout))
    texts = ", ".join(f"coalesce({_escaped(column)}, '\\N')" for column in columns)
    header = "\t".join(column.name for column in columns) + "\n"
    with gzipped(path, header) as plain:
        return copy_lines(connection, f"concat_ws(chr(9), {texts})", select_sql, plain)


def _escaped(column: FlatColumn) -> str:
    """Return an expression for the text as COPY escapes it.

    Most texts hold nothing to escape, and looking for each character costs a third of replacing it.
    """
    if column.plain:
        return column.sql
    escaped = column.sql
    for character, escape in _ESCAPES:
        escaped = f"replace({escaped}, {_character(character)}, '{escape}')"
    found = " OR ".join(f"contains({column.sql}, {_character(character)})" for character, _ in _ESCAPES)
    return f"CASE WHEN {found} THEN {escaped} ELSE {column.sql} END"


def _character(character: str) -> str:
    return f"chr({ord(character)})"
