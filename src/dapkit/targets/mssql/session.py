"""One connection to a SQL Server database, as a `TargetSession`.

Rows are brought before the transaction that changes the table; DDL is part of it. Sessions speak English, so that what
the server says is understood, and let any error undo the whole transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC
from typing import Any

from dapkit.errors import ConcurrentUpdateError, IncompatibleLayoutError, TargetError
from dapkit.model import Table
from dapkit.results import Comparison, LoadStats
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles, ExpectedTable, Load, SyncState, TableStatus
from dapkit.targets.mssql import introspection as status
from dapkit.targets.mssql.connection import Wire
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.introspection import Found
from dapkit.targets.mssql.staging import Pages, Stage, sweep
from dapkit.targets.mssql.table_ddl import lookups
from dapkit.targets.sql.schema_drift import as_it_stands, only
from dapkit.targets.sql.session import NEWEST, SqlSession, Staged, described

__all__ = ["MsSqlSession"]

_SETTINGS = (
    "SET LANGUAGE us_english", "SET DATEFORMAT ymd", "SET ANSI_NULLS ON", "SET ANSI_PADDING ON", "SET ANSI_WARNINGS ON",
    "SET ARITHABORT ON", "SET CONCAT_NULL_YIELDS_NULL ON", "SET QUOTED_IDENTIFIER ON", "SET NUMERIC_ROUNDABORT OFF",
    "SET ANSI_NULL_DFLT_ON ON", "SET XACT_ABORT ON", "SET IMPLICIT_TRANSACTIONS OFF", "SET NOCOUNT OFF",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET LOCK_TIMEOUT 600000",
)  # fmt: skip
_SELF = """
SELECT @@SPID, CAST(COLLATIONPROPERTY(usual, 'CodePage') AS integer),
    CAST(COLLATIONPROPERTY('Latin1_General_100_BIN2_UTF8', 'CodePage') AS integer)
