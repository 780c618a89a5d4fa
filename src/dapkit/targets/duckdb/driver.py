"""A connection to a DuckDB file. DuckDB reads the downloaded files itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from dapkit.decode.tsv import common_header
from dapkit.decode.tsv_rows import bad_value_error
from dapkit.decode.tsv_sql import MAX_LINE_SIZE
from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    MalformedFileError,
    TargetDiskFullError,
    TargetError,
    TargetRejectedError,
)
from dapkit.targets.base import Capabilities, Load, Merge
from dapkit.targets.duckdb.dialect import ORIGINALS, STAGING, DuckDbDialect, FileReader
from dapkit.targets.duckdb.introspection import DuckDbCatalog
from dapkit.targets.duckdb.url import bytes_of
from dapkit.targets.sql.driver import (
    DISK_FULL_HINT,
    RepeatedKeysError,
    StagedRows,
    nothing_around,
    nothing_to_check,
    nothing_to_lock,
)
from dapkit.targets.sql.merge import repeated_key
from dapkit.targets.sql.value_repairs import ValueRepairs

CAPABILITIES = Capabilities(connections=1, merge=Merge.DELETE_INSERT, unique_keys=False)

_BUFFERS = 24
"""How many line buffers of the maximum size have to fit into DuckDB's memory."""

_SHORTEST_LINE = 2 << 20
_FETCH_ROWS = 1000
_UNREADABLE = re.compile(r"CSV (Error|Parser)|not a GZIP stream")
_NO_SPACE = re.compile(r"No space left on device|not enough space on the disk", re.IGNORECASE)
_LOCKED = re.compile(r"Could not set lock on file|used by another process")
_IN_USE_HINT = "Close the program that has it open: DuckDB lets no other program open it, not even for reading."
_UNUSABLE_HINT = "Check that it is a DuckDB file, of a version that this DuckDB reads, and that you may write to it."
_MORE_MEMORY = "Give DuckDB more memory, as in duckdb:FILE?memory_limit=4GB, or a larger temp_directory."


def connect(path: Path, settings: Mapping[str, str]) -> "DuckDbDriver":
    """Open a file, which is created where it is missing."""
    # A load that need not preserve the order of rows needs less memory.
    wanted: dict[str, Any] = {"preserve_insertion_order": "false", **settings}
    try:
        return DuckDbDriver(duckdb.connect(str(path), config=wanted))
    except duckdb.Error as error:
        hint = _IN_USE_HINT if _LOCKED.search(str(error)) else _UNUSABLE_HINT
        raise TargetRejectedError(f"{path} cannot be opened: {_first_line(error)}", hint=hint) from error


class DuckDbDriver:
    """A connection to a DuckDB file."""

    capabilities = CAPABILITIES
    check_database, lock_table = nothing_to_check, nothing_to_lock
    exclusive = altering = nothing_around
    """One process has the file, and views do not depend on what is altered."""
    dialect = DuckDbDialect()

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.catalog = DuckDbCatalog(self.query)
        ((limit,),) = self.query("SELECT current_setting('memory_limit')")
        room = (bytes_of(limit) or MAX_LINE_SIZE * _BUFFERS) // _BUFFERS
        self._longest_line = min(MAX_LINE_SIZE, max(room, _SHORTEST_LINE))

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""
        try:
            return self._connection.execute(sql, list(values)).fetchall()
        except duckdb.Error as error:
            raise _translated(error) from error

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        rows = self.query(sql, values)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        try:
            result = self._connection.execute(sql)
            while rows := result.fetchmany(_FETCH_ROWS):
                yield from rows
        except duckdb.Error as error:
            raise _translated(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # a failed COMMIT has rolled everything back already
                self._connection.rollback()
            raise

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Let DuckDB read the files into a temporary table."""
        rows = 0
        if load.files.paths:
            rows = self.execute(self._reader(load, action=action).stage(STAGING))
            odd = self.query(f"SELECT {ORIGINALS} FROM {STAGING} WHERE {ORIGINALS} IS NOT NULL")
            repairs.note_originals(text for (text,) in odd)
        else:
            self.execute(self.dialect.stage_nothing(load.table, STAGING))
        yield StagedRows(STAGING, rows)
        self.execute(f"DROP TABLE {STAGING}")  # frees memory or disk space that the COMMIT may need

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """Let DuckDB read the files straight into the table."""
        if not load.files.paths:
            return 0
        reader = self._reader(load, action=False)
        rows = self.execute(reader.load(into))
        if self.query(
            repeated_key(self.dialect, load.table, into)
        ):  # the table has no key constraint that would reject them
            raise RepeatedKeysError(f"Table {load.table.name} has a repeated key")
        # The files are only read again for the originals if the table has values that a repair may have written.
        suspicious = reader.may_be_repaired(into)
        if suspicious and self.query(suspicious):
            repairs.note_originals(text for (text,) in self.query(reader.read_originals()))
        return rows

    def _reader(self, load: Load, *, action: bool) -> FileReader:
        header = common_header(load.files.paths, load.table, action=action)
        paths = [str(path) for path in load.files.paths]
        return FileReader(table=load.table, header=header, paths=paths, longest_line=self._longest_line)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _translated(error: duckdb.Error) -> TargetError | MalformedFileError:
    """Return an error of DuckDB as ours, without the values that it quotes."""
    if isinstance(error, duckdb.TransactionException) and "conflict" in str(error).lower():
        return ConcurrentUpdateError(f"Another process changed the same data: {_first_line(error)}")
    if isinstance(error, duckdb.ConversionException):
        return bad_value_error(error)
    if "Maximum line size" in str(error) or "Parallel CSV Reader" in str(error):
        return TargetError("A row of the files is longer than DuckDB has memory for", hint=_MORE_MEMORY)
    if _UNREADABLE.search(str(error)):
        return MalformedFileError(f"A downloaded file cannot be read: {_first_line(error)}")
    if _NO_SPACE.search(str(error)):
        return TargetDiskFullError(f"DuckDB says: {_first_line(error)}", hint=DISK_FULL_HINT)
    if isinstance(error, duckdb.OutOfMemoryException):
        return TargetError(f"DuckDB says: {_first_line(error)}", hint=_MORE_MEMORY)
    kind = BadValueError if isinstance(error, duckdb.ConstraintException) else TargetError
    return kind(f"DuckDB says: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
