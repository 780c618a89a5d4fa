"""SQL expressions for JSON: values and objects without their nulls.

DuckDB's own JSON writer keeps nulls and writes `NaN`; so only strings are left to it.
"""

from collections.abc import Sequence
from json import dumps

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.layout import Cell, fields
from dapkit.sandbox.data.formats.sql import literal
from dapkit.sandbox.data.formats.text import EXACT, FLOATING, TEMPORAL, scalar_text

_RAW = EXACT | {Kind.FREE_OBJECT, Kind.ANY}


def members(cells: Sequence[Cell], depth: int = 0) -> str:
    """Return an expression for the members of an object, without braces; null ones are left out. Never NULL.

    `depth` counts the arrays around it, for the names of lambda parameters.
    """
    if not cells:
        return "''"
    parts = (f"{literal(dumps(cell.name, ensure_ascii=False) + ':')} || {json_value(cell, depth)}" for cell in cells)
    return f"concat_ws(',', {', '.join(parts)})"


def json_value(cell: Cell, depth: int = 0) -> str:
    """Return an expression for the JSON text of a value; NULL where the value is."""
    kind, sql = cell.column.kind, cell.sql
    if kind is Kind.OBJECT:
        return f"nullif('{{' || {members(fields(cell), depth)} || '}}', '{{}}')"
    if kind is Kind.ARRAY:
        return _array(cell, depth)
    text = scalar_text(kind, sql)
    if kind in FLOATING:
        return f"(CASE WHEN isfinite(({sql})::DOUBLE) THEN {text} ELSE '\"' || {text} || '\"' END)"
    if kind in _RAW:
        return text
    if kind in TEMPORAL:
        return f"('\"' || {text} || '\"')"
    return f"to_json({text})::VARCHAR"


def _array(cell: Cell, depth: int) -> str:
    assert cell.column.items is not None
    item = Cell("", cell.column.items, f"e{depth}")
    texts = f"list_transform({cell.sql}, lambda {item.sql}: coalesce({json_value(item, depth + 1)}, 'null'))"
    # array_to_string gives NULL for an empty list before DuckDB 2.
    return f"CASE WHEN {cell.sql} IS NOT NULL THEN '[' || coalesce(array_to_string({texts}, ','), '') || ']' END"
