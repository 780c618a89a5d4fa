"""SQLite as a target: `sqlite:FILE`. One writer at a time; others wait for it.

The journal is left as the file has it. SQLite's usual one suits large loads into an empty file, which write each page
once, and keeps the database one file that can be copied and lies anywhere; who wants to read while a table changes sets
`PRAGMA journal_mode = WAL` once, which the file remembers.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from dapkit.decode.tsv import Header, common_header
from dapkit.decode.tsv_rows import read_rows
from dapkit.decode.tsv_sql import LINE_SIZES
from dapkit.errors import BadValueError, IntegrityError, TargetBusyError, TargetError, TargetRejectedError, UsageError
from dapkit.model import Table
from dapkit.targets.base import Load, SyncState
from dapkit.targets.presence import is_missing
from dapkit.targets.sql.schema_drift import as_it_stands
from dapkit.targets.sql.session import NEWEST, Layout, SqlSession, Staged
from dapkit.targets.sql.value_repairs import settle
from dapkit.targets.sqlite.dialect import HASH, ORIGINALS, STAGING, Existing, SqliteDialect, bounds

__all__ = ["SqliteTarget"]

_PATIENCE = 60.0
_CACHE_KIB = 32 * 1024


class SqliteTarget:
    """A SQLite file."""

    max_connections = 1
    notice = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"sqlite:{path.absolute()}"

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that `sqlite:FILE` names."""
        file = url.partition(":")[2].removeprefix("//")
        if not file or file == ":memory:":
            raise UsageError("The target sqlite: names no file", hint="Write it like sqlite:college.sqlite")
        return cls(Path(file))

    @property
    def empty_substitute(self) -> Self | None:
        """Return an empty database in memory while the file is missing."""
        return type(self)(Path(":memory:")) if is_missing(self.path) else None

    def open(self) -> "SqliteSession":
        """Open the file, which is made where it is missing."""
        try:
            connection = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=0
            )
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            hint = "Check that it is a SQLite file that you may write to, in a folder that you may write to."
            raise TargetRejectedError(f"{self.path} cannot be opened: {error}", hint=hint) from error
        return SqliteSession(connection)


class SqliteSession(SqlSession):
    """A connection to a SQLite file."""

    size_is_read = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.dialect: SqliteDialect = SqliteDialect()
        self._connection = connection
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Otherwise the views of a table that is made anew would hinder its renaming, or follow the old one.
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.create_function(HASH, -1, _hash, deterministic=True)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with _translated():
            return self._connection.execute(sql, values).fetchall()

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows as they come."""
        with _translated():
            yield from self._connection.execute(sql)

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        with _translated():
            return max(0, self._connection.execute(sql, values).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing; nobody else writes meanwhile."""
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            for table in (STAGING, self.dialect.identifier(NEWEST)):
                self.modify(f"DROP TABLE IF EXISTS {table}")
            self.query("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        return bool(self.query("SELECT 1 FROM sqlite_master WHERE name = ?", (self.dialect.bare(namespace, table),)))

    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name."""
        return self._definition(namespace, table) is not None

    def _definition(self, namespace: str, table: str) -> str | None:
        """Return the statement that made a table."""
        sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
        return next((row[0] for row in self.query(sql, (self.dialect.bare(namespace, table),))), None)

    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of a table's columns."""
        sql = "SELECT name FROM pragma_table_info(?)"
        return [row[0] for row in self.query(sql, (self.dialect.bare(namespace, table),))]

    def size(self, state: SyncState) -> int | None:
        """Return the bytes that a table takes, its indexes too, where SQLite was built with what tells them."""
        try:
            rows = self.query(_SIZE, (self.dialect.bare(state.namespace, state.table),))
        except TargetError:
            return None
        return None if rows[0][0] is None else int(rows[0][0])

    def layout(self, table: Table) -> Layout:
        """Return a table's columns, unique keys and references, and the words for what else it is bound by."""
        definition = self._definition(table.namespace, table.name)
        if definition is None:
            return set()
        name = self.dialect.bare(table.namespace, table.name)
        lines = [line for sql in _LAYOUT for line in self.query(sql, (name,))]
        return {*lines, *((word,) for word in bounds(definition))}

    def stage(self, load: Load, *, action: bool) -> Staged:
        """Insert the rows, as DuckDB reads them from the files, into a temporary table."""
        table, paths = load.table, load.parts.paths
        rows = self._read(load, common_header(paths, table, action=action)) if paths else self._insert(table, ())
        self.modify(self.dialect.index_staging(table))
        odd = self.query(f"SELECT {ORIGINALS} FROM {STAGING} WHERE {ORIGINALS} IS NOT NULL")
        repaired = settle(load, (text for (text,) in odd))
        if hopeless := [name for name in self.dialect.nulled(table) if name in repaired]:
            message = f"SQLite cannot hold NaN, nor may null stand for it, in {', '.join(hopeless)}"
            raise BadValueError(message, table=table.name)
        return Staged(name=STAGING, rows=rows, repaired=repaired)

    def _read(self, load: Load, header: Header) -> int:
        """Bring the rows into a new temporary table, again with more room while they do not all come; return how many.

        What the most room gives is taken for the truth.
        """
        paths = list(map(str, load.parts.paths))
        *less, most = (self.dialect.read(load.table, header, paths, longest_line) for longest_line in LINE_SIZES)
        for select in less:
            with suppress(IntegrityError, BadValueError):
                if (rows := self._insert(load.table, read_rows(select))) == load.parts.rows:
                    return rows
        return self._insert(load.table, read_rows(most))

    def _insert(self, table: Table, batches: Iterable[Sequence[tuple[Any, ...]]]) -> int:
        """Make the temporary table anew of some rows; return how many."""
        for statement in self.dialect.create_staging(table):
            self.modify(statement)
        insert, rows = self.dialect.insert_staging(table), 0
        for batch in batches:
            with _translated():
                self._connection.executemany(insert, batch)
            rows += len(batch)
        return rows

    def alterations(self, load: Load, before: SyncState) -> list[str]:
        """Return what alters the table as it stands in fact."""
        name = self.dialect.bare(load.table.namespace, load.table.name)
        columns = self.query(f"PRAGMA table_info({self.dialect.identifier(name)})")
        existing = [Existing(each[1], each[2], bool(each[3]), each[4]) for each in columns]
        old = as_it_stands(before, load.table, {column.name for column in existing})
        drop = load.options.drop_columns
        return self.dialect.evolve(old, load.table, existing, self._own(name), drop_columns=drop)

    def rebuild(self, load: Load, before: SyncState) -> list[str]:
        """Return what makes the table anew without its rows; the user's own indexes and triggers stay."""
        own = self._own(self.dialect.bare(before.namespace, before.table))
        return [*super().rebuild(load, before), *own]

    def _own(self, name: str) -> list[str]:
        """Return the statements that made a table's indexes and triggers, those of its key left aside."""
        sql = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        return [statement for (statement,) in self.query(sql, (name,))]

    def stamp(self, moment: datetime) -> object:
        """Return a time as text, as it stands in columns of times."""
        return str(super().stamp(moment))

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()


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


def _hash(*values: object) -> int:
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


@contextmanager
def _translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            hint = "Another program has been writing to it, or reading from it, for long. Try again later."
            raise TargetBusyError("The SQLite file is in use", hint=hint) from error
        kind = BadValueError if isinstance(error, sqlite3.IntegrityError) else TargetError
        raise kind(f"SQLite says: {error}") from error
