"""The bytes of the four formats: rows that DuckDB computes, written as the service writes them.

`write_format` takes a query whose columns are `ts`, `action`, `k0, k1, …` (the table's key columns) and
`v0, v1, …` (its value columns) and writes one object. Everything is done in SQL; Python only compresses.

What the known facts leave open is decided here, for all formats alike:

- A format that can nest, nests: in JSONL and Parquet a nested column is an object or a struct in both modes;
  the mode lays out CSV and TSV only. Arrays and what lies in them are JSON text there.
- A nested column whose parts are all null is null, at any depth; an empty array is not null.
- Date-times have three decimals, or six where three would lose something or the year has not four digits.
- NaN and the infinities are `NaN`, `Infinity`, `-Infinity`: words in CSV and TSV, strings in JSON.
- Parquet has no type for a schema that is free, nor Spark one for a time of day: both are strings there.
  A number without a format is a double.
- Lines end in a line feed, in CSV too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.sandbox.data.formats.csv import write_csv
from dapkit.sandbox.data.formats.jsonl import write_jsonl
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.parquet import write_parquet
from dapkit.sandbox.data.formats.tsv import write_tsv

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dapkit.sandbox.data.catalogue import Table

__all__ = ["FORMATS", "write_format"]

_WRITERS: dict[str, Callable[["DuckDBPyConnection", str, Layout, Path], int]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "tsv": write_tsv,
    "parquet": write_parquet,
}
FORMATS = tuple(_WRITERS)


def write_format(
    connection: "DuckDBPyConnection",
    select_sql: str,
    table: "Table",
    *,
    format: str,  # noqa: A002 - the service's own word for it
    mode: str,
    incremental: bool,
    path: Path,
) -> int:
    """Write the rows of a query as one object and return how many they are.

    Args:
        connection: where the query runs; its settings (threads, memory) are the caller's.
        select_sql: a query with the columns `ts` (TIMESTAMP, UTC), `action` ('U' or 'D', read only when
            incremental), `k0…` and `v0…` in the table's order, in the physical types of their kinds.
            Rows are written in its order; equal rows in equal order give equal bytes.
        table: what the rows are rows of.
        format: `jsonl`, `csv`, `tsv` (gzip files of one member) or `parquet`.
        mode: `expanded` or `condensed`: nested columns of CSV and TSV as columns, or each as one JSON column.
        incremental: whether the rows carry an action; rows whose action is 'D' are written without values.
        path: the file to write. Uncompressed text lies beside it for a while, under a name of its own.

    Raises:
        ValueError: the format or mode is not one of these.
        duckdb.Error: the query fails; what then lies at the path is not to be used.
    """
    writer = _WRITERS.get(format)
    if writer is None:
        raise ValueError(f"unknown format: {format!r}")
    if mode not in ("expanded", "condensed"):
        raise ValueError(f"unknown mode: {mode!r}")
    return writer(connection, select_sql, Layout(table, expanded=mode == "expanded", incremental=incremental), path)
