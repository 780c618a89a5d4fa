"""DuckDB as a target: `duckdb:FILE?memory_limit=2GB`. DuckDB reads the files by itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dapkit.decode.tsv import common_header
from dapkit.decode.tsv_rows import bad_value_error
from dapkit.decode.tsv_sql import MAX_LINE_SIZE
from dapkit.errors import BadValueError, ConcurrentUpdateError, TargetError, TargetRejectedError
from dapkit.model import Table
from dapkit.results import LoadStats
from dapkit.schema import read_table
from dapkit.targets.base import Load, SyncState
from dapkit.targets.duckdb.address import address_of, bytes_of
from dapkit.targets.duckdb.dialect import ORIGINALS, DuckDbDialect
from dapkit.targets.presence import is_missing
from dapkit.targets.sql.session import NEWEST, Layout, SqlSession, Staged
from dapkit.targets.sql.value_repairs import settle

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDbTarget"]

_STAGING = '"dapkit_staging"'
_BUFFERS = 24
"""How many buffers of the longest line, for which there is room then, have to fit into DuckDB's memory."""

_SHORTEST_LINE = 2 << 20
_AT_ONCE = 1000
_MORE = "Give DuckDB more memory, as in duckdb:FILE?memory_limit=4GB, or a larger temp_directory."


