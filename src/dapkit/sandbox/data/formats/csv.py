"""CSV by RFC 4180, with a header: `""` is the empty string, nothing is null, newlines are raw in quotes."""

from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.sandbox.data.formats.compress import gzipped
from dapkit.sandbox.data.formats.flat import flat_columns
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.sql import copy, identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# NULLSTR stays at its default, nothing: any other word for null takes the quotes off empty strings.
_OPTIONS = "FORMAT csv, HEADER true, DELIMITER ',', QUOTE '\"', ESCAPE '\"', COMPRESSION none"


def write_csv(connection: "DuckDBPyConnection", select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip CSV and return how many they are."""
    columns = ", ".join(f"{column.sql} AS {identifier(column.name)}" for column in flat_columns(layout))
    with gzipped(path) as plain:
        return copy(connection, columns, select_sql, plain, _OPTIONS)
