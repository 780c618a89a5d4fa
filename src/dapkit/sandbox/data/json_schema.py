"""A table's JSON Schema as the service publishes it (draft 2020-12)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from dapkit.sandbox.data.catalogue import TRUNCATED, UNSPECIFIED, Column, Kind, Table

_SIMPLE: dict[Kind, dict[str, Any]] = {
    Kind.INT16: {"type": "integer", "format": "int16"},
    Kind.INT32: {"type": "integer", "format": "int32"},
    Kind.INT64: {"type": "integer", "format": "int64"},
    Kind.FLOAT32: {"type": "number", "format": "float32"},
    Kind.FLOAT64: {"type": "number", "format": "float64"},
    Kind.NUMBER: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.JSON: {"type": "string"},
    Kind.DATETIME: {"type": "string", "format": "date-time"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.TIME: {"type": "string", "format": "time"},
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.IPV4: {"type": "string", "format": "ipv4"},
    Kind.IPV6: {"type": "string", "format": "ipv6"},
    Kind.IP: {"oneOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]},
    Kind.FREE_OBJECT: {"type": "object"},
    Kind.ANY: {},
}


def json_schema(table: Table) -> dict[str, Any]:
    """Return the schema of a table's records, which consist of `meta`, `key` and `value`."""
    title = f"The {table.name.replace('_', ' ')} of {table.namespace}."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "meta": {
                "type": "object",
                "properties": {
                    "ts": {"type": "string", "format": "date-time"},
                    "action": {"type": "string", "enum": ["U", "D"]},
                },
                "required": ["ts"],
                "additionalProperties": False,
            },
            "key": {"title": title, **_record(table.key, described=True)},
            "value": {"title": title, **_record(table.value, described=True)},
        },
        "required": ["key"],
        "additionalProperties": False,
    }


def _record(columns: Sequence[Column], *, described: bool) -> dict[str, Any]:
    properties = {column.name: _column(column) for column in columns}
    if described:
        for column in columns:
            properties[column.name]["description"] = _description(column)
    return {
        "type": "object",
        "properties": properties,
        "required": [column.name for column in columns if not column.nullable],
        "additionalProperties": False,
    }


def _description(column: Column) -> str:
    words = column.name.replace("_", " ").capitalize()
    if not column.references:
        return f"{words}."
    return f"{words}: the key of {' or '.join(name.partition('.')[2] for name in column.references)}."


def _column(column: Column) -> dict[str, Any]:
    match column.kind:
        case Kind.STRING:
            return _text(column)
        case Kind.TRUNCATABLE:
            return {"oneOf": [{"type": "string", "const": TRUNCATED}, _text(column)]}
        case Kind.ENUM:
            return {"type": "string", "enum": [*column.values, UNSPECIFIED]}
        case Kind.OPEN_ENUM:
            # Lists only the marker: with two or more values, the official client creates a type and a table of the same
            # name, and fails.
            return {"oneOf": [{"type": "string", "enum": [UNSPECIFIED]}, _text(column)]}
        case Kind.INTEGER_ENUM:
            return {**_SIMPLE[column.integer], "enum": list(column.values)}
        case Kind.DECIMAL:
            return _decimal(column)
        case Kind.ARRAY:
            assert column.items is not None
            return {"type": "array", "items": _column(column.items)}
        case Kind.OBJECT:
            title = f"Type extracted from column {column.name}"
            return {"title": title, **_record(column.fields, described=False)}
        case _:
            return dict(_SIMPLE[column.kind])


def _text(column: Column) -> dict[str, Any]:
    return {"type": "string"} if column.max_length is None else {"type": "string", "maxLength": column.max_length}


def _decimal(column: Column) -> dict[str, Any]:
    assert column.precision is not None
    assert column.scale is not None
    bound = 10 ** (column.precision - column.scale)
    step = float(Decimal(1).scaleb(-column.scale)) if column.scale else 1
    return {"type": "number", "multipleOf": step, "exclusiveMinimum": -bound, "exclusiveMaximum": bound}
