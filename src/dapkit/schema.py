"""PURE: a table's JSON Schema as a `Table`, and the difference between two versions of it.

The service documents what its schemas may contain. Whatever is not understood becomes `UNTYPED`, JSON that is stored as
it is, so that a column is never lost.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from dapkit.errors import UnexpectedResponseError
from dapkit.model import Column, ColumnType, Table, TypeKind, VersionedSchema

UNSPECIFIED = "__dap_unspecified__"
"""The enum value that the service writes for values that the schema does not know yet."""

_INTEGERS = {"int16": TypeKind.INT16, "int32": TypeKind.INT32, "int64": TypeKind.INT64}
_NUMBERS = {"float32": TypeKind.FLOAT32, "float64": TypeKind.FLOAT64}
_STRINGS = {
    "date-time": TypeKind.DATETIME,
    "date": TypeKind.DATE,
    "time": TypeKind.TIME,
    "uuid": TypeKind.UUID,
    "ipv4": TypeKind.IPV4,
    "ipv6": TypeKind.IPV6,
}

Node = Mapping[str, Any]


def read_table(schema: VersionedSchema) -> Table:
    """Return the table that a schema describes.

    Raises:
        UnexpectedResponseError: it has no key, so it is not the schema of a table.
    """
    properties = _object(schema.document, "properties")
    key, value = _object(properties, "key"), _object(properties, "value")
    columns = tuple(replace(column, required=True) for column in _columns(key))
    if not columns:
        raise UnexpectedResponseError(f"The schema of {schema.table} has no key", table=schema.table)
    return Table(
        namespace=schema.namespace,
        name=schema.table,
        version=schema.version,
        key=columns,
        value=_columns(value),
        # The official client uses the top-level title only; the service writes titles of key and value.
        comment=_text(schema.document, "title") or _text(key, "title") or _text(value, "title"),
        schema=schema,
    )


def column_descriptions(schema: VersionedSchema) -> dict[str, str]:
    """Return the descriptions of columns by name. `Column.comment` prefers titles, as the official client does."""
    properties = _object(schema.document, "properties")
    nodes = {**_object(_object(properties, "value"), "properties"), **_object(_object(properties, "key"), "properties")}
    found = {name: _text(node, "description") for name, node in nodes.items() if isinstance(node, Mapping)}
    return {name: text for name, text in found.items() if text is not None}


def _columns(record: Node) -> tuple[Column, ...]:
    required = record.get("required")
    names = frozenset(required) if isinstance(required, Sequence) else frozenset()
    return tuple(_column(name, node, required=name in names) for name, node in _object(record, "properties").items())


def _column(name: str, node: Any, *, required: bool) -> Column:
    if not isinstance(node, Mapping):
        return Column(name=name, type=ColumnType(kind=TypeKind.UNTYPED), required=required)
    return Column(
        name=name,
        type=_type(node),
        required=required,
        default=json.dumps(node["default"]) if node.get("default") is not None else None,
        comment=_text(node, "title") or _text(node, "description"),
    )


def _type(node: Node) -> ColumnType:
    alternatives = node.get("oneOf") or node.get("anyOf")
    if isinstance(alternatives, Sequence):
        return _union([node for node in alternatives if isinstance(node, Mapping)])
    form = node.get("format")
    match node.get("type"):
        case "integer":
            # Integers without a format are enumerations, whose few values fit into 16 bits, or anything up to 64 bits.
            return ColumnType(kind=_INTEGERS.get(str(form), TypeKind.INT16 if "enum" in node else TypeKind.INT64))
        case "number":
            return _number(node, str(form))
        case "boolean":
            return ColumnType(kind=TypeKind.BOOLEAN)
        case "string":
            return _string(node, str(form))
        case "array":
            items = node.get("items")
            return ColumnType(
                kind=TypeKind.ARRAY,
                items=_type(items) if isinstance(items, Mapping) else ColumnType(kind=TypeKind.UNTYPED),
            )
        case "object" if _object(node, "properties"):
            return ColumnType(kind=TypeKind.OBJECT, fields=_columns(node))
    return ColumnType(kind=TypeKind.UNTYPED)


def _number(node: Node, form: str) -> ColumnType:
    # A decimal is a number with a step (0.01: two places) and a bound (1000: three digits before the point).
    step = _decimal(node.get("multipleOf"))
    bound = _decimal(node.get("exclusiveMaximum"))
    if step is None or bound is None:
        return ColumnType(kind=_NUMBERS.get(form, TypeKind.FLOAT64))
    scale = max(0, -int(step.normalize().as_tuple().exponent))
    return ColumnType(kind=TypeKind.DECIMAL, precision=bound.adjusted() + scale, scale=scale)


def _string(node: Node, form: str) -> ColumnType:
    values = node.get("enum")
    if isinstance(values, Sequence):
        return ColumnType(kind=TypeKind.ENUM, values=tuple(map(str, values)))
    length = node.get("maxLength")
    return ColumnType(kind=_STRINGS.get(form, TypeKind.TEXT), length=length if isinstance(length, int) else None)


def _union(nodes: Sequence[Node]) -> ColumnType:
    """Return the type of a union: an IP address of either version, an open enum, or a text or its marker."""
    kinds = {_type(node).kind for node in nodes}
    if kinds and kinds <= {TypeKind.IPV4, TypeKind.IPV6, TypeKind.IP}:
        return ColumnType(kind=TypeKind.IP)
    if not kinds or not all(node.get("type") == "string" for node in nodes):
        return ColumnType(kind=TypeKind.UNTYPED)
    for node in nodes:
        if "enum" in node:
            return ColumnType(kind=TypeKind.OPEN_ENUM, values=_type(node).values)
    texts = [_type(node) for node in nodes if "const" not in node]
    length = texts[0].length if len(texts) == 1 else None
    return ColumnType(kind=TypeKind.TEXT, length=length, marker=len(texts) < len(nodes))


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
    """The differences between the columns of two versions of a schema.

    Attributes:
        added: columns that only the new version has.
        dropped: columns that only the old version has.
        altered: columns whose type or `required` changed, as (old, new).
        key_changed: whether the key consists of other columns.
    """

    added: tuple[Column, ...]
    dropped: tuple[Column, ...]
    altered: tuple[tuple[Column, Column], ...]
    key_changed: bool

    @property
    def empty(self) -> bool:
        """Whether a table in a database stays as it is."""
        return not (self.added or self.dropped or self.altered or self.key_changed)


def difference(before: Table, after: Table) -> SchemaDifference:
    """Return what changed between two versions of a table's schema, except comments."""
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


