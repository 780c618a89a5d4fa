"""What exists in a database of MySQL or MariaDB."""

import re

from dapkit.model import Table
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.sql.dialect import identifier
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable, Layout, Query, RelationKind

_INDEX = re.compile(r'^ +((?:UNIQUE |FULLTEXT |SPATIAL )?KEY (?!"fk_)("(?:[^"]|"")*").*?),?$', re.MULTILINE)
"""A line of SHOW CREATE TABLE. The indexes of foreign keys are created with these."""

_NO_EXTRA = (None, "NULL", "DEFAULT_GENERATED")
"""MySQL says NULL for a column of a temporary table, and does not say there whether its default is an expression."""

_WHERE = "WHERE table_schema = database() AND table_name = %s"
_KIND = f"SELECT table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') FROM information_schema.tables {_WHERE}"
_COLUMNS = f"""
SELECT column_name, column_type, is_nullable, collation_name FROM information_schema.columns {_WHERE}
ORDER BY ordinal_position
"""
_KEY = f"""
SELECT column_name FROM information_schema.key_column_usage {_WHERE} AND constraint_name = 'PRIMARY'
ORDER BY ordinal_position
"""
_REFERENCES = f"""
SELECT constraint_name FROM information_schema.table_constraints {_WHERE} AND constraint_type = 'FOREIGN KEY'
"""
_LOOKUPS = f"""
SELECT DISTINCT referenced_table_name FROM information_schema.key_column_usage {_WHERE}
AND referenced_table_schema = database() AND referenced_table_name IS NOT NULL
"""
_REFERRERS = """
SELECT DISTINCT table_schema, table_name FROM information_schema.key_column_usage
WHERE referenced_table_schema = database() AND referenced_table_name = %s ORDER BY table_schema, table_name
"""
_SIZE = f"SELECT data_length + index_length FROM information_schema.tables {_WHERE}"


class MySqlCatalog:
    """The catalogue of a database of MySQL or MariaDB."""

    def __init__(self, query: Query, dialect: MySqlDialect) -> None:
        self._query = query
        self._dialect = dialect

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""
        return RelationKind.of(self._query(_KIND, (self._dialect.facts.bare_name(namespace, table),)))

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        bare = self._dialect.facts.bare_name(namespace, table)
        columns = self._query(_COLUMNS, (bare,))
        if not columns:
            return ExistingTable()
        references = {each[0] for each in self._query(_REFERENCES, (bare,))}
        found = [
            ExistingColumn(
                name=name,
                type=type_.decode() if isinstance(type_, bytes) else type_,
                required=nullable == "NO",
                reference=reference if (reference := f"fk_{bare}_{name}") in references else None,
                collation=collation,
            )
            for name, type_, nullable, collation in columns
        ]
        definition = self._query(f"SHOW CREATE TABLE {identifier(bare)}", ())[0][1]
        return ExistingTable(
            columns={column.name: column for column in found},
            key=tuple(each[0] for each in self._query(_KEY, (bare,))),
            indexes=tuple(user_indexes(definition)),
            referrers=tuple(f"{schema}.{name}" for schema, name in self._query(_REFERRERS, (bare,))),
        )

    def layout(self, table: Table) -> Layout:
        """Return the columns and unique keys of a table."""
        name = self._dialect.facts.full_name(table)
        columns = self._query(f"SHOW FULL COLUMNS FROM {name}", ())
        keys = self._query(f"SHOW INDEX FROM {name} WHERE non_unique = 0", ())
        layout: Layout = {
            (name, type_, null, _plain_default(default), "" if extra in _NO_EXTRA else extra)
            for name, type_, _, null, _, default, extra, *_ in columns
        }
        return layout | {(f"key {key[2]}", *key[3:5]) for key in keys}

    def has_unique_key(self, table: Table) -> bool:
        """Whether the only unique index covers exactly the key: by any other, a merge could update another row."""
        indexes: dict[str, set[str]] = {}
        for each in self._query(f"SHOW INDEX FROM {self._dialect.facts.full_name(table)} WHERE non_unique = 0", ()):
            indexes.setdefault(each[2], set()).add(each[4])
        return list(indexes.values()) == [{column.name for column in table.key}]

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes."""
        rows = self._query(_SIZE, (self._dialect.facts.bare_name(namespace, table),))
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    def dependants(self, namespace: str, table: str) -> list[str]:
        """Return the statements that drop the lookup tables of a table."""
        bare = self._dialect.facts.bare_name(namespace, table)
        lookups = [name for (name,) in self._query(_LOOKUPS, (bare,)) if name.startswith(f"{bare}__")]
        return [f"DROP TABLE IF EXISTS {identifier(lookup)}" for lookup in lookups]


def _plain_default(default: str | None) -> str | None:
    """Leave out of a default that is an expression what MySQL writes for some tables and not for temporary ones."""
    return default and re.sub(r"[\\()]", "", default)


def user_indexes(definition: str) -> list[ExistingIndex]:
    """Return the user's indexes as ALTER TABLE adds them, from the output of SHOW CREATE TABLE."""
    return [ExistingIndex(name=name, definition=index) for index, name in _INDEX.findall(definition)]