class DuckDbTarget:
    """A DuckDB file. One process may write to it at a time, from several cursors."""

    max_connections = 1
    notice = None

    def __init__(self, path: Path, settings: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.name = f"duckdb:{path.absolute()}"
        self._settings = settings or {}

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that `duckdb:FILE` names."""
        address = address_of(url)
        return cls(address.path, address.settings)

    @property
    def empty_substitute(self) -> Self | None:
        """Return an empty database in memory while the file is missing."""
        return type(self)(Path(":memory:"), self._settings) if is_missing(self.path) else None

    def open(self) -> "DuckDbSession":
        """Open the file, which is made where it is missing."""
        import duckdb  # noqa: PLC0415, only where it is used

        # Without an order to keep, a load larger than memory needs less of it.
        settings: dict[str, Any] = {"preserve_insertion_order": "false", **self._settings}
        try:
            return DuckDbSession(duckdb.connect(str(self.path), config=settings))
        except duckdb.Error as error:
            hint = "Close the program that has it open, and check that it is a DuckDB file that you may write to."
            raise TargetRejectedError(f"{self.path} cannot be opened: {_first_line(error)}", hint=hint) from error


class DuckDbSession(SqlSession):
    """A connection to a DuckDB file."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection
        ((limit,),) = self.query("SELECT current_setting('memory_limit')")
        room = (bytes_of(limit) or MAX_LINE_SIZE * _BUFFERS) // _BUFFERS
        self.dialect: DuckDbDialect = DuckDbDialect(min(MAX_LINE_SIZE, max(room, _SHORTEST_LINE)))

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        import duckdb  # noqa: PLC0415, loaded by now

        try:
            return self._connection.execute(sql, list(values)).fetchall()
        except duckdb.Error as error:
            raise _translated(error) from error

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows as they come."""
        import duckdb  # noqa: PLC0415, loaded by now

        try:
            result = self._connection.execute(sql)
            while rows := result.fetchmany(_AT_ONCE):
                yield from rows
        except duckdb.Error as error:
            raise _translated(error) from error

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        rows = self.query(sql, values)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
            for table in (_STAGING, self.dialect.identifier(NEWEST)):  # their memory, or disk, is free then
                self.query(f"DROP TABLE IF EXISTS {table}")
            self.query("COMMIT")
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        import duckdb  # noqa: PLC0415, loaded by now

        with suppress(duckdb.Error):  # a commit that failed has undone everything by itself
            self._connection.rollback()

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        return bool(self.query(sql, (namespace, table)))

    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.query(_TABLE, (namespace, table)))

    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of a table's columns."""
        return [row[0] for row in self.query(_COLUMNS, (namespace, table))]

    def size(self, state: SyncState) -> int | None:
        """Return the bytes of the blocks in which a table lies; what was just written may not lie in any yet."""
        if not self.is_table(state.namespace, state.table):
            return None
        return int(self.query(_SIZE, (self.dialect.name(state.namespace, state.table),))[0][0])

    def layout(self, table: Table) -> Layout:
        """Return a table's columns and constraints."""
        names = (table.namespace, table.name)
        return (
            set(self.query(_COLUMNS, names) + self.query(_CONSTRAINTS, names)) if self.query(_TABLE, names) else set()
        )

    def alterations(self, load: Load, before: SyncState) -> list[str]:
        """Return what alters the table; the user's own indexes stay."""
        statements = super().alterations(load, before)
        own = self._indexes(before)
        if not statements or not own:
            return statements
        return [*self.dialect.unindexed(read_table(before.schema)), *statements, *own]

    def rebuild(self, load: Load, before: SyncState) -> list[str]:
        """Return what makes the table anew without its rows; the user's own indexes stay."""
        return [*super().rebuild(load, before), *self._indexes(before)]

    def _indexes(self, before: SyncState) -> list[str]:
        """Return the statements that made a table's indexes."""
        sql = "SELECT sql FROM duckdb_indexes() WHERE schema_name = ? AND table_name = ? AND sql IS NOT NULL"
        return [statement for (statement,) in self.query(sql, (before.namespace, before.table))]

    def fill(self, load: Load) -> LoadStats:
        """Let DuckDB read the files straight into the table; by way of a temporary one only if a key is repeated."""
        table = load.table
        if not load.parts.paths:
            return super().fill(load)
        header, paths = common_header(load.parts.paths, table, action=False), list(map(str, load.parts.paths))
        rows = self.modify(self.dialect.load(table, header, paths))
        self.require_rows(load, rows)
        if self.query(self.dialect.repeated(table, self.dialect.of(table))):
            self.modify(f"DELETE FROM {self.dialect.of(table)}")
            return super().fill(load)
        doubt = self.dialect.may_be_repaired(table)
        odd = self.query(self.dialect.read_originals(table, header, paths)) if doubt and self.query(doubt) else []
        return LoadStats(written=rows, repaired=settle(load, (text for (text,) in odd)))

    def stage(self, load: Load, *, action: bool) -> Staged:
        """Let DuckDB read the files into a temporary table."""
        paths = load.parts.paths
        if not paths:
            self.modify(self.dialect.stage_nothing(load.table, _STAGING))
            return Staged(name=_STAGING, rows=0)
        header = common_header(paths, load.table, action=action)
        rows = self.modify(self.dialect.stage(load.table, header, list(map(str, paths)), _STAGING))
        odd = self.query(f"SELECT {ORIGINALS} FROM {_STAGING} WHERE {ORIGINALS} IS NOT NULL")
        return Staged(name=_STAGING, rows=rows, repaired=settle(load, (text for (text,) in odd)))

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()


_OF = "database_name = current_database() AND schema_name = ? AND table_name = ?"
_TABLE = f"SELECT 1 FROM duckdb_tables() WHERE {_OF} AND NOT temporary"
_COLUMNS = f"""
SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns() WHERE {_OF} ORDER BY column_index
"""
_CONSTRAINTS = f"""
SELECT constraint_type, constraint_text FROM duckdb_constraints() WHERE {_OF} AND constraint_type <> 'NOT NULL'
"""
_SIZE = """
SELECT count(DISTINCT block) * (SELECT block_size FROM pragma_database_size() LIMIT 1) FROM (
    SELECT unnest(list_append(additional_block_ids, block_id)) AS block FROM pragma_storage_info(?) WHERE persistent
) WHERE block >= 0
"""


def _translated(error: "duckdb.Error") -> TargetError:
    """Return an error of DuckDB as ours, without the values that it quotes."""
    import duckdb  # noqa: PLC0415, loaded by now

    if isinstance(error, duckdb.TransactionException) and "conflict" in str(error).lower():
        return ConcurrentUpdateError(f"Somebody else is changing the same at this time: {_first_line(error)}")
    if isinstance(error, duckdb.ConversionException):
        return bad_value_error(error)
    if "Maximum line size" in str(error) or "Parallel CSV Reader" in str(error):
        return TargetError("A row of the files is longer than DuckDB has room for", hint=_MORE)
    if isinstance(error, duckdb.OutOfMemoryException):
        return TargetError(f"DuckDB says: {_first_line(error)}", hint=_MORE)
    kind = BadValueError if isinstance(error, duckdb.ConstraintException) else TargetError
    return kind(f"DuckDB says: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
