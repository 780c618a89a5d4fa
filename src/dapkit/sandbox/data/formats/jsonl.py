"""JSON lines: `{"key": …, "value": …, "meta": …}`, nulls left out, deleted rows without a value."""

from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.sandbox.data.formats.compress import gzipped
from dapkit.sandbox.data.formats.json import members
from dapkit.sandbox.data.formats.layout import Layout
from dapkit.sandbox.data.formats.sql import copy_lines
from dapkit.sandbox.data.formats.text import datetime_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def write_jsonl(connection: "DuckDBPyConnection", select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as gzip JSON lines and return how many they are."""
    with gzipped(path) as plain:
        return copy_lines(connection, _line(layout), select_sql, plain)


def _line(layout: Layout) -> str:
    """Return an expression for a row's line: one concatenation, which copies long texts once and skips nulls."""
    value = ["',\"value\":{'", members(layout.value), "'}'"]
    meta = ['\',"meta":{"ts":"\'', datetime_text("ts")]
    if layout.incremental:
        value = [f"CASE WHEN action <> 'D' THEN {part} END" for part in value]
        meta += ['\'","action":"\'', "action"]
    parts = ["'{\"key\":{'", members(layout.key), "'}'", *value, *meta, "'\"}}'"]
    return f"concat({', '.join(parts)})"