# Only conversions without any loss: a 64-bit integer does not fit into a float, nor a 32-bit one into a 32-bit float.
_WIDER: Mapping[TypeKind, frozenset[TypeKind]] = {
    TypeKind.INT16: frozenset({TypeKind.INT32, TypeKind.INT64, TypeKind.FLOAT32, TypeKind.FLOAT64, TypeKind.TEXT}),
    TypeKind.INT32: frozenset({TypeKind.INT64, TypeKind.FLOAT64, TypeKind.TEXT}),
    TypeKind.INT64: frozenset({TypeKind.TEXT}),
    TypeKind.FLOAT32: frozenset({TypeKind.FLOAT64}),
    TypeKind.ENUM: frozenset({TypeKind.OPEN_ENUM, TypeKind.TEXT}),
    TypeKind.OPEN_ENUM: frozenset({TypeKind.TEXT}),
    TypeKind.DATE: frozenset({TypeKind.TEXT}),
    TypeKind.UUID: frozenset({TypeKind.TEXT}),
    TypeKind.IPV4: frozenset({TypeKind.IP, TypeKind.TEXT}),
    TypeKind.IPV6: frozenset({TypeKind.IP, TypeKind.TEXT}),
    TypeKind.IP: frozenset({TypeKind.TEXT}),
    TypeKind.OBJECT: frozenset({TypeKind.UNTYPED}),
}


def widens(before: ColumnType, after: ColumnType) -> bool:
    """Whether every value of one type, as the service writes it, is also a value of the other."""
    if before.kind is not after.kind:
        fits = after.length is None or before.kind not in (TypeKind.ENUM, TypeKind.OPEN_ENUM)
        return fits and after.kind in _WIDER.get(before.kind, frozenset())
    match before.kind:
        case TypeKind.DECIMAL:
            integer_digits_fit = after.precision - after.scale >= before.precision - before.scale
            return integer_digits_fit and after.scale >= before.scale
        case TypeKind.TEXT:
            return after.length is None or (before.length is not None and before.length <= after.length)
        case TypeKind.ENUM:
            return set(before.values) <= set(after.values)
        case TypeKind.ARRAY:
            assert before.items is not None
            assert after.items is not None
            return widens(before.items, after.items)
    return True
