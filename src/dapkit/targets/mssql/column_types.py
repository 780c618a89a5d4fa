"""PURE: the types of columns as the official client chooses them, and those of the staging table.

Texts are `varchar` with the collation of the database, four bytes for each character. Texts that identify rows (those
of keys, and the values of enums) have a binary collation instead, since most databases treat `a` and `A` as equal.
"""

from dapkit.model import JSON_KINDS, ColumnType, TypeKind
from dapkit.targets.sql.dialect import MARKER_LENGTH, PACKED_TYPES, SERVER_TYPES

BINARY, BINARY_UTF8 = "Latin1_General_100_BIN2", "Latin1_General_100_BIN2_UTF8"
"""Collations that distinguish everything except spaces at the end; SQL Server 2017 lacks the second."""

LOOKUPS = frozenset({TypeKind.ENUM, TypeKind.OPEN_ENUM})
"""Kinds that are kept as numbers, which refer to a table of their values."""

TEXTS = JSON_KINDS | {TypeKind.TEXT}

_LONGEST = 8000
"""The most bytes of a varchar; a longer text becomes a varchar(max)."""

_LONGEST_KEY = 900
"""The most bytes of a key."""

_TYPES = (
    SERVER_TYPES
    | PACKED_TYPES
    | {
        TypeKind.FLOAT32: "real",
        TypeKind.FLOAT64: "double precision",
        TypeKind.BOOLEAN: "bit",
        TypeKind.ENUM: "integer",
        TypeKind.DATETIME: "datetime2",
        **dict.fromkeys(JSON_KINDS, "varchar(max)"),
    }
)
# Wider than the table, so that the server reports what does not fit when rows are merged.
_STAGED = {
    TypeKind.INT16: "bigint",
    TypeKind.INT32: "bigint",
    TypeKind.FLOAT32: "float",
    TypeKind.FLOAT64: "float",
    TypeKind.ENUM: f"nvarchar(256) COLLATE {BINARY}",
    TypeKind.OPEN_ENUM: f"nvarchar(256) COLLATE {BINARY}",
    **dict.fromkeys(TEXTS, f"nvarchar(max) COLLATE {BINARY}"),
}


def has_lookup(type_: ColumnType) -> bool:
    """Whether there is a table of values; that of a list of enums, which is JSON, is never filled."""
    return type_.kind in LOOKUPS or (type_.items is not None and type_.items.kind is TypeKind.ENUM)


def column_type(type_: ColumnType, *, key: bool, exact: str) -> str:
    """Return a type as SQL writes it; texts of a key have the collation `exact`, and a maximum length."""
    match type_.kind:
        case TypeKind.DECIMAL:
            return f"decimal({type_.precision},{type_.scale})"
        case TypeKind.TEXT if key:
            length = _LONGEST_KEY if type_.length is None else min(4 * type_.length, _LONGEST)
            return f"varchar({length}) COLLATE {exact}"
        case TypeKind.TEXT:
            length = max(4 * (type_.length or 0), MARKER_LENGTH if type_.marker else 1)
            bounded = type_.length is not None and length <= _LONGEST
            return f"varchar({length})" if bounded else "varchar(max)"
    return _TYPES[type_.kind]


def narrow_type(type_: ColumnType) -> str | None:
    """Return the type that the official client gave a text before version 2.3.1: one byte for each character."""
    if type_.kind is not TypeKind.TEXT or type_.length is None:
        return None
    length = max(type_.length, MARKER_LENGTH if type_.marker else 1)
    return f"varchar({length})" if length <= _LONGEST else "varchar(max)"


def staged_type(type_: ColumnType, *, key: bool) -> str:
    """Return the type of a column of the staging table, whose texts are Unicode and whose enums are texts."""
    if type_.kind is TypeKind.TEXT and key:  # a varchar(max) could not be grouped by quickly
        return f"nvarchar({min(2 * (type_.length or 450), 4000)}) COLLATE {BINARY}"
    return _STAGED.get(type_.kind) or column_type(type_, key=key, exact=BINARY)


def exact_text(value: str, length: str = "4000") -> str:
    """Return a text in a form that equals no other: what follows it makes spaces at its end count."""
    return f"CAST({value} AS nvarchar({length})) COLLATE {BINARY} + N'|'"


def catalog_type(type_: str) -> str:
    """Return a type as the catalogue writes it."""
    bare = type_.partition(" COLLATE ")[0]
    return {"integer": "int", "double precision": "float"}.get(bare, bare)
