"""The bytes of the four formats: DuckDB computes the rows and writes them as the service does.

`write_format` takes a query with the columns `ts`, `action`, `k0, k1, …` (the key columns of the table) and
`v0, v1, …` (its value columns), and writes one object. SQL does all the work; Python only compresses.

Where the known facts leave a choice, all formats share these decisions:

- JSONL and Parquet write a nested column as an object or a struct in both modes. The mode affects CSV and TSV only,
  where arrays and everything inside them are JSON text.
- A nested column whose fields are all null is null, at any depth. An empty array is not null.
- Date-times have three decimals. They have six if three would lose something, or if the year does not have four digits.
- NaN and the infinities are `NaN`, `Infinity` and `-Infinity`: words in CSV and TSV, strings in JSON.
- Parquet has no type for a free schema, and Spark none for a time of day: both are strings there. A number without a
  format is a double.
- Lines end with a line feed, also in CSV.
"""

from collections.abc import Callable
from pathlib import Path

from duckdb import DuckDBPyConnection

from dapkit.sandbox.data.catalogue import Table
from dapkit.sandbox.data.formats.delimited import write_csv, write_tsv
from dapkit.sandbox.data.formats.jsonl import write_jsonl
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.parquet import write_parquet

_WRITERS: dict[str, Callable[[DuckDBPyConnection, str, Layout, Path], int]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "tsv": write_tsv,
    "parquet": write_parquet,
}
FORMATS = tuple(_WRITERS)


def write_format(
    connection: DuckDBPyConnection,
    select_sql: str,
    table: Table,
    *,
    format: str,  # noqa: A002  # the service's own name for it
    mode: str,
    incremental: bool,
    path: Path,
) -> int:
    """Write the rows of a query as one object and return how many there are.

    Args:
        connection: where to run the query, with the caller's settings (threads, memory).
        select_sql: a query with the columns `ts` (TIMESTAMP, UTC), `action` ('U' or 'D', read only if
            incremental), `k0…` and `v0…` in the order of the table, in the physical types of their kinds.
            Rows are written in its order; equal rows in equal order give equal bytes.
        table: the table of the rows.
        format: `jsonl`, `csv`, `tsv` (gzip files with one member) or `parquet`.
        mode: `expanded` or `condensed`: nested columns of CSV and TSV as several columns, or as one JSON column each.
        incremental: whether the rows have an action. Rows with the action 'D' are written without values.
        path: the file to write. Uncompressed text is next to it for a while, under another name.

    Raises:
        ValueError: unknown format or mode.
        duckdb.Error: the query failed; the file at the path is then not usable.
    """
    writer = _WRITERS.get(format)
    if writer is None:
        raise ValueError(f"unknown format: {format!r}")
    if mode not in ("expanded", "condensed"):
        raise ValueError(f"unknown mode: {mode!r}")
    return writer(connection, select_sql, Layout(table, expanded=mode == "expanded", incremental=incremental), path)
