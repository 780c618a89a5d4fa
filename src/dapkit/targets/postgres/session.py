"""One connection to a PostgreSQL database, as a `TargetSession`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg

from dapkit.decode.tsv import Header, common_header
from dapkit.errors import ConcurrentUpdateError
from dapkit.model import Table
from dapkit.results import LoadStats
from dapkit.schema import difference, read_table
from dapkit.targets.base import Load, SyncState
from dapkit.targets.postgres import views
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.postgres.errors import translated, unconnected
from dapkit.targets.postgres.loading import Loader
from dapkit.targets.postgres.staging import STAGING, create_staging
from dapkit.targets.sql import keepalive
from dapkit.targets.sql.schema_drift import as_it_stands, only
from dapkit.targets.sql.session import Layout, SqlSession, Staged
from dapkit.targets.sql.value_repairs import Repairs

__all__ = ["PostgresSession", "connect"]


_LINK = {
    "application_name": "dapkit",
    "connect_timeout": keepalive.CONNECTING,
    "keepalives_idle": keepalive.IDLE,
    "keepalives_interval": keepalive.INTERVAL,
    "keepalives_count": keepalive.PROBES,
    "tcp_user_timeout": keepalive.UNACKNOWLEDGED * 1000,
}
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "600s",
    # The server lets go of what we hold when it is us who vanished.
    "tcp_keepalives_idle": str(keepalive.IDLE),
    "tcp_keepalives_interval": str(keepalive.INTERVAL),
    "tcp_keepalives_count": str(keepalive.PROBES),
    "tcp_user_timeout": f"{keepalive.UNACKNOWLEDGED}s",
}
_SET = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted(name, value)
WHERE name IN (SELECT name FROM pg_settings)
"""
_LOOK_FOR_US = "SET client_connection_check_interval TO '10s'"


def connect(parameters: Mapping[str, str], name: str) -> "PostgresSession":
    """Return a session. Raises TargetError when no connection comes about."""
    given = {**_LINK, **parameters, "client_encoding": "UTF8"}
    try:
        connection = psycopg.connect(autocommit=True, prepare_threshold=None, **given)  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise unconnected(error, name) from None
    try:
        # Said after connecting, since poolers between us and the server refuse most start-up parameters.
        connection.execute(_SET, [list(_SETTINGS), list(_SETTINGS.values())])
        with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue):  # some cannot
            connection.execute(_LOOK_FOR_US)
    except psycopg.Error as error:
        connection.close()
        raise translated(error) from error
    return PostgresSession(connection)


