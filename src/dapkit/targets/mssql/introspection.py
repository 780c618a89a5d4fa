"""What exists in a SQL Server database (experimental), as its catalogue describes it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from dapkit.model import Table
from dapkit.targets.mssql.column_types import catalog_type, narrow_type
from dapkit.targets.sql.dialect import Dialect, identifier, listed
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable, Layout, Query, RelationKind

_KIND = """
SELECT CASE WHEN o.type = 'U' THEN 1 ELSE 0 END
FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
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

Rows = Iterable[Sequence[Any]]


class MsSqlCatalog:
    """The catalogue of a SQL Server database."""

    def __init__(self, query: Query, dialect: Dialect) -> None:
        self._query = query
        self._dialect = dialect

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""
        return RelationKind.of(self._query(_KIND, (namespace, table)))

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        name = self._dialect.facts.name(namespace, table)
        return existing_table(name, self._query(_COLUMNS, (name,)), self._query(_INDEXES, (name,)))

    def layout(self, table: Table) -> Layout:
        """Return the columns and constraints of a table by name, free of its schema and of collations.

        Texts as narrow as in a table of an early official client count as if they were as wide as they are today.
        """
        name = self._dialect.facts.full_name(table)
        wide = {
            (column.name, narrow): catalog_type(self._dialect.type_of(table, column))
            for column in table.columns
            if (narrow := narrow_type(column.type)) is not None
        }
        return layout_of(table.namespace, self._query(_COLUMNS, (name,)), self._query(_INDEXES, (name,)), wide)

    def has_unique_key(self, table: Table) -> bool:  # noqa: ARG002
        """No: rows are merged without one."""
        return False

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes."""
        ((size,),) = self._query(_SIZE, (self._dialect.facts.name(namespace, table),))
        return None if size is None else int(size)

    def dependants(self, namespace: str, table: str) -> list[str]:
        """Return the statements that drop the lookup tables of a table."""
        lookups = self._query(_LOOKUPS, (self._dialect.facts.name(namespace, table),))
        return [f"DROP TABLE IF EXISTS {self._dialect.facts.name(namespace, name)}" for (name,) in lookups]


def existing_table(live: str, columns: Rows, indexes: Rows) -> ExistingTable:
    """Return a table, its name as SQL writes it, from the rows of the catalogue."""
    found = [
        ExistingColumn(
            name=row[0],
            type=type_text(*row[1:5]),
            required=not row[5],
            default=row[6],
            reference=row[7],
            code_page=row[8],
            collation=row[11],
        )
        for row in columns
    ]
    groups = [list(rows) for _, rows in groupby(indexes, key=lambda row: row[0])]
    key = next((rows for rows in groups if rows[0][1]), [])
    return ExistingTable(
        columns={each.name: each for each in found},
        key=tuple(row[6] for row in key),
        key_name=key[0][0] if key else None,
        # Constraints are not the user's indexes: they cannot be created again by CREATE INDEX.
        indexes=tuple(_index(live, rows) for rows in groups if not (rows[0][1] or rows[0][3])),
    )


def _index(live: str, rows: Sequence[Sequence[Any]]) -> ExistingIndex:
    name, _, unique, _, type_, condition = rows[0][:6]
    kind = ("UNIQUE " if unique else "") + ("CLUSTERED " if type_ == 1 else "")
    keys = ", ".join(f"{identifier(row[6])}{' DESC' if row[7] else ''}" for row in rows if not row[8])
    included = listed(row[6] for row in rows if row[8])
    rest = (f" INCLUDE ({included})" if included else "") + (f" WHERE {condition}" if condition else "")
    definition = f"CREATE {kind}INDEX {identifier(name)} ON {live} ({keys}){rest}"
    return ExistingIndex(name=name, definition=definition, columns=frozenset(row[6] for row in rows))


def type_text(name: str, length: int, precision: int, scale: int) -> str:
    """Return a type as SQL writes it, from the columns of the catalogue."""
    if name in _SIZED or name in _WIDE:
        units = length // 2 if name in _WIDE and length > 0 else length
        return f"{name}({'max' if length == -1 else units})"
    return f"{name}({precision},{scale})" if name == "decimal" else name


def layout_of(namespace: str, columns: Rows, indexes: Rows, equal: Mapping[tuple[str, str], str]) -> Layout:
    """Return what distinguishes a table of a namespace that a load created from any other.

    The names of defaults are left out: the official client lets the server choose them.

    Args:
        namespace: of the table.
        columns: rows of the catalogue.
        indexes: rows of the catalogue.
        equal: by column and type, another type that counts as equal to it.
    """

    def free(name: str | None) -> str | None:
        return None if name is None else name.replace(f"_{namespace}_", "_", 1)

    types = ((row, type_text(*row[1:5])) for row in columns)
    layout: Layout = {
        (row[0], equal.get((row[0], type_), type_), bool(row[5]), free(row[7]), bool(row[9]), row[10])
        for row, type_ in types
    }
    return layout | {(free(row[0]), row[6], bool(row[1])) for row in indexes if row[1] or row[3]}
