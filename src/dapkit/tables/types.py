"""PURE: the types of a flat table's columns, in DuckDB's terms, in those of JSON, and in Spark's.

A flat table has the schema's columns, key first, without the prefixes `key.` and `value.`. These types are readable
everywhere: UUIDs, times of day and addresses are texts, since Spark and Polars cannot read such Parquet columns; enums
are texts, which Parquet stores as dictionaries.
"""

from collections.abc import Callable, Sequence

from dapkit.decode.tsv_sql import quote_identifier
from dapkit.model import JSON_KINDS, Column, ColumnType, Nested, TypeKind

MAX_PRECISION = 38
"""Digits of the largest decimal that DuckDB, Parquet readers and Spark have; larger ones are texts."""


_SIMPLE = {
    TypeKind.INT16: ("SMALLINT", "short"),
    TypeKind.INT32: ("INTEGER", "integer"),
    TypeKind.INT64: ("BIGINT", "long"),
    TypeKind.FLOAT32: ("FLOAT", "float"),
    TypeKind.FLOAT64: ("DOUBLE", "double"),
    TypeKind.BOOLEAN: ("BOOLEAN", "boolean"),
    TypeKind.DATETIME: ("TIMESTAMP WITH TIME ZONE", "timestamp"),
    TypeKind.DATE: ("DATE", "date"),
}
_TEXT = ("VARCHAR", "string")
_NUMBERS = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.FLOAT32, TypeKind.FLOAT64, TypeKind.BOOLEAN}
)
_DOUBLE_DIGITS = 15
"""Digits of a decimal that DuckDB's JSON, which has doubles, always keeps."""


def flat_type(type_: ColumnType, nested: Nested) -> str:
    """Return the type of a column in a flat table, as DuckDB writes it."""
    if is_decimal(type_):
        return f"DECIMAL({type_.precision},{type_.scale})"
    if is_structured(type_, nested):
        return _nested_type(type_, lambda each: flat_type(each, nested))
    return _SIMPLE.get(type_.kind, _TEXT)[0]


def json_type(type_: ColumnType) -> str:
    """Return the type with which DuckDB reads a value from JSON, to be converted afterwards.

    DuckDB would read 1.7, true and "1" as integers, and would drop unknown members of objects. So these are read as
    JSON, in which they differ. A text is read as a text, which is much faster; a number in its place becomes the text
    that CSV and TSV have, which do not know the difference.
    """
    if is_decimal(type_) and type_.precision > _DOUBLE_DIGITS:
        # With all the digits there are, so that a rounded value would be noticed.
        return f"DECIMAL({MAX_PRECISION},{MAX_PRECISION - type_.precision + type_.scale})"
    as_json = type_.kind in _NUMBERS or type_.kind in JSON_KINDS or is_decimal(type_)
    return "JSON" if as_json else "VARCHAR"


def struct_type(columns: Sequence[Column], type_of: Callable[[ColumnType], str]) -> str:
    """Return a struct with a field for each column."""
    return f"STRUCT({', '.join(f'{quote_identifier(each.name)} {type_of(each.type)}' for each in columns)})"


def spark_type(type_: ColumnType, nested: Nested) -> object:
    """Return the type as Spark's JSON schema has it."""
    if is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    if not is_structured(type_, nested):
        return _SIMPLE.get(type_.kind, _TEXT)[1]
    if type_.items is not None:
        return {"type": "array", "elementType": spark_type(type_.items, nested), "containsNull": True}
    return {"type": "struct", "fields": spark_fields(type_.fields, nested)}


def spark_fields(columns: Sequence[Column], nested: Nested) -> list[dict[str, object]]:
    """Return columns as fields of Spark's JSON schema, with their descriptions."""
    return [spark_field(each.name, spark_type(each.type, nested), each.comment) for each in columns]


def spark_field(name: str, type_: object, comment: str | None = None) -> dict[str, object]:
    """Return a field of Spark's JSON schema; `comment` is its description."""
    return {"name": name, "type": type_, "nullable": True, "metadata": {"comment": comment} if comment else {}}


def is_decimal(type_: ColumnType) -> bool:
    """Whether a value is stored as a decimal."""
    return type_.kind is TypeKind.DECIMAL and type_.precision <= MAX_PRECISION


def is_structured(type_: ColumnType, nested: Nested) -> bool:
    """Whether a value is stored as a list or a struct, rather than as JSON text."""
    return nested is Nested.STRUCT and type_.kind in (TypeKind.ARRAY, TypeKind.OBJECT)


def _nested_type(type_: ColumnType, type_of: Callable[[ColumnType], str]) -> str:
    if type_.items is not None:
        return f"{type_of(type_.items)}[]"
    return struct_type(type_.fields, type_of)
