"""What exists in a SQLite file."""

from dapkit.errors import TargetError
from dapkit.model import Table
from dapkit.targets.sql.dialect import no_statements
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable, Layout, Query, RelationKind
from dapkit.targets.sqlite.dialect import SqliteDialect, table_words

# The index of a key has no SQL statement.
_USER_CREATED = (
    "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL"
)
_KIND = "SELECT type = 'table' FROM sqlite_master WHERE name = ?"
_KEY = "SELECT name FROM pragma_table_info(?) WHERE pk > 0"
_SIZE = """
SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?)
"""
_LAYOUT = (
    'SELECT name, upper(type), "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)',
    """
    SELECT 'UNIQUE', "unique", partial, (SELECT group_concat(name) FROM pragma_index_info(list.name))
    FROM pragma_index_list(?) AS list WHERE origin = 'u'
    """,
    'SELECT \'REFERENCES\', id, seq, "table", "from", "to" FROM pragma_foreign_key_list(?)',
)


class SqliteCatalog:
    """The catalogue of a SQLite file."""

    dependants = no_statements

    def __init__(self, query: Query, dialect: SqliteDialect) -> None:
        self._query = query
        self._dialect = dialect

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""
        return RelationKind.of(self._query(_KIND, (self._dialect.facts.bare_name(namespace, table),)))

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        name = self._dialect.facts.bare_name(namespace, table)
        columns = [
            ExistingColumn(name=each[0], type=each[1], required=bool(each[2]), default=each[3])
            for each in self._query('SELECT name, type, "notnull", dflt_value FROM pragma_table_info(?)', (name,))
        ]
        return ExistingTable(
            columns={column.name: column for column in columns},
            indexes=tuple(
                ExistingIndex(name=each, definition=sql) for each, sql in self._query(_USER_CREATED, (name,))
            ),
        )

    def layout(self, table: Table) -> Layout:
        """Return the columns, unique keys and references of a table, and its other properties."""
        name = self._dialect.facts.bare_name(table.namespace, table.name)
        definitions = self._query("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
        if not definitions:
            return set()
        lines = [line for sql in _LAYOUT for line in self._query(sql, (name,))]
        return {*lines, *((word,) for word in table_words(definitions[0][0]))}

    def has_unique_key(self, table: Table) -> bool:
        """Whether the primary key of a table is its key."""
        key = self._query(_KEY, (self._dialect.facts.bare_name(table.namespace, table.name),))
        return {name for (name,) in key} == {column.name for column in table.key}

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes, None where SQLite was built without dbstat."""
        try:
            rows = self._query(_SIZE, (self._dialect.facts.bare_name(namespace, table),))
        except TargetError:
            return None
        return None if rows[0][0] is None else int(rows[0][0])