FROM (SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)) AS usual) AS collations
"""
_UTF8, _OLD = "Latin1_General_100_BIN2_UTF8", "Latin1_General_100_BIN2"
_OLD_PAGE = 1252
_IS_TABLE = """
SELECT 1 FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE s.name = ? AND o.name = ? AND o.type = 'U'
"""
_EXISTS = _IS_TABLE.replace("= 'U'", "IN ('U', 'V')")


class MsSqlSession(SqlSession):
    """A connection to a database of SQL Server."""

    dialect: MsSqlDialect

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._depth = 0
        self._staged_loads: dict[tuple[DataFiles, bool], Staged] = {}
        wire.modify("; ".join(_SETTINGS))
        ((number, usual, utf8),) = wire.query(_SELF)
        self.dialect = MsSqlDialect(exact=_OLD if utf8 is None else _UTF8, scratch=f"dapkit_scratch_{number}")
        self._stage = Stage(wire, self.dialect, Pages(usual, _OLD_PAGE if utf8 is None else utf8))

    # What a driver does

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self._wire.query(sql, values)

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self._wire.modify(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing; within another, a savepoint."""
        name = f"dapkit_{self._depth}"
        inner = self._depth > 0
        self.modify(f"SAVE TRANSACTION {name}" if inner else "BEGIN TRANSACTION")
        self._depth += 1
        try:
            yield
            if not inner:
                self.modify("COMMIT TRANSACTION")
        except BaseException:
            with suppress(TargetError):  # an error may have undone it all by itself, or the connection is gone
                undo = f"IF XACT_STATE() = 1 ROLLBACK TRANSACTION {name}"
                self._wire.modify(undo if inner else "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
            raise
        finally:
            self._depth -= 1

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        return bool(self.query(_EXISTS, (namespace, table)))

    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.query(_IS_TABLE, (namespace, table)))

    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of a table's columns."""
        return [row[0] for row in self.query(status.COLUMNS, (self.dialect.name(namespace, table),))]

    def size(self, state: SyncState) -> int | None:
        """Return the bytes that a table takes, its indexes too."""
        ((size,),) = self.query(status.SIZE, (self.dialect.name(state.namespace, state.table),))
        return None if size is None else int(size)

    def description(self, document: Mapping[str, Any]) -> str:
        """Return a schema as text that any code page can hold."""
        return json.dumps(described(document), separators=(",", ":"))

    def close(self) -> None:
        """Give the connection up."""
        with suppress(Exception):
            self._wire.close()

    # The books

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Make the books and the namespace's place, and drop what dead sessions left."""
        super().prepare(namespace, sandbox=sandbox)
        sweep(self._wire, self.dialect)

    def _guard(self, before: SyncState) -> None:
        """Hold the table's lines by their numbers, so that nobody waits who has others."""
        ((stored,),) = self.query(self.dialect.hold_lines(self._lines(before.namespace, before.table)))
        if stored is None or stored.replace(tzinfo=UTC) != before.watermark:
            raise ConcurrentUpdateError(
                f"Table {before.table} was changed by somebody else meanwhile", table=before.table
            )

    def _lines(self, namespace: str, table: str) -> list[int]:
        return [int(row[0]) for row in self.query(self.dialect.lines(), (namespace, table))]

    # Rows

    @contextmanager
    def _brought(self, *loads: tuple[Load, bool]) -> Iterator[None]:
        """Bring the rows of loads, to be staged within the transaction that comes."""
        with ExitStack() as stack:
            for load, action in loads:
                found = self._found(load.table)
                staged = stack.enter_context(self._stage.brought(load, found, action=action))
                self.require_rows(load, staged.rows)
                self._staged_loads[load.parts, action] = staged
            try:
                yield
            finally:
                self._staged_loads.clear()
                with suppress(TargetError):
                    self._wire.modify(f"DROP TABLE IF EXISTS {self.dialect.temporary(NEWEST)}")

    def stage(self, load: Load, *, action: bool) -> Staged:
        """Return the rows, which were brought before."""
        return self._staged_loads[load.parts, action]

    def fill(self, load: Load) -> LoadStats:
        """Fill the empty table from a snapshot, and add its key."""
        staged = self._staged(load, action=False)
        self._add_values(load.table, staged)
        written = self.modify(self.dialect.insert(load.table, staged.name))
        self._run(self.dialect.add_key(load.table))
        return LoadStats(written=written, repaired=staged.repaired)

    def _upsert(self, load: Load, staged: Staged, *, action: bool) -> int:
        self._add_values(load.table, staged)
        return sum(self.modify(sql) for sql in self.dialect.upsert(load.table, staged.name, action=action))

    def _add_values(self, table: Table, staged: Staged) -> None:
        """Add new values to lookup tables, which tell values apart by case first."""
        for column in lookups(table.columns):
            collation = self.query(status.COLLATION, (self.dialect.lookup(table, column),))
            if collation not in ([], [(self.dialect.exact,)]):
                self._run(self.dialect.tell_apart(table, column))
        self._run(self.dialect.add_values(table, staged.name))

    # Tables

    def initialise(self, load: Load) -> LoadStats:
        """Create a table that is absent, fill it from a snapshot and book it."""
        table = load.table
        match self.status(table.namespace, table.name):  # known before rows are read
            case TableStatus.MANAGED:
                raise ConcurrentUpdateError(
                    f"Table {table.name} was brought by somebody else meanwhile", table=table.name
                )
            case TableStatus.UNMANAGED | TableStatus.NOT_A_TABLE:
                hint = "Rename it, or drop it if it is left from a broken load of the official client."
                message = f"There is a table {self.dialect.of(table)} that is not on the books"
                raise IncompatibleLayoutError(message, hint=hint, table=table.name)
        with self._brought((load, False)):
            return super().initialise(load)

    def change(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was asked from the watermark in `before`."""
        self._guard(before)
        self.alterations(load, before)  # what cannot be altered is known before rows are read
        with self._brought((load, True)):
            return super().change(load, before)

    def replace(self, load: Load, before: SyncState) -> LoadStats:
        """Make a live table equal to a snapshot."""
        self._guard(before)
        if load.options.keep_missing:
            self.alterations(load, before)
        with self._brought((load, False)):
            return super().replace(load, before)

    def repair(self, load: Load) -> LoadStats:
        """Make a table that is not on the books equal to a snapshot, and book it, if it is as we would make it."""
        self.require_layout(
            load.table, self.expected_layout(load.table)
        )  # what is not ours is known before rows are read
        with self._brought((load, False)):
            return super().repair(load)

    def compare(self, truth: ExpectedTable) -> Comparison:
        """Compare a live table with what it should hold, made anew in a transaction that is undone."""
        loads = [(truth.snapshot, False), *((each, True) for each in (truth.changes, truth.stale) if each)]
        with self._brought(*loads):
            return super().compare(truth)

    def alterations(self, load: Load, before: SyncState) -> list[str]:
        """Return what alters the table as it stands in fact."""
        dialect = self._altering(load.table)
        old = as_it_stands(before, load.table, dialect.found.columns)
        return dialect.alter(old, load.table, drop_columns=load.options.drop_columns)

    def rebuild(self, load: Load, before: SyncState) -> list[str]:
        """Return what empties the table and gives it the load's schema."""
        dialect = self._altering(load.table)
        return dialect.rebuild(only(read_table(before.schema), dialect.found.columns), load.table)

    def _altering(self, table: Table) -> MsSqlDialect:
        return replace(self.dialect, found=self._found(table))

    def _found(self, table: Table) -> Found:
        name = (self.dialect.of(table),)
        return status.found(self.query(status.COLUMNS, name), self.query(status.INDEXES, name))

    def layout(self, table: Table) -> set[tuple[Any, ...]]:
        """Return a table's columns and constraints by name, free of the namespace; collations are left aside."""
        name = (self.dialect.of(table),)
        return status.layout(table.namespace, self.query(status.COLUMNS, name), self.query(status.INDEXES, name))

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, its lookup tables, and its line."""
        with self.transaction():
            found = self.query(status.LOOKUPS, (self.dialect.name(namespace, table),))
            self._run(self.dialect.drop_table(namespace, table))
            self._run(f"DROP TABLE IF EXISTS {self.dialect.name(namespace, name)}" for (name,) in found)
            self.modify(self.dialect.delete_lines(self._lines(namespace, table)))
