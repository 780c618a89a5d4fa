"""PURE: SQL expressions that turn a value of a downloaded file into a value of a flat table.

A file holds a value as text (CSV, TSV), as JSON (JSONL, and arrays and condensed objects in CSV and TSV) or in another
type (Parquet). Conversions are exact or fail. DuckDB's casts alone are not: they round '1.7' to 2, take 'yes' for true
and '1e400' for infinity, and its `from_json` makes nulls of what does not fit. So a value is converted with TRY_CAST
and compared with what it was made of, in the cheapest way that is sure.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from dapkit.decode.tsv_sql import quote_identifier, text_literal
from dapkit.model import ColumnType, Nested, TypeKind
from dapkit.tables.json_text import json_text, parameter
from dapkit.tables.types import flat_type, is_decimal, is_structured, json_type

BAD_VALUE = "dapkit: bad value of column "
"""How the message of a conversion error begins that an expression of this module raises; the column follows."""

_INTEGERS = (TypeKind.INT16, TypeKind.INT32, TypeKind.INT64)
_FLOATS = (TypeKind.FLOAT32, TypeKind.FLOAT64)
_NUMBERS = (*_INTEGERS, *_FLOATS, TypeKind.BOOLEAN)
_WORDS = ("NaN", "Infinity", "-Infinity")
"""Floats that are not numbers; in JSON they are texts."""

_DATE = r"[+-]?\d{4,6}-\d\d-\d\d"
_USUAL_TIME = "____-__-__T__:__:__.___Z"
_TIME = rf"{_DATE}[T ]\d\d:\d\d:\d\d(\.\d{{1,6}}0*)?(Z|[+-]\d\d(:?\d\d)?)?"
"""Times with more digits than microseconds would be cut, and 'epoch' or 'infinity' are times for DuckDB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileType:
    """The type of a value in a Parquet file: its name, and those of its items or fields if it is nested."""

    name: str
    items: "FileType | None" = None
    fields: tuple[tuple[str, "FileType"], ...] = ()


def from_text(type_: ColumnType, text: str, nested: Nested, column: str) -> str:
    """Return the flat value of a text.

    Args:
        type_: of the value.
        text: an expression of type VARCHAR, evaluated several times.
        nested: how arrays and objects are stored.
        column: its name, for errors.
    """
    if type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT):
        value = _from_json_text(type_, text, column)
        return value if is_structured(type_, nested) else once(value, lambda each: json_text(type_, each))
    if type_.kind is TypeKind.UNTYPED:
        # JSONL cannot tell JSON's null from a missing value.
        return f"CASE WHEN {text} = 'null' THEN NULL WHEN json_valid({text}) THEN {text} {_else_bad(text, column)} END"
    type_name = flat_type(type_, nested)
    value = f"TRY_CAST({text} AS {type_name})"
    if type_.kind in _INTEGERS:
        exact = f"WHEN CAST({value} AS VARCHAR) = {text} THEN {value}"
    elif type_.kind is TypeKind.BOOLEAN:
        exact = f"WHEN {text} = 'true' THEN true WHEN {text} = 'false' THEN false"
    elif type_.kind in _FLOATS:
        words = ", ".join(map(text_literal, _WORDS))
        exact = f"WHEN isfinite({value}) AND NOT contains({text}, '_') OR {text} IN ({words}) THEN {value}"
    elif is_decimal(type_):
        fraction = rf"\.\d{{1,{type_.scale}}}0*" if type_.scale else r"\.0+"
        exact = _exact(f"CAST({value} AS VARCHAR) = {text}", rf"-?\d+({fraction})?", text, value)
    elif type_.kind is TypeKind.DATE:
        usual = f"CAST({value} AS VARCHAR) = {text} AND isfinite({value})"
        exact = _exact(usual, _DATE, text, _unsigned(text, type_name))
    elif type_.kind is TypeKind.DATETIME:
        usual = f"{value} IS NOT NULL AND {text} LIKE {text_literal(_USUAL_TIME)}"
        exact = f"WHEN {usual} THEN {value} {_exact('false', _TIME, text, _unsigned(text, type_name))}"
    else:
        return text
    return f"CASE {exact} {_else_bad(text, column)} END"


def from_json(type_: ColumnType, value: str, nested: Nested, column: str) -> str:
    """Return the flat value of what DuckDB has read from JSON as `json_type` says. Arguments as in `from_text`."""
    if is_decimal(type_) and json_type(type_) != "JSON":
        return _from_type(type_, value, json_type(type_), column)
    text = f"nullif(CAST({value} AS VARCHAR), 'null')" if json_type(type_) == "JSON" else value
    if type_.kind in _FLOATS:
        words = " ".join(f"WHEN '\"{word}\"' THEN CAST('{word}' AS {flat_type(type_, nested)})" for word in _WORDS)
        return f"CASE {text} {words} ELSE {from_text(type_, text, nested, column)} END"
    return from_text(type_, text, nested, column)


