"""What exists in a DuckDB file."""

from dapkit.model import Table
from dapkit.targets.sql.dialect import identifier, no_statements
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable, Layout, Query, RelationKind

_OF = "database_name = current_database() AND schema_name = ? AND table_name = ?"
_TABLE = f"SELECT 1 FROM duckdb_tables() WHERE {_OF} AND NOT temporary"
_KIND = "SELECT table_type = 'BASE TABLE' FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
_COLUMNS = f"""
SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns() WHERE {_OF} ORDER BY column_index
"""
_CONSTRAINTS = f"""
SELECT constraint_type, constraint_text FROM duckdb_constraints() WHERE {_OF} AND constraint_type <> 'NOT NULL'
"""
_INDEXES = "SELECT index_name, sql FROM duckdb_indexes() WHERE schema_name = ? AND table_name = ? AND sql IS NOT NULL"
_SIZE = """
SELECT count(DISTINCT block) * (SELECT block_size FROM pragma_database_size() LIMIT 1) FROM (
    SELECT unnest(list_append(additional_block_ids, block_id)) AS block FROM pragma_storage_info(?) WHERE persistent
) WHERE block >= 0
"""


class DuckDbCatalog:
    """The catalogue of a DuckDB file."""

    dependants = no_statements

    def __init__(self, query: Query) -> None:
        self._query = query

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""
        return RelationKind.of(self._query(_KIND, (namespace, table)))

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        columns = [
            ExistingColumn(name=name, type=type_, required=not nullable, default=default)
            for name, type_, nullable, default in self._query(_COLUMNS, (namespace, table))
        ]
        indexes = self._query(_INDEXES, (namespace, table))
        return ExistingTable(
            columns={column.name: column for column in columns},
            indexes=tuple(ExistingIndex(name=name, definition=sql) for name, sql in indexes),
        )

    def layout(self, table: Table) -> Layout:
        """Return the columns and constraints of a table."""
        names = (table.namespace, table.name)
        if not self._query(_TABLE, names):
            return set()
        return set(self._query(_COLUMNS, names) + self._query(_CONSTRAINTS, names))

    def has_unique_key(self, table: Table) -> bool:  # noqa: ARG002
        """No: rows are merged without one."""
        return False

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of the blocks that a table occupies; recent rows may not be in a block yet."""
        if not self._query(_TABLE, (namespace, table)):
            return None
        return int(self._query(_SIZE, (f"{identifier(namespace)}.{identifier(table)}",))[0][0])
