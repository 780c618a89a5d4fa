"""Parquet in the layout of Spark: the structs `key`, `value` and `meta`, with nested structs and lists."""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.expressions import scalar_text
from dapkit.sandbox.data.formats.layout import Cell, Layout
from dapkit.sandbox.data.formats.output import copy
from dapkit.sandbox.data.sql import identifier

# Small row groups limit the memory, because a group is kept in memory until it is complete.
_OPTIONS = "FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 32768"


def write_parquet(connection: DuckDBPyConnection, select_sql: str, layout: Layout, path: Path) -> int:
    """Write the rows as Parquet, compressed inside, and return how many there are."""
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
    """Return SQL for a value in its Parquet type. `depth` counts the surrounding arrays."""
    kind, sql = cell.column.kind, cell.sql
    if kind is Kind.OBJECT:
        empty = " AND ".join(f"({_value(field, depth)}) IS NULL" for field in cell.fields)
        return f"CASE WHEN NOT ({empty}) THEN {_struct(cell.fields, depth)} END"
    if kind is Kind.ARRAY:
        item = cell.item(depth)
        return f"list_transform({sql}, lambda {item.sql}: {_value(item, depth + 1)})"
    if kind is Kind.DATETIME:
        return _instant(sql)
    if kind is Kind.NUMBER:
        return f"({sql})::DOUBLE"
    return scalar_text(kind, sql) if kind is Kind.TIME else sql


def _instant(sql: str) -> str:
    """Return a TIMESTAMP, taken as UTC, as a timestamp with a zone."""
    # Not by a cast: it would take the timestamp in the zone of the session.
    return f"make_timestamptz(epoch_us({sql}))"
