"""PURE: a table as it stands in the server's catalogue: what altering has to know, and how to ask for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

__all__ = ["Existing", "Found", "Index", "found", "index_of", "plain", "type_text"]

COLUMNS = """
SELECT c.name, t.name, c.max_length, c."precision", c.scale, c.is_nullable, d.name, f.name,
    CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS integer), c.is_identity, d.definition,
    c.collation_name
FROM sys.columns AS c
JOIN sys.types AS t ON t.user_type_id = c.user_type_id
LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
LEFT JOIN sys.foreign_key_columns AS k ON k.parent_object_id = c.object_id AND k.parent_column_id = c.column_id
    AND OBJECT_NAME(k.referenced_object_id) = OBJECT_NAME(c.object_id) + N'__' + c.name
LEFT JOIN sys.foreign_keys AS f ON f.object_id = k.constraint_object_id
WHERE c.object_id = OBJECT_ID(?) ORDER BY c.column_id
"""
INDEXES = """
SELECT i.name, i.is_primary_key, i.is_unique, i.is_unique_constraint, i.type, i.filter_definition, c.name,
    x.is_descending_key, x.is_included_column
FROM sys.indexes AS i
JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = i.object_id AND c.column_id = x.column_id
WHERE i.object_id = OBJECT_ID(?) AND i.type IN (1, 2) AND i.is_hypothetical = 0
ORDER BY i.index_id, x.is_included_column, x.key_ordinal, x.index_column_id
"""
LOOKUPS = """
SELECT l.name FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
JOIN sys.tables AS l ON l.schema_id = t.schema_id AND l.name = t.name + N'__' + c.name
JOIN sys.columns AS v ON v.object_id = l.object_id AND v.name = N'value'
WHERE t.object_id = OBJECT_ID(?) AND (SELECT count(*) FROM sys.columns AS o WHERE o.object_id = l.object_id) = 2
"""
SIZE = """
SELECT sum(a.total_pages) * 8192
FROM sys.partitions AS p
JOIN sys.allocation_units AS a ON a.container_id = CASE WHEN a.type = 2 THEN p.partition_id ELSE p.hobt_id END
WHERE p.object_id = OBJECT_ID(?)
"""
COLLATION = """
SELECT collation_name FROM sys.columns WHERE object_id = OBJECT_ID(?) AND name = N'value'
"""
_SIZED = frozenset({"varchar", "char", "varbinary", "binary"})
_WIDE = frozenset({"nvarchar", "nchar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A column that a table has.

    Attributes:
        type: as the catalogue tells it.
        default: the name of the constraint that is its default, if it has one.
        reference: the name of the constraint that binds it to its lookup table, if it is bound to one.
        page, collation: the code page of a text, and its collation.
    """

    name: str
    type: str
    required: bool
    default: str | None = None
    reference: str | None = None
    page: int | None = None
    collation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that its user made: what makes it again, after the table's name, and all its columns."""

    name: str
    kind: str
    rest: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the catalogue says of a table.

    Attributes:
        columns: all that it has by name, the user's own included.
        key: the name of its primary key, if it has one.
        indexes: those that the user made.
    """

    columns: Mapping[str, Existing] = field(default_factory=dict)
    key: str | None = None
    indexes: Sequence[Index] = ()


def found(columns: Iterable[Sequence[Any]], indexes: Iterable[Sequence[Any]]) -> Found:
    """Return what the rows of `COLUMNS` and `INDEXES` say."""
    there = [
        Existing(
            name=row[0],
            type=type_text(row[1], row[2], row[3], row[4]),
            required=not row[5],
            default=row[6],
            reference=row[7],
            page=row[8],
            collation=row[11],
        )
        for row in columns
    ]
    groups = [list(rows) for _, rows in groupby(indexes, key=lambda row: row[0])]
    key = next((rows[0][0] for rows in groups if rows[0][1]), None)
    own = [index_of(rows) for rows in groups if not (rows[0][1] or rows[0][3])]
    return Found(columns={each.name: each for each in there}, key=key, indexes=own)


def type_text(name: str, length: int, precision: int, scale: int) -> str:
    """Return a type from the parts that the catalogue gives."""
    if name in _SIZED or name in _WIDE:
        units = length // 2 if name in _WIDE and length > 0 else length
        return f"{name}({'max' if length == -1 else units})"
    return f"{name}({precision},{scale})" if name == "decimal" else name


def index_of(rows: Sequence[Sequence[Any]]) -> Index:
    """Return an index from its rows in `INDEXES`."""
    name, _, unique, _, type_, condition = rows[0][:6]
    keys = ", ".join(f"{_quoted(row[6])}{' DESC' if row[7] else ''}" for row in rows if not row[8])
    included = ", ".join(_quoted(row[6]) for row in rows if row[8])
    rest = f"({keys})" + (f" INCLUDE ({included})" if included else "") + (f" WHERE {condition}" if condition else "")
    kind = ("UNIQUE " if unique else "") + ("CLUSTERED " if type_ == 1 else "")
    return Index(name=name, kind=kind, rest=rest, columns=frozenset(row[6] for row in rows))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plain(type_: str) -> str:
    """Return a type of ours as the catalogue tells it."""
    bare = type_.partition(" COLLATE ")[0]
    return {"integer": "int", "double precision": "float"}.get(bare, bare)


def layout(namespace: str, columns: Iterable[Sequence[Any]], indexes: Iterable[Sequence[Any]]) -> set[tuple[Any, ...]]:
    """Return what tells a table that we would make from any other, free of its namespace and of chance names."""

    def free(name: str | None) -> str | None:
        return None if name is None else name.replace(f"_{namespace}_", "_", 1)

    told: set[tuple[Any, ...]] = {
        (row[0], type_text(*row[1:5]), bool(row[5]), free(row[7]), bool(row[9]), row[10]) for row in columns
    }
    constraints = (row for row in indexes if row[1] or row[3])
    return told | {(free(row[0]), row[6], bool(row[1])) for row in constraints}
