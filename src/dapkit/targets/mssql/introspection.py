"""What exists in a database of SQL Server."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from dapkit.model import Table
from dapkit.targets.sql.dialect import identifier
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable, Layout, RelationKind

__all__ = ["MsSqlCatalog", "existing_table", "plain", "type_text"]

_KIND = """
SELECT o.type FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE s.name = ? AND o.name = ? AND o.type IN ('U', 'V')
"""
_COLUMNS = """
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
_INDEXES = """
SELECT i.name, i.is_primary_key, i.is_unique, i.is_unique_constraint, i.type, i.filter_definition, c.name,
    x.is_descending_key, x.is_included_column
FROM sys.indexes AS i
JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = i.object_id AND c.column_id = x.column_id
WHERE i.object_id = OBJECT_ID(?) AND i.type IN (1, 2) AND i.is_hypothetical = 0
ORDER BY i.index_id, x.is_included_column, x.key_ordinal, x.index_column_id
"""
_LOOKUPS = """
SELECT l.name FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
JOIN sys.tables AS l ON l.schema_id = t.schema_id AND l.name = t.name + N'__' + c.name
JOIN sys.columns AS v ON v.object_id = l.object_id AND v.name = N'value'
WHERE t.object_id = OBJECT_ID(?) AND (SELECT count(*) FROM sys.columns AS o WHERE o.object_id = l.object_id) = 2
"""
_SIZE = """
SELECT sum(a.total_pages) * 8192
FROM sys.partitions AS p
JOIN sys.allocation_units AS a ON a.container_id = CASE WHEN a.type = 2 THEN p.partition_id ELSE p.hobt_id END
WHERE p.object_id = OBJECT_ID(?)
"""
_SIZED = frozenset({"varchar", "char", "varbinary", "binary"})
_WIDE = frozenset({"nvarchar", "nchar"})


class MsSqlCatalog:
    """The catalogue of a database of SQL Server."""

    def __init__(self, query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]) -> None:
        self._query = query

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what a name stands for."""
        rows = self._query(_KIND, (namespace, table))
        if not rows:
            return None
        return RelationKind.TABLE if rows[0][0].strip() == "U" else RelationKind.OTHER

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        name = _name(namespace, table)
        return existing_table(name, self._query(_COLUMNS, (name,)), self._query(_INDEXES, (name,)))

    def layout(self, table: Table) -> Layout:
        """Return the columns and constraints of a table by name, free of the namespace and of collations."""
        name = _name(table.namespace, table.name)
        return _layout(table.namespace, self._query(_COLUMNS, (name,)), self._query(_INDEXES, (name,)))

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes."""
        ((size,),) = self._query(_SIZE, (_name(namespace, table),))
        return None if size is None else int(size)

    def dependants(self, namespace: str, table: str) -> list[str]:
        """Return the statements that drop the lookup tables of a table."""
        found = self._query(_LOOKUPS, (_name(namespace, table),))
        return [f"DROP TABLE IF EXISTS {_name(namespace, lookup)}" for (lookup,) in found]


def existing_table(name: str, columns: Iterable[Sequence[Any]], indexes: Iterable[Sequence[Any]]) -> ExistingTable:
    """Return what the catalogue's rows say of the columns and indexes of a table."""
    there = [
        ExistingColumn(
            name=row[0],
            type=type_text(row[1], row[2], row[3], row[4]),
            required=not row[5],
            default=row[6],
            reference=row[7],
            code_page=row[8],
            collation=row[11],
        )
        for row in columns
    ]
    groups = [list(rows) for _, rows in groupby(indexes, key=lambda row: row[0])]
    return ExistingTable(
        columns={column.name: column for column in there},
        key_name=next((rows[0][0] for rows in groups if rows[0][1]), None),
        indexes=tuple(_index(name, rows) for rows in groups if not (rows[0][1] or rows[0][3])),
    )


def type_text(name: str, length: int, precision: int, scale: int) -> str:
    """Return a type from the parts that the catalogue gives."""
    if name in _SIZED or name in _WIDE:
        units = length // 2 if name in _WIDE and length > 0 else length
        return f"{name}({'max' if length == -1 else units})"
    return f"{name}({precision},{scale})" if name == "decimal" else name


def _index(table: str, rows: Sequence[Sequence[Any]]) -> ExistingIndex:
    """Return an index from its rows, one for each column."""
    name, _, unique, _, type_, condition = rows[0][:6]
    keys = ", ".join(f"{identifier(row[6])}{' DESC' if row[7] else ''}" for row in rows if not row[8])
    included = ", ".join(identifier(row[6]) for row in rows if row[8])
    rest = f"({keys})" + (f" INCLUDE ({included})" if included else "") + (f" WHERE {condition}" if condition else "")
    kind = ("UNIQUE " if unique else "") + ("CLUSTERED " if type_ == 1 else "")
    definition = f"CREATE {kind}INDEX {identifier(name)} ON {table} {rest}"
    return ExistingIndex(name=name, definition=definition, columns=frozenset(row[6] for row in rows))


def _name(namespace: str, table: str) -> str:
    return f"{identifier(namespace)}.{identifier(table)}"


def plain(type_: str) -> str:
    """Return a type as the catalogue writes it."""
    bare = type_.partition(" COLLATE ")[0]
    return {"integer": "int", "double precision": "float"}.get(bare, bare)


def _layout(namespace: str, columns: Iterable[Sequence[Any]], indexes: Iterable[Sequence[Any]]) -> set[tuple[Any, ...]]:
    """Return what distinguishes a table, free of its namespace and of random names."""

    def free(name: str | None) -> str | None:
        return None if name is None else name.replace(f"_{namespace}_", "_", 1)

    told: set[tuple[Any, ...]] = {
        (row[0], type_text(*row[1:5]), bool(row[5]), free(row[7]), bool(row[9]), row[10]) for row in columns
    }
    constraints = (row for row in indexes if row[1] or row[3])
    return told | {(free(row[0]), row[6], bool(row[1])) for row in constraints}
