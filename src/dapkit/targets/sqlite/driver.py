"""A connection to a SQLite file.

The journal mode of the file is not changed. SQLite's default suits large loads into an empty file, which write each
page once, and keeps the database in one file that can be copied. To read while a table changes, run
`PRAGMA journal_mode = WAL` once; the file remembers it.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dapkit.decode.tsv import Header, common_header
from dapkit.decode.tsv_rows import read_rows
from dapkit.decode.tsv_sql import LINE_SIZES
from dapkit.errors import (
    BadValueError,
    IntegrityError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetRejectedError,
)
from dapkit.model import Table
from dapkit.targets.base import Capabilities, Load
from dapkit.targets.sql.dialect import listed
from dapkit.targets.sql.driver import DISK_FULL_HINT, StagedRows, nothing_around, nothing_to_check, nothing_to_lock
from dapkit.targets.sql.value_repairs import ValueRepairs
from dapkit.targets.sqlite.dialect import (
    HASH,
    ORIGINALS,
    STAGING,
    SqliteDialect,
    create_staging,
    nulled_columns,
    select_rows,
)
from dapkit.targets.sqlite.introspection import SqliteCatalog

_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_IN_USE_HINT = "Another program has been writing to it, or reading from it, for a long time. Try again later."

CAPABILITIES = Capabilities(connections=1, direct_load=False)

_BUSY_TIMEOUT = 60.0
"""Seconds to wait for another writer."""

_CACHE_KIB = 32 * 1024


def connect(path: Path) -> "SqliteDriver":
    """Open a file, which is created where it is missing."""
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=0
        )
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _IN_USE:
            raise TargetBusyError(f"{path} is in use", hint=_IN_USE_HINT) from error
        hint = "Check that it is a SQLite file that you may write to, in a folder that you may write to."
        raise TargetRejectedError(f"{path} cannot be opened: {error}", hint=hint) from error
    return SqliteDriver(connection)


class SqliteDriver:
    """A connection to a SQLite file."""

    capabilities = CAPABILITIES
    check_database, lock_table = nothing_to_check, nothing_to_lock
    exclusive = altering = nothing_around
    """There is one writer anyway, and views do not depend on what is altered."""
    dialect = SqliteDialect()

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.catalog = SqliteCatalog(self.query, self.dialect)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Otherwise, renaming the copy of a table would fail because of its views, or change them.
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.create_function(HASH, -1, _hash, deterministic=True)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""
        with _translated():
            return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with _translated():
            return max(0, self._connection.execute(sql, values).rowcount)

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        with _translated():
            yield from self._connection.execute(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        # IMMEDIATE takes the write lock now. A transaction that reads first and writes later could find that another
        # writer was faster, and would have to be repeated.
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Insert the rows, as DuckDB reads them from the files, into a temporary table."""
        table, paths = load.table, load.files.paths
        rows = self._read(load, common_header(paths, table, action=action)) if paths else self._insert(table, ())
        self.execute(f'CREATE INDEX temp."dapkit_staged" ON {STAGING} ({listed(table.key)})')
        odd = self.query(f"SELECT {ORIGINALS} FROM {STAGING} WHERE {ORIGINALS} IS NOT NULL")
        repairs.note_originals((text for (text,) in odd), required=nulled_columns(table))
        yield StagedRows(STAGING, rows)
        self.execute(f"DROP TABLE {STAGING}")

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """SQLite cannot read files: rows are always staged."""
        raise NotImplementedError

    def _read(self, load: Load, header: Header) -> int:
        """Load the staging table and return the number of rows.

        If rows are missing, try again with a larger line buffer; the result with the largest one is final.
        """
        paths = list(map(str, load.files.paths))
        *smaller, largest = (select_rows(load.table, header, paths, longest_line) for longest_line in LINE_SIZES)
        for select in smaller:
            with suppress(IntegrityError, BadValueError):
                if (rows := self._insert(load.table, read_rows(select))) == load.files.rows:
                    return rows
        return self._insert(load.table, read_rows(largest))

    def _insert(self, table: Table, batches: Iterable[Sequence[tuple[Any, ...]]]) -> int:
        """Create the staging table with some rows; return how many."""
        for statement in create_staging(table):
            self.execute(statement)
        insert, rows = f"INSERT INTO {STAGING} VALUES ({', '.join('?' * (len(table.columns) + 3))})", 0
        for batch in batches:
            with _translated():
                self._connection.executemany(insert, batch)
            rows += len(batch)
        return rows

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _hash(*values: object) -> int:
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


@contextmanager
def _translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _IN_USE:
            raise TargetBusyError("The SQLite file is in use", hint=_IN_USE_HINT) from error
        if code == sqlite3.SQLITE_FULL:
            raise TargetDiskFullError(f"SQLite says: {error}", hint=DISK_FULL_HINT) from error
        kind = BadValueError if isinstance(error, sqlite3.IntegrityError) else TargetError
        raise kind(f"SQLite says: {error}") from error
