"""PURE: SQL expressions for flat values as JSON text and as plain text, exactly as the service writes them.

DuckDB's own JSON writer passes decimals through a double, keeps nulls in objects and writes NaN as a bare word, so JSON
is put together from texts.
"""

import json
from collections.abc import Sequence

from dapkit.decode.tsv_sql import text_literal
from dapkit.model import Column, ColumnType, TypeKind
from dapkit.tables.types import is_decimal

_FLOATS = (TypeKind.FLOAT32, TypeKind.FLOAT64)
_PLAIN = frozenset({TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.BOOLEAN})
"""Kinds whose text is JSON as it is."""


def json_text(type_: ColumnType, value: str) -> str:
    """Return a flat value as JSON text; null where the value is null, or an object without any value.

    Args:
        type_: of the value.
        value: an expression in the type that `types.flat_type` returns for structs, evaluated several times.
    """
    if type_.items is not None:
        item, name = type_.items, parameter(value)
        texts = f"list_transform({value}, lambda {name}: coalesce({json_text(item, name)}, 'null'))"
        # array_to_string returns null for an empty list before DuckDB 2.
        return f"CASE WHEN {value} IS NOT NULL THEN '[' || coalesce(array_to_string({texts}, ','), '') || ']' END"
    if type_.kind is TypeKind.OBJECT:
        return f"nullif('{{' || {_members(type_.fields, value)} || '}}', '{{}}')"
    if type_.kind in _FLOATS:
        word = " ".join(f"WHEN {test} THEN '\"{word}\"'" for test, word in _words(value))
        return f"CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) {word} END"
    if type_.kind in _PLAIN or is_decimal(type_):
        return f"CAST({value} AS VARCHAR)"
    if type_.kind is TypeKind.UNTYPED:
        return f"replace(replace({value}, chr(10), ' '), chr(13), ' ')"  # a line break can only be between its parts
    if type_.kind in (TypeKind.DATETIME, TypeKind.DATE):
        return f"'\"' || {plain_text(type_, value)} || '\"'"
    return f"CAST(to_json({value}) AS VARCHAR)"


def json_object(members: Sequence[tuple[str, str]], *, nulls: bool) -> str:
    """Return the members of an object without braces; `nulls`: whether members that are null are written."""
    parts = []
    for name, text in members:
        named = f"{text_literal(json.dumps(name, ensure_ascii=False) + ':')} || "
        parts.append(named + (f"coalesce({text}, 'null')" if nulls else f"({text})"))
    # concat_ws skips nulls, and a name with a null is null.
    return f"concat_ws(',', {', '.join(parts)})" if parts else "''"


def _members(fields: Sequence[Column], value: str) -> str:
    members = [(each.name, json_text(each.type, f"{value}[{text_literal(each.name)}]")) for each in fields]
    return json_object(members, nulls=False)


def plain_text(type_: ColumnType, value: str) -> str:
    """Return a flat value that is not nested as CSV has it: times in ISO 8601, floats that are no numbers as words."""
    if type_.kind is TypeKind.DATETIME:
        return _iso_time(value)
    if type_.kind is TypeKind.DATE:
        return _iso_date(value)
    if type_.kind in _FLOATS:
        word = " ".join(f"WHEN {test} THEN '{word}'" for test, word in _words(value))
        return f"CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) {word} END"
    return value


def parameter(value: str) -> str:
    """Return a name for the parameter of a lambda that the expression does not contain yet."""
    number = 0
    while f"item{number}" in value:
        number += 1
    return f"item{number}"


def _words(value: str) -> tuple[tuple[str, str], ...]:
    # NaN comes first: for DuckDB it is greater than any number.
    return ((f"isnan({value})", "NaN"), (f"{value} > 0", "Infinity"), (f"{value} < 0", "-Infinity"))


def _iso_time(value: str) -> str:
    """Return a time in UTC as `2026-09-01T00:00:00.000Z`; years without exactly four digits have a sign."""
    local = f"({value} AT TIME ZONE 'UTC')"
    exact = (
        f"CASE WHEN epoch_us({value}) % 1000 = 0 THEN strftime({local}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        f" ELSE strftime({local}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
    )
    far = f"{_signed_year(local)} || strftime({local}, '-%m-%dT%H:%M:%S.%fZ')"
    return f"CASE WHEN year({local}) BETWEEN 1 AND 9999 THEN {exact} ELSE {far} END"


def _iso_date(value: str) -> str:
    """Return a date as `2026-09-01`; years without exactly four digits have a sign."""
    usual, far = f"strftime({value}, '%Y-%m-%d')", f"{_signed_year(value)} || strftime({value}, '-%m-%d')"
    return f"CASE WHEN year({value}) BETWEEN 1 AND 9999 THEN {usual} ELSE {far} END"


def _signed_year(value: str) -> str:
    return f"format('{{:+05d}}', year({value}))"
