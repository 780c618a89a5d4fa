"""SQL expressions for the text of a value: plain as in CSV and TSV, or as JSON.

Every function takes an SQL expression and returns one of type VARCHAR, which is NULL where the given one is.
"""

from collections.abc import Sequence
from json import dumps

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.layout import Cell
from dapkit.sandbox.data.sql import literal

EXACT = frozenset({Kind.INT16, Kind.INT32, Kind.INT64, Kind.INTEGER_ENUM, Kind.DECIMAL, Kind.BOOLEAN})
"""Kinds whose plain text is also valid JSON."""
FLOATING = frozenset({Kind.FLOAT32, Kind.FLOAT64, Kind.NUMBER})
"""Kinds with values that JSON has no number for (NaN, infinities)."""
TEMPORAL = frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME})
_ALREADY_JSON = EXACT | {Kind.FREE_OBJECT, Kind.ANY}


def scalar_text(kind: Kind, sql: str) -> str:
    """Return the plain text of a value that is neither an array nor an object."""
    if kind is Kind.DATETIME:
        return datetime_text(sql)
    if kind is Kind.DATE:
        return _date_text(sql)
    if kind in FLOATING:
        return _number_text(sql)
    if kind in EXACT or kind is Kind.TIME:
        return f"({sql})::VARCHAR"
    return sql


def datetime_text(sql: str) -> str:
    """Return a TIMESTAMP, taken as UTC, in ISO 8601. A year without exactly four digits gets a sign."""
    # strftime drops the sign of years beyond 9999 and writes years before Christ differently, so the year of those is
    # written by hand. Three decimals are the rule; six are used only where three would lose something.
    return (
        f"CASE WHEN {sql} BETWEEN TIMESTAMP '0001-01-01 (BC) 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
        f" THEN CASE WHEN epoch_us({sql}) % 1000 = 0 THEN strftime({sql}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        f" ELSE strftime({sql}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
        f" ELSE format('{{:+05d}}', year({sql})) || strftime({sql}, '-%m-%dT%H:%M:%S.%fZ') END"
    )


def _date_text(sql: str) -> str:
    return (
        f"CASE WHEN year({sql}) BETWEEN 0 AND 9999 THEN strftime({sql}, '%Y-%m-%d')"
        f" ELSE format('{{:+05d}}', year({sql})) || strftime({sql}, '-%m-%d') END"
    )


def _number_text(sql: str) -> str:
    """Return the shortest text that parses to the same number."""
    return (
        f"CASE ({sql})::VARCHAR WHEN 'nan' THEN 'NaN' WHEN 'inf' THEN 'Infinity' WHEN '-inf' THEN '-Infinity'"
        f" ELSE ({sql})::VARCHAR END"
    )


def json_members(cells: Sequence[Cell], depth: int = 0) -> str:
    """Return the members of a JSON object without braces; nulls are left out. Never NULL.

    `depth` counts the surrounding arrays, for the names of lambda parameters.
    """
    # Objects are concatenated by hand, because DuckDB's JSON writer keeps nulls and writes NaN as a bare word.
    # concat_ws skips nulls, and `name || NULL` is null: a member without a value disappears together with its name.
    if not cells:
        return "''"
    parts = (f"{literal(dumps(cell.name, ensure_ascii=False) + ':')} || {json_value(cell, depth)}" for cell in cells)
    return f"concat_ws(',', {', '.join(parts)})"


def json_value(cell: Cell, depth: int = 0) -> str:
    """Return the JSON text of a value."""
    kind, sql = cell.column.kind, cell.sql
    if kind is Kind.OBJECT:
        # An object whose members are all null is itself null.
        return f"nullif('{{' || {json_members(cell.fields, depth)} || '}}', '{{}}')"
    if kind is Kind.ARRAY:
        return _json_array(cell, depth)
    text = scalar_text(kind, sql)
    if kind in FLOATING:
        return f"(CASE WHEN isfinite(({sql})::DOUBLE) THEN {text} ELSE '\"' || {text} || '\"' END)"
    if kind in _ALREADY_JSON:
        return text
    if kind in TEMPORAL:
        return f"('\"' || {text} || '\"')"
    return f"to_json({text})::VARCHAR"


def _json_array(cell: Cell, depth: int) -> str:
    item = cell.item(depth)
    texts = f"list_transform({cell.sql}, lambda {item.sql}: coalesce({json_value(item, depth + 1)}, 'null'))"
    # array_to_string returns NULL for an empty list before DuckDB 2.
    return f"CASE WHEN {cell.sql} IS NOT NULL THEN '[' || coalesce(array_to_string({texts}, ','), '') || ']' END"
