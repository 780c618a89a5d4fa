"""Parquet as Spark writes it: the structs `key`, `value` and `meta`, in them structs and lists."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.layout import Cell, Layout, fields
from dapkit.sandbox.data.formats.sql import copy, identifier
from dapkit.sandbox.data.formats.text import scalar_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Small row groups bound the memory: a group is held until it is whole.
_OPTIONS = "FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 32768"


def write_parquet(connection: "DuckDBPyConnection", select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as Parquet, compressed inside, and return how many they are."""
    columns = [f"{_struct(layout.key)} AS key"]
    if layout.value:
        value = _struct(layout.value)
        columns.append(
            f"CASE WHEN action <> 'D' THEN {value} END AS value" if layout.incremental else f"{value} AS value"
        )
    meta = f"ts := {_instant('ts')}" + (", action := action" if layout.incremental else "")
    columns.append(f"struct_pack({meta}) AS meta")
    return copy(connection, ", ".join(columns), select_sql, path, _OPTIONS)


def _struct(cells: Sequence[Cell], depth: int = 0) -> str:
    return f"struct_pack({', '.join(f'{identifier(cell.name)} := {_value(cell, depth)}' for cell in cells)})"


def _value(cell: Cell, depth: int = 0) -> str:
    """Return an expression for a value in its Parquet type; `depth` counts the arrays around it."""
    kind, sql = cell.column.kind, cell.sql
    if kind is Kind.OBJECT:
        parts = fields(cell)
        empty = " AND ".join(f"({_value(part, depth)}) IS NULL" for part in parts)
        return f"CASE WHEN NOT ({empty}) THEN {_struct(parts, depth)} END"
    if kind is Kind.ARRAY:
        assert cell.column.items is not None
        item = Cell("", cell.column.items, f"e{depth}")
        return f"list_transform({sql}, lambda {item.sql}: {_value(item, depth + 1)})"
    if kind is Kind.DATETIME:
        return _instant(sql)
    if kind is Kind.NUMBER:
        return f"({sql})::DOUBLE"
    return scalar_text(kind, sql) if kind is Kind.TIME else sql


def _instant(sql: str) -> str:
    """Return a TIMESTAMP, taken as UTC, as one with a zone: a cast would take it in the session's."""
    return f"make_timestamptz(epoch_us({sql}))"