class PostgresSession(SqlSession):
    """A connection to a PostgreSQL database."""

    dialect: PostgresDialect

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self.dialect = PostgresDialect()
        self._connection = connection

    # What a driver does

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with _translated():
            return self._connection.execute(sql.encode(), values or None).fetchall()

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        with _translated():
            return self._connection.execute(sql.encode(), values or None).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing; within another, a savepoint."""
        with _translated(), self._connection.transaction():
            yield

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        return self.query("SELECT to_regclass(%s) IS NOT NULL", (self.dialect.name(namespace, table),))[0][0] is True

    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name."""
        sql = "SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p')"
        return bool(self.query(sql, (self.dialect.name(namespace, table),)))

    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of a table's columns."""
        return [row[0] for row in self.query(_COLUMNS, (self.dialect.name(namespace, table),))]

    def size(self, state: SyncState) -> int | None:
        """Return the bytes that a table takes, its indexes too."""
        name = self.dialect.name(state.namespace, state.table)
        rows = self.query("SELECT pg_total_relation_size(to_regclass(%s))", (name,))
        return None if rows[0][0] is None else int(rows[0][0])

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    # Rows

    def initialise(self, load: Load) -> LoadStats:
        """Create a table, where one of its name may have left something: the official client drops half."""
        table = load.table
        with self.transaction():
            if self.exists(table.namespace, table.name):
                raise ConcurrentUpdateError(
                    f"Table {table.name} was brought by somebody else meanwhile", table=table.name
                )
            self._run(self.dialect.take_over(table))
            return super().initialise(load)

    def stage(self, load: Load, *, action: bool) -> Staged:
        """Bring the rows into a temporary table of the table's own types."""
        self._run(create_staging(self.dialect, load.table))
        paths, table = load.parts.paths, load.table
        header = common_header(paths, table, action=action) if paths else None
        with _translated(), Repairs(load, "PostgreSQL") as repairs:
            rows = self._load(load, header, repairs, STAGING)
        # The planner wants to know how many keys there are; of all columns that would cost as much as the copy.
        self.modify(f"ANALYZE {STAGING} ({self.dialect.listed(load.table.key)})")
        return Staged(name=STAGING, rows=rows, repaired=repairs.counts)

    def fill(self, load: Load) -> LoadStats:
        """Fill the empty table from a snapshot straight away; through a temporary one only if a key is repeated."""
        try:
            with self._connection.transaction():
                return self._fill_directly(load)
        except psycopg.errors.UniqueViolation:
            return super().fill(load)
        except psycopg.Error as error:
            raise translated(error, load.table.name) from error

    def _fill_directly(self, load: Load) -> LoadStats:
        """Let `meta` columns come too, as one byte each, and drop them afterwards: cheaper than taking them out."""
        place = f"ALTER TABLE {self.dialect.of(load.table)}"
        paths, table = load.parts.paths, load.table
        header = common_header(paths, table, action=False) if paths else None
        names = [name for name in (header.names if header else ()) if name.startswith("meta.")]
        meta = [self.dialect.identifier(name) for name in names]
        for name in meta:
            self._connection.execute(f'{place} ADD COLUMN {name} "char"'.encode())
        with Repairs(load, "PostgreSQL") as repairs:
            rows = self._load(load, header, repairs, self.dialect.of(table))
            self.require_rows(load, rows)
            for statement in (*(f"{place} DROP COLUMN {name}" for name in meta), *self.dialect.add_key(table)):
                self._connection.execute(statement.encode())
        return LoadStats(written=rows, repaired=repairs.counts)

    def _load(self, load: Load, header: Header | None, repairs: Repairs, into: str) -> int:
        if header is None:
            return 0
        loader = Loader(
            connection=self._connection, dialect=self.dialect, load=load, header=header, repairs=repairs, into=into
        )
        return loader.run()

    # Later versions

    def change(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment; enums grow first, for themselves."""
        self._grow(load, before)
        return super().change(load, before)

    def replace(self, load: Load, before: SyncState) -> LoadStats:
        """Make a live table equal to a snapshot; enums grow first, for themselves."""
        self._grow(load, before)
        return super().replace(load, before)

    def alterations(self, load: Load, before: SyncState) -> list[str]:
        """Alter the table as it stands: a new column may be an old one that was kept."""
        table, rows = load.table, self.query(_COLUMNS, (self.dialect.of(load.table),))
        there = {name: self.dialect.kept_type(type_, labels) for name, type_, labels in rows}
        old = as_it_stands(before, table, there)
        added = [column for column in difference(old, table).added if column.name in there]
        kept = [column for column in added if there[column.name] == self.dialect.kept_type_of(table, column)]
        clearing = [sql for column in added if column not in kept for sql in self.dialect.clear(table, column)]
        stand = replace(old, value=(*old.value, *kept))
        return clearing + self.dialect.alter(stand, table, drop_columns=load.options.drop_columns)

    def rebuild(self, load: Load, before: SyncState) -> list[str]:
        """Empty the table as it stands and give it the load's schema."""
        there = self.columns(before.namespace, before.table)
        return self.dialect.rebuild(only(read_table(before.schema), there), load.table)

    def _grow(self, load: Load, before: SyncState) -> None:
        self._run(self.dialect.grow(read_table(before.schema), load.table))

    def alter(self, table: Table, statements: Sequence[str]) -> None:
        """Alter a table; views on it that are in the way are set aside and restored."""
        if not any("SET DATA TYPE" in sql or "DROP C" in sql for sql in statements):
            self._run(statements)
            return
        with views.aside(self, table):
            self._run(statements)

    def refill(self, load: Load, statements: Sequence[str]) -> LoadStats:
        """Empty a table, alter and fill it; views on it are restored when the rows are there."""
        with views.aside(self, load.table):
            return super().refill(load, statements)

    def layout(self, table: Table) -> Layout:
        """Return a table's columns and constraints by name, free of the schema's name."""
        return set(self.query(_LAYOUT, [self.dialect.of(table)]))

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, its enum types and lookup tables, and its line."""
        name = self.dialect.name(namespace, table)
        with self.transaction():
            dependants = [row[0] for row in self.query(_DEPENDANTS, (name, f"{table}__"))]
            self._run(self.dialect.drop_table(namespace, table))
            self._run(dependants)
            self.modify(self.dialect.delete_state(), (namespace, table))


_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), ARRAY(
    SELECT enumlabel FROM pg_enum JOIN pg_type AS type ON type.oid = atttypid
    WHERE enumtypid IN (type.oid, type.typelem) ORDER BY enumsortorder)
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_LAYOUT = """
WITH place AS (SELECT oid AS id, relnamespace::regnamespace::text || '.' AS space FROM pg_class
    WHERE oid = to_regclass(%s) AND relkind = 'r')
SELECT attname::text, replace(format_type(atttypid, atttypmod), space, ''), attnotnull, attidentity::text,
    ARRAY(SELECT enumlabel::text FROM pg_enum JOIN pg_type AS type ON type.oid = atttypid
        WHERE enumtypid IN (type.oid, type.typelem) ORDER BY enumsortorder)::text,
    replace(pg_get_expr(adbin, adrelid), space, '')
FROM place JOIN pg_attribute ON attrelid = id LEFT JOIN pg_attrdef ON adrelid = id AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conname::text, replace(pg_get_constraintdef(oid), space, ''), true, contype::text, '', NULL
FROM place JOIN pg_constraint ON conrelid = id WHERE contype <> 'n'
"""
# The types of its columns, those of the fields of its objects (which no column uses, nor are they those of a table
# whose name begins alike), and its lookup tables.
_DEPENDANTS = """
WITH place AS (SELECT to_regclass(%s) AS id, %s::text AS prefix)
SELECT format('DROP TYPE IF EXISTS %%I.%%I', space.nspname, type.typname)
FROM place JOIN pg_attribute AS attribute ON attribute.attrelid = place.id AND NOT attribute.attisdropped
JOIN pg_type AS own ON own.oid = attribute.atttypid
JOIN pg_type AS type ON type.oid = CASE WHEN own.typelem <> 0 THEN own.typelem ELSE own.oid END
JOIN pg_namespace AS space ON space.oid = type.typnamespace
WHERE type.typtype = 'e' AND type.typname = left(place.prefix || attribute.attname, 63)
UNION
SELECT format('DROP TYPE IF EXISTS %%I.%%I', space.nspname, type.typname)
FROM place JOIN pg_class AS live ON live.oid = place.id JOIN pg_namespace AS space ON space.oid = live.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = place.id AND attnum > 0 AND NOT attribute.attisdropped
JOIN pg_type AS type ON type.typnamespace = space.oid AND type.typtype = 'e'
    AND starts_with(type.typname, place.prefix || attribute.attname || '__')
WHERE NOT EXISTS (SELECT FROM pg_class AS other WHERE other.relnamespace = space.oid AND other.relkind IN ('r', 'p')
    AND starts_with(other.relname, place.prefix) AND starts_with(type.typname, other.relname || '__'))
UNION
SELECT format('DROP TABLE IF EXISTS %%I.%%I', space.nspname, lookup.relname)
FROM place JOIN pg_constraint ON conrelid = place.id AND contype = 'f'
JOIN pg_class AS lookup ON lookup.oid = confrelid
JOIN pg_namespace AS space ON space.oid = lookup.relnamespace
WHERE starts_with(lookup.relname, place.prefix)
"""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translated(error) from error
