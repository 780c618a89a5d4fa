"""PURE: the service's JSON Schema of a table as a `Table`, and the difference between two versions of one.

What the service may write is in its own documentation of schemas; whatever is not understood becomes `FREE`, JSON
that is kept as it is, so that a column is never lost.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from dapkit.errors import UnexpectedAnswerError
from dapkit.model import Column, Kind, Table, Type, VersionedSchema

__all__ = ["UNSPECIFIED", "SchemaDifference", "difference", "read_table", "widens"]

UNSPECIFIED = "__dap_unspecified__"
"""The value of an enum that stands for those which its schema does not know yet."""

_INTEGERS = {"int16": Kind.INT16, "int32": Kind.INT32, "int64": Kind.INT64}
_NUMBERS = {"float32": Kind.FLOAT32, "float64": Kind.FLOAT64}
_STRINGS = {
    "date-time": Kind.DATETIME,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "uuid": Kind.UUID,
    "ipv4": Kind.IPV4,
    "ipv6": Kind.IPV6,
}

Node = Mapping[str, Any]


def read_table(schema: VersionedSchema) -> Table:
    """Return the table that a schema describes.

    Raises:
        UnexpectedAnswerError: it has no key, or is no schema of a table.
    """
    properties = _object(schema.document, "properties")
    key, value = _object(properties, "key"), _object(properties, "value")
    columns = tuple(replace(column, required=True) for column in _columns(key))
    if not columns:
        raise UnexpectedAnswerError(f"The schema of {schema.table} has no key", table=schema.table)
    return Table(
        namespace=schema.namespace,
        name=schema.table,
        version=schema.version,
        key=columns,
        value=_columns(value),
        comment=_text(key, "title") or _text(value, "title"),
        schema=schema,
    )


def _columns(record: Node) -> tuple[Column, ...]:
    required = record.get("required")
    names = frozenset(required) if isinstance(required, Sequence) else frozenset()
    return tuple(_column(name, node, required=name in names) for name, node in _object(record, "properties").items())


def _column(name: str, node: Any, *, required: bool) -> Column:
    if not isinstance(node, Mapping):
        return Column(name=name, type=Type(kind=Kind.FREE), required=required)
    return Column(
        name=name,
        type=_type(node),
        required=required,
        default=json.dumps(node["default"]) if node.get("default") is not None else None,
        comment=_text(node, "title") or _text(node, "description"),
    )


def _type(node: Node) -> Type:
    alternatives = node.get("oneOf") or node.get("anyOf")
    if isinstance(alternatives, Sequence):
        return _union([each for each in alternatives if isinstance(each, Mapping)])
    form = node.get("format")
    match node.get("type"):
        case "integer":
            return Type(kind=_INTEGERS.get(str(form), Kind.INT16 if "enum" in node else Kind.INT64))
        case "number":
            return _number(node, str(form))
        case "boolean":
            return Type(kind=Kind.BOOLEAN)
        case "string":
            return _string(node, str(form))
        case "array":
            items = node.get("items")
            return Type(kind=Kind.ARRAY, items=_type(items) if isinstance(items, Mapping) else Type(kind=Kind.FREE))
        case "object" if _object(node, "properties"):
            return Type(kind=Kind.OBJECT, fields=_columns(node))
    return Type(kind=Kind.FREE)


def _number(node: Node, form: str) -> Type:
    step = _decimal(node.get("multipleOf"))
    bound = _decimal(node.get("exclusiveMaximum"))
    if step is None or bound is None:
        return Type(kind=_NUMBERS.get(form, Kind.FLOAT64))
    scale = max(0, -int(step.normalize().as_tuple().exponent))
    return Type(kind=Kind.DECIMAL, precision=bound.adjusted() + scale, scale=scale)


def _string(node: Node, form: str) -> Type:
    values = node.get("enum")
    if isinstance(values, Sequence):
        return Type(kind=Kind.ENUM, values=tuple(map(str, values)))
    length = node.get("maxLength")
    return Type(kind=_STRINGS.get(form, Kind.TEXT), length=length if isinstance(length, int) else None)


def _union(nodes: Sequence[Node]) -> Type:
    """Return the type of alternatives: an address of either kind, an open enum, or a text or its marker."""
    kinds = {_type(node).kind for node in nodes}
    if kinds and kinds <= {Kind.IPV4, Kind.IPV6, Kind.IP}:
        return Type(kind=Kind.IP)
    if not kinds or not all(node.get("type") == "string" for node in nodes):
        return Type(kind=Kind.FREE)
    for node in nodes:
        if "enum" in node:
            return Type(kind=Kind.OPEN_ENUM, values=_type(node).values)
    texts = [_type(node) for node in nodes if "const" not in node]
    length = texts[0].length if len(texts) == 1 else None
    return Type(kind=Kind.TEXT, length=length, marker=len(texts) < len(nodes))


def _decimal(value: object) -> Decimal | None:
    try:
        return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None


def _object(node: Node, name: str) -> Node:
    value = node.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(node: Node, name: str) -> str | None:
    value = node.get(name)
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDifference:
    """How a table's columns changed from one version of its schema to another.

    Attributes:
        added: new columns.
        dropped: columns that are gone.
        altered: columns of both, as they were and as they are, whose type or requiredness changed.
        key_changed: whether the key has other columns.
    """

    added: tuple[Column, ...]
    dropped: tuple[Column, ...]
    altered: tuple[tuple[Column, Column], ...]
    key_changed: bool

    @property
    def empty(self) -> bool:
        """Whether nothing changed that a database would notice."""
        return not (self.added or self.dropped or self.altered or self.key_changed)


def difference(before: Table, after: Table) -> SchemaDifference:
    """Return what changed between two versions of a table's schema, comments left aside."""
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    altered = tuple(
        (old[name], column)
        for name, column in new.items()
        if name in old and (old[name].type, old[name].required) != (column.type, column.required)
    )
    return SchemaDifference(
        added=tuple(column for name, column in new.items() if name not in old),
        dropped=tuple(column for name, column in old.items() if name not in new),
        altered=altered,
        key_changed=[column.name for column in before.key] != [column.name for column in after.key],
    )


