"""Schemas of made-up tables, as the service serves them: JSON Schema, written out in full."""

from collections.abc import Iterable, Mapping
from typing import Any

from dapkit.model import Table, VersionedSchema
from dapkit.schema import read_table

__all__ = ["INT32", "INT64", "TEXT", "Node", "table_of"]

Node = dict[str, Any]

INT32: Node = {"type": "integer", "format": "int32"}
INT64: Node = {"type": "integer", "format": "int64"}
TEXT: Node = {"type": "string"}

_META = {
    "type": "object",
    "properties": {
        "ts": {"type": "string", "format": "date-time"},
        "action": {"type": "string", "enum": ["U", "D"]},
    },
    "required": ["ts"],
    "additionalProperties": False,
}


def table_of(
    value: Mapping[str, Node],
    *,
    key: Mapping[str, Node] | None = None,
    required: Iterable[str] = (),
    version: int = 1,
    name: str = "things",
    namespace: str = "canvas",
) -> Table:
    """Return a table with these columns; its key is a 64-bit `id` unless another is given."""
    keys = key or {"id": INT64}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "meta": _META,
            "key": _record(keys, keys) | {"title": "Things that a college has, and what's said of them."},
            "value": _record(value, required),
        },
        "required": ["key"],
        "additionalProperties": False,
    }
    return read_table(VersionedSchema(namespace=namespace, table=name, version=version, document=document))


def _record(properties: Mapping[str, Node], required: Iterable[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
