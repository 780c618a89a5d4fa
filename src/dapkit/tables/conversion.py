"""PURE: SQL expressions that turn a value of a downloaded file into a value of a flat table.

A file holds a value as text (CSV, TSV), as JSON (JSONL, and arrays and condensed objects in CSV and TSV) or in another
type (Parquet). Conversions are exact or fail; DuckDB's casts alone round '1.7' to 2 and take 'yes' for true.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from dapkit.decode.tsv_sql import quote_identifier, text_literal
from dapkit.model import ColumnType, Nested, TypeKind
from dapkit.tables.json_text import json_text, parameter
from dapkit.tables.types import flat_type, is_structured, json_type

BAD_VALUE = "dapkit: bad value of column "
"""How the message of a conversion error begins that an expression of this module raises; the column follows."""

_INTEGERS = (TypeKind.INT16, TypeKind.INT32, TypeKind.INT64)
_TIMES = (TypeKind.DATETIME, TypeKind.DATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileType:
    """The type of a value in a Parquet file: its name, and those of its items or fields if it is nested."""

    name: str
    items: "FileType | None" = None
    fields: tuple[tuple[str, "FileType"], ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it holds texts."""
        return self.name == "VARCHAR"


def from_text(type_: ColumnType, text: str, nested: Nested, column: str) -> str:
    """Return the value of a text.

    Args:
        type_: of the value.
        text: an expression of type VARCHAR, evaluated several times.
        nested: how arrays and objects are stored.
        column: its name, for errors.
    """
    type_name = flat_type(type_, nested)
    if type_.kind in _INTEGERS:
        # Exact only if writing the number gives the text again; this is much cheaper than a regular expression.
        value = f"CAST({text} AS {type_name})"
        return (
            f"CASE WHEN CAST({value} AS VARCHAR) = {text} THEN {value} WHEN {text} IS NOT NULL THEN {_bad(column)} END"
        )
    if type_.kind is TypeKind.BOOLEAN:
        return f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false ELSE {_bad(column, unless_null=text)} END"
    if type_.kind in _TIMES:
        return f"CAST(ltrim({text}, '+') AS {type_name})"  # DuckDB does not know the sign of years beyond 9999
    if type_.kind is TypeKind.UNTYPED:
        return f"nullif({text}, 'null')"  # JSONL cannot tell JSON's null from a missing value
    if is_structured(type_, nested):
        return from_json(type_, f"from_json({text}, {text_literal(json_structure(type_))})", nested, column)
    return text if type_name == "VARCHAR" else f"CAST({text} AS {type_name})"


def from_json(type_: ColumnType, value: str, nested: Nested, column: str) -> str:
    """Return the value of one that DuckDB has read from JSON as `json_type` says. Arguments as in `from_text`."""
    if type_.kind in _TIMES:
        return from_text(type_, value, nested, column)
    if type_.kind is TypeKind.UNTYPED:
        return f"nullif(CAST({value} AS VARCHAR), 'null')"
    if is_structured(type_, nested):
        return _rebuilt(type_, value, lambda each, sql, _: from_json(each, sql, nested, column))
    if type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT):
        return json_text(type_, from_json(type_, value, Nested.STRUCT, column))
    return value


def from_parquet(type_: ColumnType, value: str, file_type: FileType, nested: Nested, column: str) -> str:
    """Return the value of a value in a Parquet file, which already has a type. Arguments as in `from_text`."""
    if file_type.is_text:
        return from_text(type_, value, nested, column)
    if is_structured(type_, nested):
        inner = dict(file_type.fields)

        def convert(each: ColumnType, sql: str, name: str | None) -> str:
            found = file_type.items if name is None else inner.get(name)
            if found is None:
                return f"CAST(NULL AS {flat_type(each, nested)})"
            return from_parquet(each, sql, found, nested, column)

        return _rebuilt(type_, value, convert)
    if type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT):
        return json_text(type_, from_parquet(type_, value, file_type, Nested.STRUCT, column))
    return f"CAST({value} AS {flat_type(type_, nested)})"


def json_structure(type_: ColumnType) -> str:
    """Return what DuckDB's from_json reads, in its own notation, which is JSON."""

    def structure(each: ColumnType) -> object:
        if is_structured(each, Nested.STRUCT):
            return (
                [structure(each.items)] if each.items else {field.name: structure(field.type) for field in each.fields}
            )
        return json_type(each)

    return json.dumps(structure(type_), ensure_ascii=False)


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
    empty = " AND ".join(f"{sql} IS NULL" for sql in fields.values())
    return f"CASE WHEN {empty} THEN NULL ELSE struct_pack({values}) END"


def _bad(column: str, unless_null: str | None = None) -> str:
    raised = f"error({text_literal(BAD_VALUE + column)})"
    return raised if unless_null is None else f"CASE WHEN {unless_null} IS NOT NULL THEN {raised} END"