def from_parquet(type_: ColumnType, value: str, file_type: FileType, nested: Nested, column: str) -> str:
    """Return the flat value of what a Parquet file holds in the type `file_type`. Arguments as in `from_text`."""
    if file_type.name == "VARCHAR":
        return from_text(type_, value, nested, column)
    if file_type.name == "BLOB":  # texts that are not marked as such
        text = f"CASE WHEN TRY(decode({value})) IS NOT NULL THEN decode({value}) {_else_bad(value, column)} END"
        return from_text(type_, text, nested, column)
    if type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT):
        rebuilt = _from_nested(type_, value, file_type, column)
        return rebuilt if is_structured(type_, nested) else once(rebuilt, lambda each: json_text(type_, each))
    return _from_type(type_, value, file_type.name, column)


def _from_type(type_: ColumnType, value: str, type_name: str, column: str) -> str:
    """Return the value of one of another type: it must be the same when it is converted back."""
    wanted = flat_type(type_, Nested.STRUCT)
    if wanted == type_name:
        return value
    converted = f"TRY_CAST({value} AS {wanted})"
    exact = f"WHEN TRY_CAST({converted} AS {type_name}) = {value} THEN {converted}"
    return f"CASE {exact} {_else_bad(value, column)} END"


def _from_nested(type_: ColumnType, value: str, file_type: FileType, column: str) -> str:
    inner = dict(file_type.fields)

    def convert(each: ColumnType, sql: str, name: str | None) -> str:
        found = file_type.items if name is None else inner.get(name)
        if found is None:
            return f"CAST(NULL AS {flat_type(each, Nested.STRUCT)})"
        return from_parquet(each, sql, found, Nested.STRUCT, column)

    return _rebuilt(type_, value, convert)


def _from_json_text(type_: ColumnType, text: str, column: str) -> str:
    """Return the list or struct of a text that is JSON, checked level by level.

    `from_json` returns null for JSON of another kind, and ignores members that an object should not have.
    """
    structure: object
    if type_.items is not None:
        structure, known = [json_type(type_.items)], ""
    else:
        structure = {each.name: json_type(each.type) for each in type_.fields}
        names = ", ".join(text_literal(each.name) for each in type_.fields)
        known = f" AND json_type({text}) = 'OBJECT' AND list_has_all([{names}], json_keys({text}))"
    parsed = f"TRY(from_json({text}, {text_literal(json.dumps(structure, ensure_ascii=False))}))"

    def checked(each: str) -> str:
        rebuilt = _rebuilt(type_, each, lambda inner, sql, _: from_json(inner, sql, Nested.STRUCT, column))
        bad = _else_bad(f"nullif(trim({text}), 'null')", column)
        return f"CASE WHEN {each} IS NOT NULL{known} THEN {rebuilt} {bad} END"

    return once(parsed, checked)


def _rebuilt(type_: ColumnType, value: str, convert: Callable[[ColumnType, str, str | None], str]) -> str:
    """Return a list or struct with each item or field converted; a struct without any value is null."""
    if type_.items is not None:
        name = parameter(value)
        return f"list_transform({value}, lambda {name}: {convert(type_.items, name, None)})"
    fields = {each.name: convert(each.type, f"{value}[{text_literal(each.name)}]", each.name) for each in type_.fields}
    return packed(fields)


def packed(fields: dict[str, str]) -> str:
    """Return a struct of expressions; null if all of them are null."""
    values = ", ".join(f"{quote_identifier(name)} := {sql}" for name, sql in fields.items())
    struct = f"struct_pack({values})"

    def without_empty(each: str) -> str:
        empty = " AND ".join(f"{each}[{text_literal(name)}] IS NULL" for name in fields)
        return f"CASE WHEN NOT ({empty}) THEN {each} END"

    return once(struct, without_empty)


def once(value: str, use: Callable[[str], str]) -> str:
    """Return what `use` makes of a value, which is computed only once, as the parameter of a lambda."""
    name = parameter(value)
    return f"list_transform([{value}], lambda {name}: {use(name)})[1]"


def _exact(usual: str, pattern: str, text: str, value: str) -> str:
    """Return branches for texts: regular expressions are slow, so most values should be known to be usual before."""
    matches = f"regexp_full_match({text}, {text_literal(pattern)})"
    return f"WHEN {usual} OR {matches} AND {value} IS NOT NULL THEN {value}"


def _unsigned(text: str, type_name: str) -> str:
    return f"TRY_CAST(ltrim({text}, '+') AS {type_name})"  # DuckDB does not know the sign of years beyond 9999


def _else_bad(value: str, column: str) -> str:
    """Return the last branch: null for null; any other value is a bad one."""
    return f"WHEN {value} IS NOT NULL THEN {bad_value(column)}"


def bad_value(column: str) -> str:
    """Return an expression that raises the error of a bad value."""
    return f"error({text_literal(BAD_VALUE + column)})"
