"""What a PostgreSQL database holds, as values that can be compared: the layout, and the rows."""

from collections.abc import Mapping
from typing import Any

import psycopg

__all__ = ["layout", "rows"]

_LAYOUT = """
SELECT space.nspname, one.relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    pg_get_expr(adbin, adrelid), col_description(one.oid, attnum), obj_description(one.oid, 'pg_class'),
    row_number() OVER (PARTITION BY one.oid ORDER BY attnum)
FROM pg_class AS one JOIN pg_namespace AS space ON space.oid = relnamespace
JOIN pg_attribute ON attrelid = one.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = one.oid AND adnum = attnum
WHERE relkind = 'r' AND nspname = ANY(%(places)s) AND NOT starts_with(relname, 'dapkit_')
UNION ALL
SELECT space.nspname, conrelid::regclass::text, conname, pg_get_constraintdef(one.oid), true, '', '', '', '', 0
FROM pg_constraint AS one JOIN pg_namespace AS space ON space.oid = connamespace
WHERE contype <> 'n' AND nspname = ANY(%(places)s) AND NOT starts_with(conname, 'dapkit_')
UNION ALL
SELECT space.nspname, typname, enumlabel, '', true, '', '', '', '', enumsortorder
FROM pg_enum JOIN pg_type AS one ON one.oid = enumtypid JOIN pg_namespace AS space ON space.oid = typnamespace
WHERE nspname = ANY(%(places)s)
"""


def layout(url: str, *resources: str) -> set[tuple[Any, ...]]:
    """Return everything that a dump of the schema would show."""
    with psycopg.connect(url) as connection:
        return set(connection.execute(_LAYOUT.encode(), {"places": list(resources)}).fetchall())


def rows(url: str, namespace: str) -> Mapping[str, tuple[Any, ...]]:
    """Return by table the number of rows and a digest of them, the texts of lookup tables in place of their numbers."""
    with psycopg.connect(url) as connection:
        sync_states = "SELECT source_table, timestamp, schema_version, target_schema, target_table, schema_description"
        lines = connection.execute(
            f"{sync_states} FROM instructure_dap.table_sync WHERE source_namespace = %s".encode(), (namespace,)
        ).fetchall()
        return {line[0]: (*line[1:], *_digest(connection, namespace, line[0])) for line in lines}


def _digest(connection: "psycopg.Connection[Any]", namespace: str, table: str) -> tuple[Any, ...]:
    name = f'"{namespace}"."{table}"'
    columns = connection.execute(
        b"SELECT attname, (SELECT confrelid::regclass::text FROM pg_constraint"
        b" WHERE contype = 'f' AND conrelid = attrelid AND conkey = ARRAY[attnum])"
        b" FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (name,),
    ).fetchall()
    values = ", ".join(
        f'(SELECT value FROM {lookup} WHERE id = live."{column}")' if lookup else f'live."{column}"'
        for column, lookup in columns
    )
    texts = f"(SELECT ROW({values})::text FROM {name} AS live) AS texts(text)"
    digest = f"SELECT count(*), md5(string_agg(text, '' ORDER BY text)) FROM {texts}"
    found = connection.execute(digest.encode()).fetchone()
    assert found is not None
    return tuple(found)
