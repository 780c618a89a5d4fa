"""What exists in a PostgreSQL database."""

from dapkit.model import Table
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable, Layout, Query, RelationKind

_KIND = "SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass(%s)"
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), ARRAY(
    SELECT enumlabel FROM pg_enum JOIN pg_type AS type ON type.oid = atttypid
    WHERE enumtypid IN (type.oid, type.typelem) ORDER BY enumsortorder), attnotnull
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_LAYOUT = """
WITH relation AS (SELECT oid AS id, relnamespace::regnamespace::text || '.' AS space FROM pg_class
    WHERE oid = to_regclass(%s) AND relkind = 'r')
SELECT attname::text, replace(format_type(atttypid, atttypmod), space, ''), attnotnull, attidentity::text,
    ARRAY(SELECT enumlabel::text FROM pg_enum JOIN pg_type AS type ON type.oid = atttypid
        WHERE enumtypid IN (type.oid, type.typelem) ORDER BY enumsortorder)::text,
    replace(pg_get_expr(adbin, adrelid), space, '')
FROM relation JOIN pg_attribute ON attrelid = id LEFT JOIN pg_attrdef ON adrelid = id AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conname::text, replace(pg_get_constraintdef(oid), space, ''), true, contype::text, '', NULL
FROM relation JOIN pg_constraint ON conrelid = id WHERE contype <> 'n'
"""
# The size of a partitioned table is that of its partitions.
_SIZE = """
WITH relation AS (SELECT to_regclass(%s) AS id)
SELECT coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(id)), pg_total_relation_size(id))
FROM relation
"""
_UNIQUE_KEY = """
SELECT 1 FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indimmediate
AND indpred IS NULL AND indexprs IS NULL AND ARRAY(
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = indrelid AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1]) ORDER BY attname COLLATE "C") = %s
"""
# The types of its columns, those of the fields of its objects (which no column uses; those of a table whose name
# begins alike are not among them), and its lookup tables.
_DEPENDANTS = """
WITH relation AS (SELECT to_regclass(%s) AS id, %s::text AS prefix)
SELECT format('DROP TYPE IF EXISTS %%I.%%I', space.nspname, type.typname)
FROM relation JOIN pg_attribute AS attribute ON attribute.attrelid = relation.id AND NOT attribute.attisdropped
JOIN pg_type AS own ON own.oid = attribute.atttypid
JOIN pg_type AS type ON type.oid = CASE WHEN own.typelem <> 0 THEN own.typelem ELSE own.oid END
JOIN pg_namespace AS space ON space.oid = type.typnamespace
WHERE type.typtype = 'e' AND type.typname = left(relation.prefix || attribute.attname, 63)
UNION
SELECT format('DROP TYPE IF EXISTS %%I.%%I', space.nspname, type.typname)
FROM relation JOIN pg_class AS own ON own.oid = relation.id JOIN pg_namespace AS space ON space.oid = own.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = relation.id AND attnum > 0 AND NOT attribute.attisdropped
JOIN pg_type AS type ON type.typnamespace = space.oid AND type.typtype = 'e'
    AND starts_with(type.typname, relation.prefix || attribute.attname || '__')
WHERE NOT EXISTS (SELECT FROM pg_class AS other WHERE other.relnamespace = space.oid AND other.relkind IN ('r', 'p')
    AND starts_with(other.relname, relation.prefix) AND starts_with(type.typname, other.relname || '__'))
UNION
SELECT format('DROP TABLE IF EXISTS %%I.%%I', space.nspname, lookup.relname)
FROM relation JOIN pg_constraint ON conrelid = relation.id AND contype = 'f'
JOIN pg_class AS lookup ON lookup.oid = confrelid
JOIN pg_namespace AS space ON space.oid = lookup.relnamespace
WHERE starts_with(lookup.relname, relation.prefix)
"""


class PostgresCatalog:
    """The catalogue of a PostgreSQL database."""

    def __init__(self, query: Query, dialect: PostgresDialect) -> None:
        self._query = query
        self._dialect = dialect

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""
        return RelationKind.of(self._query(_KIND, (self._dialect.facts.name(namespace, table),)))

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""
        columns = [
            ExistingColumn(name=name, type=type_, values=tuple(values), required=required)
            for name, type_, values, required in self._query(_COLUMNS, (self._dialect.facts.name(namespace, table),))
        ]
        return ExistingTable(columns={column.name: column for column in columns})

    def layout(self, table: Table) -> Layout:
        """Return the columns and constraints of a table by name, free of the schema's name."""
        return set(self._query(_LAYOUT, [self._dialect.facts.full_name(table)]))

    def has_unique_key(self, table: Table) -> bool:
        """Whether a unique index covers exactly the key of a table."""
        names = sorted(column.name for column in table.key)
        return bool(self._query(_UNIQUE_KEY, (self._dialect.facts.full_name(table), names)))

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes."""
        rows = self._query(_SIZE, (self._dialect.facts.name(namespace, table),))
        return None if rows[0][0] is None else int(rows[0][0])

    def dependants(self, namespace: str, table: str) -> list[str]:
        """Return the statements that drop the enum types and lookup tables of a table."""
        return [row[0] for row in self._query(_DEPENDANTS, (self._dialect.facts.name(namespace, table), f"{table}__"))]
