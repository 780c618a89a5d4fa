"""A connection to a PostgreSQL database."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import psycopg

from dapkit.decode.tsv import common_header
from dapkit.errors import IncompatibleLayoutError, UsageError
from dapkit.model import Table
from dapkit.targets.base import Capabilities, Load
from dapkit.targets.postgres.copy_loader import CopyLoader
from dapkit.targets.postgres.copy_sql import STAGING, create_staging
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.postgres.errors import read_only, translated, unconnected
from dapkit.targets.postgres.introspection import PostgresCatalog
from dapkit.targets.postgres.views import views_dropped
from dapkit.targets.sql import keepalive
from dapkit.targets.sql.dialect import identifier, listed
from dapkit.targets.sql.driver import StagedRows, nothing_around
from dapkit.targets.sql.value_repairs import ValueRepairs

CAPABILITIES = Capabilities(connections=4)

_PARAMETERS = "PostgreSQL's documentation of libpq lists the parameters that may follow the question mark."
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
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # Otherwise a policy could silently hide rows; this way the server reports it.
    "row_security": "off",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "600s",
    # If this client vanishes, the server notices and releases its locks.
    "tcp_keepalives_idle": str(keepalive.IDLE),
    "tcp_keepalives_interval": str(keepalive.INTERVAL),
    "tcp_keepalives_count": str(keepalive.PROBES),
    "tcp_user_timeout": f"{keepalive.UNACKNOWLEDGED}s",
}
_SET = """
SELECT set_config(name, value, %s) FROM unnest(%s::text[], %s::text[]) AS wanted(name, value)
WHERE name IN (SELECT name FROM pg_settings)
"""
_LOCK_TRY, _LOCK_PAUSE = "1s", 3.0
"""How long a try to lock a table waits, and the seconds between tries, in which its readers and writers go on."""

_LOCK_WAIT = 600.0
"""Seconds after which a table that is always in use counts as busy."""

_CHECK_CLIENT = "SET client_connection_check_interval TO '10s'"


def connect(parameters: Mapping[str, str], name: str) -> "PostgresDriver":
    """Open a connection. Raises TargetError."""
    given = {**_LINK, **parameters, "client_encoding": "UTF8"}
    try:
        connection = psycopg.connect(autocommit=True, prepare_threshold=None, **given)  # type: ignore[arg-type]
    except psycopg.ProgrammingError as error:  # libpq does not know a parameter
        raise UsageError(f"The connection string of {name} is invalid: {error}", hint=_PARAMETERS) from None
    except psycopg.Error as error:
        raise unconnected(error, name) from None
    try:
        ((process,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        if process != connection.info.backend_pid:  # a pooler answered, and may use another connection next time
            return PostgresDriver(connection, pooled=True)
        # Set after connecting, since poolers in front of a server reject most start-up parameters.
        connection.execute(_SET, [False, list(_SETTINGS), list(_SETTINGS.values())])
        # Not every server has this setting, or supports it on its system.
        with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue):
            connection.execute(_CHECK_CLIENT)
    except psycopg.Error as error:
        connection.close()
        raise translated(error) from error
    return PostgresDriver(connection)


class PostgresDriver:
    """A connection to a PostgreSQL database."""

    capabilities = CAPABILITIES
    exclusive = nothing_around
    """DDL locks what it creates or alters."""
    dialect = PostgresDialect()

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]", *, pooled: bool = False) -> None:
        """Use an open connection. If a pooler may share it, settings hold for each transaction only."""
        self._connection = connection
        self._pooled = pooled
        self.catalog = PostgresCatalog(self.query, self.dialect)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""
        with _translated():
            return self._connection.execute(sql.encode(), values or None).fetchall()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with _translated():
            return self._connection.execute(sql.encode(), values or None).rowcount

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        yield from self.query(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        with _translated(), self._connection.transaction():
            if self._pooled:
                self._set_transaction()
                self._connection.execute(_SET, [True, list(_SETTINGS), list(_SETTINGS.values())])
            yield

    def _set_transaction(self) -> None:
        try:
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        except psycopg.errors.FeatureNotSupported as error:  # how a standby answers READ WRITE
            raise read_only(error) from error

    def check_database(self) -> None:
        """Reject a database that cannot store every text."""
        encoding = self._connection.info.parameter_status("server_encoding") or self.query("SHOW server_encoding")[0][0]
        if encoding != "UTF8":
            hint = "Use a database with the encoding UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
            raise IncompatibleLayoutError(f"The database has the encoding {encoding}, not UTF8", hint=hint)

    def lock_table(self, name: str) -> None:
        """Lock a table, if it exists, in short tries: all readers of the table would queue up behind one long wait."""
        if self.query("SELECT to_regclass(%s) IS NULL", (name,))[0][0]:
            return
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                with self._connection.transaction():  # a savepoint, so that a failed try changes nothing
                    self._connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TRY}'")
                    self._connection.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE".encode())
                    self._connection.execute(f"SET LOCAL lock_timeout = '{_SETTINGS['lock_timeout']}'")
                    return
            except psycopg.errors.LockNotAvailable as error:
                if time.monotonic() + _LOCK_PAUSE > deadline:
                    raise translated(error) from error
            except psycopg.Error as error:
                raise translated(error) from error
            time.sleep(_LOCK_PAUSE)

    def altering(self, table: Table, statements: Sequence[str]) -> AbstractContextManager[None]:
        """Drop the views that block these statements, and create them again afterwards."""
        # A view never blocks adding columns or enum values.
        if not any("SET DATA TYPE" in sql or "DROP C" in sql for sql in statements):
            return nullcontext()
        return views_dropped(self, table)

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Copy the rows into a temporary table with the types of the table."""
        for statement in create_staging(self.dialect, load.table):
            self.execute(statement)
        rows = self._copy(load, STAGING, repairs, action=action)
        # The planner needs to know how many keys there are. Analysing all columns would cost as much as the copy.
        self.execute(f"ANALYZE {STAGING} ({listed(load.table.key)})")
        yield StagedRows(STAGING, rows)

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """Copy the rows straight into a new table, whose key is added later."""
        if not load.files.paths:
            return 0
        header = common_header(load.files.paths, load.table, action=False)
        # Lines have `meta` columns too. Copying them, as one byte each, and dropping them afterwards costs less than
        # removing them from each line.
        meta = [identifier(name) for name in header.names if name.startswith("meta.")]
        for name in meta:
            self.execute(f'ALTER TABLE {into} ADD COLUMN {name} "char"')
        rows = self._copy(load, into, repairs, action=False)
        for name in meta:
            self.execute(f"ALTER TABLE {into} DROP COLUMN {name}")
        return rows

    def _copy(self, load: Load, into: str, repairs: ValueRepairs, *, action: bool) -> int:
        if not load.files.paths:
            return 0
        header = common_header(load.files.paths, load.table, action=action)
        loader = CopyLoader(
            connection=self._connection, dialect=self.dialect, load=load, header=header, repairs=repairs, into=into
        )
        with _translated(load.table.name):
            return loader.run()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def _translated(table: str | None = None) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, table) from error
