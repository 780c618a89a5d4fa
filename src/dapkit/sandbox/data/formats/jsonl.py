"""JSON lines: `{"key": …, "value": …, "meta": …}`. Nulls are left out; deleted rows have no value."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from dapkit.sandbox.data.formats.expressions import datetime_text, json_members
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.output import copy_lines, gzipped


def write_jsonl(connection: DuckDBPyConnection, select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip JSON lines and return how many there are."""
    with gzipped(path) as plain:
        return copy_lines(connection, _line(layout), select_sql, plain)


def _line(layout: Layout) -> str:
    """Return SQL for the line of a row."""
    value = ["',\"value\":{'", json_members(layout.value), "'}'"]
    meta = ['\',"meta":{"ts":"\'', datetime_text("ts")]
    if layout.incremental:
        value = [f"CASE WHEN action <> 'D' THEN {part} END" for part in value]
        meta += ['\'","action":"\'', "action"]
    parts = ["'{\"key\":{'", json_members(layout.key), "'}'", *value, *meta, "'\"}}'"]
    # A single concat copies long texts once, where nested `||` would copy them at each step. It also skips nulls, which
    # removes the value of a deleted row.
    return f"concat({', '.join(parts)})"