_WIDER: Mapping[Kind, frozenset[Kind]] = {
    Kind.INT16: frozenset({Kind.INT32, Kind.INT64, Kind.FLOAT32, Kind.FLOAT64, Kind.TEXT}),
    Kind.INT32: frozenset({Kind.INT64, Kind.FLOAT64, Kind.TEXT}),
    Kind.INT64: frozenset({Kind.TEXT}),
    Kind.FLOAT32: frozenset({Kind.FLOAT64}),
    Kind.ENUM: frozenset({Kind.OPEN_ENUM, Kind.TEXT}),
    Kind.OPEN_ENUM: frozenset({Kind.TEXT}),
    Kind.DATE: frozenset({Kind.TEXT}),
    Kind.UUID: frozenset({Kind.TEXT}),
    Kind.IPV4: frozenset({Kind.IP, Kind.TEXT}),
    Kind.IPV6: frozenset({Kind.IP, Kind.TEXT}),
    Kind.IP: frozenset({Kind.TEXT}),
    Kind.OBJECT: frozenset({Kind.FREE}),
}


def widens(before: Type, after: Type) -> bool:
    """Whether every value of one type is, written by the service in the same way, a value of another too."""
    if before.kind is not after.kind:
        fits = after.length is None or before.kind not in (Kind.ENUM, Kind.OPEN_ENUM)
        return fits and after.kind in _WIDER.get(before.kind, frozenset())
    match before.kind:
        case Kind.DECIMAL:
            whole = after.precision - after.scale >= before.precision - before.scale
            return whole and after.scale >= before.scale
        case Kind.TEXT:
            return after.length is None or (before.length is not None and before.length <= after.length)
        case Kind.ENUM:
            return set(before.values) <= set(after.values)
        case Kind.ARRAY:
            assert before.items is not None
            assert after.items is not None
            return widens(before.items, after.items)
    return True
