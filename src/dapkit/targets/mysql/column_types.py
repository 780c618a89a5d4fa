"""PURE: the types of columns in MySQL and MariaDB."""

import re

from dapkit.model import JSON_KINDS, ColumnType, TypeKind
from dapkit.targets.sql.dialect import (
    MARKER_LENGTH,
    PACKED_TYPES,
    SERVER_TYPES,
    converts_as_stored,
    text_literal,
)

_LONGEST = 16_383
"""The most characters, of four bytes each, of a varchar; longer texts are a mediumtext."""

LONGEST_KEY = 255

_TYPES = (
    SERVER_TYPES
    | PACKED_TYPES
    | {
        TypeKind.FLOAT32: "double",
        TypeKind.FLOAT64: "double",
        TypeKind.BOOLEAN: "tinyint",
        TypeKind.DATETIME: "datetime",
        **dict.fromkeys(JSON_KINDS, "json"),
    }
)
_AS_TEXT = frozenset(
    {TypeKind.INT16, TypeKind.INT32, TypeKind.INT64, TypeKind.TEXT, TypeKind.ENUM, TypeKind.DATE, TypeKind.UUID}
)
"""Kinds whose values as text are what the service writes; UUIDs need a conversion."""

_WIDTH = re.compile(r"^(tinyint|smallint|int|bigint)\(\d+\)")
_CHARSET = re.compile(r" character set [a-z0-9_]+ collate [a-z0-9_]+$", re.IGNORECASE)


def literal(text: str) -> str:
    """Write a text, in which backslashes begin escapes."""
    return text_literal(text.replace("\\", "\\\\"))


def column_type(type_: ColumnType, exact: str, *, key: bool) -> str:
    """Write a type. Texts of a key are bounded, and in the exact collation."""
    match type_.kind:
        case TypeKind.DECIMAL:
            return f"decimal({type_.precision},{type_.scale})"
        case TypeKind.TEXT if key:
            length = LONGEST_KEY if type_.length is None else type_.length
            length = max(length, MARKER_LENGTH) if type_.marker else length
            return f"varchar({length}) CHARACTER SET utf8mb4 COLLATE {exact}"
        case TypeKind.TEXT:
            length = max(type_.length or 0, MARKER_LENGTH if type_.marker else 0)
            bounded = type_.length is not None and length <= _LONGEST
            return f"varchar({length})" if bounded else "mediumtext"
        case TypeKind.DATETIME | TypeKind.TIME if type_.precision:
            return f"{_TYPES[type_.kind]}({type_.precision})"
        case TypeKind.ENUM:
            values = ", ".join(map(literal, type_.values))
            ascii_ = all(value.isascii() for value in type_.values)
            charset = "ascii COLLATE ascii_bin" if ascii_ else "utf8mb4 COLLATE utf8mb4_bin"
            return f"ENUM ({values}) CHARACTER SET {charset}"
    return _TYPES[type_.kind]


def plain_type(type_: str) -> str:
    """Return a type in a form in which the catalogues of all servers agree."""
    plain = _WIDTH.sub(r"\1", _CHARSET.sub("", type_).strip())
    if plain.lower().startswith("enum"):
        return "enum" + plain[4:].replace(" ", "").replace("\\\\", "\\")
    plain = plain.lower()
    return {"integer": "int", "json": "longtext"}.get(plain, plain)


def alters(before: ColumnType, after: ColumnType) -> bool:
    """Whether ALTER TABLE converts a column's stored values correctly into another type."""
    return converts_as_stored(before, after, _AS_TEXT)
