"""One connection to a MySQL or MariaDB database, as a `TargetSession`.

DDL commits by itself here. So rows come into a temporary table first, then tables are altered, in steps that may be
repeated; last, rows and books change in one transaction. A table that is being made is on a list of ours: as long as
it is empty, whoever makes it next begins anew.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymysql.cursors import SSCursor

from dapkit.decode.tsv import common_header
from dapkit.errors import (
    ConcurrentUpdateError,
    DapError,
    IncompatibleLayoutError,
    SchemaChangeNotSupportedError,
    TargetBusyError,
    TargetError,
)
from dapkit.model import Table
from dapkit.results import Comparison, LoadStats
from dapkit.targets.base import ExpectedTable, Load, LoadOptions, SyncState, TableStatus
from dapkit.targets.mysql.connection import Wire
from dapkit.targets.mysql.dialect import STAGING, MySqlDialect, dialect_of, open_enums, with_texts
from dapkit.targets.mysql.errors import translated
from dapkit.targets.mysql.introspection import Existing, Found, evolve, own_indexes
from dapkit.targets.mysql.loading import Brought, Loader, RepeatedKeysError
from dapkit.targets.mysql.state_tables import BEGUN
from dapkit.targets.sql.dialect import STATE_SCHEMA
from dapkit.targets.sql.schema_drift import as_it_stands
from dapkit.targets.sql.session import Layout, SqlSession, Staged

__all__ = ["MySqlSession"]

_PATIENCE = 600
_SETTINGS = (
    "sql_mode = 'ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'", "time_zone = '+00:00'", "sql_notes = 0",
    "max_error_count = 1024", "default_storage_engine = InnoDB", "default_tmp_storage_engine = InnoDB",
    "net_read_timeout = 600", "net_write_timeout = 600", "wait_timeout = 86400", f"lock_wait_timeout = {_PATIENCE}",
    f"innodb_lock_wait_timeout = {_PATIENCE}",
)  # fmt: skip


class MySqlSession(SqlSession):
    """A connection to a database of MySQL or MariaDB."""

    dialect: MySqlDialect

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.query(f"SET SESSION {', '.join(_SETTINGS)}")
        ((version, charset),) = self.query("SELECT version(), @@character_set_database")
        self.dialect = dialect_of(version, charset)
        self.query(f"SET NAMES utf8mb4 COLLATE {self.dialect.exact}")
        self._read_committed()

    def _read_committed(self) -> None:
        """Let changes of one line of the books not wait for others, where the server's log allows it."""
        ((logged,),) = self.query("SELECT @@log_bin AND @@binlog_format = 'STATEMENT'")
        if not logged:
            self.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    # What a driver does

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with translated(), self._wire.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            return list(cursor.fetchall())

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows as they come."""
        with translated(), self._wire.cursor(SSCursor) as cursor:
            cursor.execute(sql)
            yield from cursor.fetchall_unbuffered()

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        with translated(), self._wire.cursor() as cursor:
            return int(cursor.execute(sql, tuple(values) or None))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing, but for DDL, which commits by itself."""
        self.query("BEGIN")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            with suppress(TargetError):
                self.query("ROLLBACK")
            raise

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        return self._is_there(self.dialect.bare(namespace, table))

    def _is_there(self, name: str) -> bool:
        sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_name = %s"
        return bool(self.query(sql, (name,)))

    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name."""
        sql = f"SELECT 1 FROM information_schema.tables {_WHERE} AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        return bool(self.query(sql, (self.dialect.bare(namespace, table),)))

    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of a table's columns."""
        return [row[0] for row in self.query(_COLUMNS, (self.dialect.bare(namespace, table),))]

    def size(self, state: SyncState) -> int | None:
        """Return the bytes that a table takes, its indexes too."""
        sql = (
            "SELECT data_length + index_length FROM information_schema.tables"
            " WHERE table_schema = database() AND table_name = %s"
        )
        rows = self.query(sql, (self.dialect.bare(state.namespace, state.table),))
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    def moment(self, moment: datetime) -> object:
        """Return a watermark cut to whole seconds, as the books hold it: rounded up it would skip changes."""
        return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)

    def close(self) -> None:
        """Give the connection up."""
        with suppress(Exception):
            self._wire.close()

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Let no other process of ours do the same at this time. Raises TargetBusyError when that takes too long."""
        ((database,),) = self.query("SELECT database()")
        name = "dapkit_" + hashlib.sha256(f"{database}\n{what}".encode()).hexdigest()[:32]
        if self.query("SELECT get_lock(%s, %s)", (name, _PATIENCE)) != [(1,)]:
            raise TargetBusyError("Somebody else is at work on the same table")
        try:
            yield
        finally:
            with suppress(Exception), self._wire.cursor() as cursor:  # a connection that is gone holds no lock
                cursor.execute("SELECT release_lock(%s)", (name,))

    # The books

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Make the books where they are missing; see `TargetSession`."""
        if self._is_there("dap_meta"):
            hint = "Let the official client migrate it once, with any of its commands, or use another database."
            raise IncompatibleLayoutError("The books are of version 0 (dap_meta)", hint=hint)
        with self._alone("books"):
            super().prepare(namespace, sandbox=sandbox)

    def status(self, namespace: str, table: str, sync_states: Mapping[str, SyncState] | None = None) -> TableStatus:
        """Return what there is where the table should be; what a broken load of ours left is nothing."""
        place = super().status(namespace, table, sync_states)
        return TableStatus.ABSENT if place is TableStatus.UNMANAGED and self._left(namespace, table) else place

    def _left(self, namespace: str, table: str) -> bool:
        """Whether an empty table is what a broken load of ours left."""
        if not self.exists(STATE_SCHEMA, BEGUN):
            return False
        sql = f"SELECT 1 FROM {self.dialect.state_table(BEGUN)} WHERE source_namespace = %s AND source_table = %s"
        begun = bool(self.query(sql, (namespace, table)))
        return begun and not self.query(f"SELECT 1 FROM {self.dialect.name(namespace, table)} LIMIT 1")

    # Tables

    def ddl(self, table: Table, before: SyncState | None, options: LoadOptions) -> list[str]:
        """Return the statements that make a table, or alter it as it stands; nothing is run."""
        if before is None:
            return self.dialect.create_table(table)
        found = self._found(table)
        old = as_it_stands(before, table, {column.name for column in found.columns})
        return evolve(self.dialect, old, table, found, drop_columns=options.drop_columns)

    def _found(self, table: Table) -> Found:
        name = (self.dialect.bare(table.namespace, table.name),)
        columns = self.query(_COLUMNS, name)
        return Found(
            columns=[Existing(each[0], _text(each[1]), each[2] == "NO") for each in columns],
            key=[each[0] for each in self.query(_KEY, name)],
            references=[each[0] for each in self.query(_REFERENCES, name)],
        )

    def initialise(self, load: Load) -> LoadStats:
        """Create a table that is absent, fill it from a snapshot and book it."""
        table = load.table
        line = (table.namespace, table.name)
        with self._alone(self.dialect.of(table)):
            self._begin(table)
            try:
                with self._filled(load, self.dialect.of(table)) as filled:
                    counts = self._settle(load, None, "initial-load", filled)
                    self.modify(f"DELETE FROM {self.dialect.state_table(BEGUN)} WHERE {_LINE}", line)
            except BaseException:
                with suppress(TargetError):  # if it cannot be removed, it is recognised later
                    self._clear(table)
                    self.modify(f"DELETE FROM {self.dialect.state_table(BEGUN)} WHERE {_LINE}", line)
                raise
        return counts

    def _begin(self, table: Table) -> None:
        """Make the table, taken down as begun first, so that what breaks off is recognised."""
        match self.status(table.namespace, table.name):
            case TableStatus.MANAGED:
                raise ConcurrentUpdateError(
                    f"Table {table.name} was brought by somebody else meanwhile", table=table.name
                )
            case TableStatus.UNMANAGED | TableStatus.NOT_A_TABLE:
                name = self.dialect.bare(table.namespace, table.name)
                hint = "Rename it, or drop it if it is left from a broken load of the official client."
                raise IncompatibleLayoutError(
                    f"There is a table {name} that is not on the books", hint=hint, table=table.name
                )
        self._require_lookups(table)
        columns = "(source_namespace, source_table)"
        insert = f"INSERT IGNORE INTO {self.dialect.state_table(BEGUN)} {columns} VALUES (%s, %s)"
        self.modify(insert, (table.namespace, table.name))
        self._clear(table)
        self._run(self.dialect.create_table(table))

    def _require_lookups(self, table: Table) -> None:
        """Raise IncompatibleLayoutError when a table of the user has the name of a lookup table."""
        for column in open_enums(table):
            lookup = f"{table.name}__{column.name}"
            if self.columns(table.namespace, lookup) not in ([], ["id", "value"]):
                name = self.dialect.bare(table.namespace, lookup)
                message = f"There is a table {name}, which is not one for the values of {column.name}"
                raise IncompatibleLayoutError(message, hint="It was not touched: rename or drop it.", table=table.name)

    def _clear(self, table: Table) -> None:
        self._run(self.dialect.drop_table(table.namespace, table.name))
        self._run(f"DROP TABLE IF EXISTS {self.dialect.lookup(table, column)}" for column in open_enums(table))

    @contextmanager
    def _filled(self, load: Load, into: str) -> Iterator[LoadStats]:
        """Fill an empty, keyed table from a snapshot, in a transaction that takes in what is done within."""
        if not open_enums(load.table):
            with suppress(RepeatedKeysError):
                with self.transaction():
                    brought = self._bring(load, into, action=False, meta=False)
                    self.require_rows(load, brought.rows)
                    yield LoadStats(written=brought.rows, repaired=brought.repaired)
                return
        staged = self._staged(load, action=False)
        with self.transaction():
            self._run(self.dialect.add_values(load.table, staged.name))
            written = self.modify(self.dialect.insert(load.table, staged.name, into=into))
            yield LoadStats(written=written, repaired=staged.repaired)

    def change(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was asked from the watermark in `before`."""
        self._guard(before)
        self.ddl(load.table, before, load.options)  # what cannot be altered is known before rows are read
        staged = self._staged(load, action=True)
        with self._altered(load, before) as alterations:
            deleted = self.modify(self.dialect.delete_marked(load.table, staged.name))
            written = self._upsert(load, staged, action=True)
            counts = LoadStats(written=written, deleted=deleted, repaired=staged.repaired)
            return self._settle(load, before, "incremental", counts, alterations)

    def replace(self, load: Load, before: SyncState) -> LoadStats:
        """Make a live table equal to a snapshot."""
        self._guard(before)
        try:
            self.ddl(load.table, before, load.options)
        except SchemaChangeNotSupportedError:
            if load.options.keep_missing:
                raise
            return self._rebuilt(load, before)
        staged, deleted = self._staged(load, action=False), 0
        with self._altered(load, before) as alterations:
            if not load.options.keep_missing:
                deleted = self.modify(self.dialect.delete_missing(load.table, staged.name))
            written = self._upsert(load, staged, action=False)
            counts = LoadStats(written=written, deleted=deleted, repaired=staged.repaired)
            return self._settle(load, before, "full-refresh", counts, alterations)

    @contextmanager
    def _altered(self, load: Load, before: SyncState) -> Iterator[list[str]]:
        """Alter a table, then begin the transaction of its rows; nothing is done if it has moved on."""
        with self._alone(self.dialect.of(load.table)):
            self._guard(before)
            self._clear_beside(load.table)
            alterations = self.ddl(load.table, before, load.options)
            self._run(alterations)
            self._tell_apart(load.table)
            with self.transaction():
                self._guard(before)
                yield alterations

    def _rebuilt(self, load: Load, before: SyncState) -> LoadStats:
        """Make the table anew beside itself, and let it take the place; the books follow.

        What breaks off in between leaves a table that is newer than its line: the next increment is then asked from
        further back than needed, which is harmless.
        """
        table, live = load.table, self.dialect.of(load.table)
        fresh, old = self._beside(table)
        with self._alone(live), self._cleared_beside(table):
            self._guard(before)
            self._run([*self.dialect.create_lookups(table), self.dialect.create(table, fresh)])
            self._take_indexes(live, fresh)
            self._tell_apart(table)
            with self._filled(load, fresh) as filled:
                pass
            self._guard(before)
            self._run([f"RENAME TABLE {live} TO {old}, {fresh} TO {live}", f"DROP TABLE {old}"])
            self._run(evolve(self.dialect, table, table, self._found(table), drop_columns=False))
            with self.transaction():
                self._guard(before)
                return self._settle(load, before, "full-refresh", filled, [self.dialect.create(table, live)])

    def _beside(self, table: Table) -> tuple[str, str]:
        """Return the names of a table that is to take another's place, and of the one that it took it from."""
        key = hashlib.sha256(self.dialect.of(table).encode()).hexdigest()[:16]
        return self.dialect.state_table(f"dapkit_fresh_{key}"), self.dialect.state_table(f"dapkit_old_{key}")

    @contextmanager
    def _cleared_beside(self, table: Table) -> Iterator[None]:
        """Let nothing be beside a table, neither from a run that was killed nor when what is done now fails."""
        self._clear_beside(table)
        try:
            yield
        except DapError:
            with suppress(TargetError):  # else the next run does it
                self._clear_beside(table)
            raise

    def _clear_beside(self, table: Table) -> None:
        for name in self._beside(table):
            if self._is_there(name.strip('"')):
                self.modify(f"DROP TABLE {name}")

    def _take_indexes(self, live: str, fresh: str) -> None:
        """Give a table the indexes that the user made for another, where it has the columns for them."""
        ((_, definition),) = self.query(f"SHOW CREATE TABLE {live}")
        for index in own_indexes(definition):
            with suppress(TargetError):
                self.modify(f"ALTER TABLE {fresh} ADD {index}")

    def _tell_apart(self, table: Table) -> None:
        """Let lookup tables that the official client made tell values apart by case."""
        for column in open_enums(table):
            name = self.dialect.bare(table.namespace, f"{table.name}__{column.name}")
            if self.query(_COLLATION, (name, "value")) not in ([], [(self.dialect.exact,)]):
                self.modify(self.dialect.tell_apart(self.dialect.lookup(table, column)))

    def repair(self, load: Load) -> LoadStats:
        """Make a table that is not on the books equal to a snapshot, and book it, if it is as we would make it."""
        table, deleted = load.table, 0
        with self._alone(self.dialect.of(table)):
            if table.name in self.sync_states(table.namespace):
                raise ConcurrentUpdateError(
                    f"Table {table.name} was loaded by somebody else meanwhile", table=table.name
                )
            self.require_layout(table, self.expected_layout(table))
            staged = self._staged(load, action=False)
            self._tell_apart(table)
            with self.transaction():
                if not load.options.keep_missing:
                    deleted = self.modify(self.dialect.delete_missing(table, staged.name))
                written = self._upsert(load, staged, action=False)
                counts = LoadStats(written=written, deleted=deleted, repaired=staged.repaired)
                return self._settle(load, None, "repaired", counts)

    def layout(self, table: Table) -> Layout:
        """Return a table's columns and its keys."""
        name = self.dialect.of(table)
        columns = self.query(f"SHOW FULL COLUMNS FROM {name}")
        keys = self.query(f"SHOW INDEX FROM {name} WHERE non_unique = 0")
        return {(field, type_, null, default, extra) for field, type_, _, null, _, default, extra, *_ in columns} | {
            (f"key {key[2]}", *key[3:5]) for key in keys
        }

    def expected_layout(self, table: Table) -> Layout:
        """Return the layout of a table as we would make it, which a temporary one shows."""
        scratch = replace(table, namespace=self.dialect.scratch)
        self._run(self.dialect.create_scratch(scratch))
        wanted = self.layout(scratch)
        self._run(self.dialect.drop_scratch(scratch))
        return wanted

    def compare(self, truth: ExpectedTable) -> Comparison:
        """Compare a live table with what it should hold, made anew as a temporary table."""
        made = replace(with_texts(truth.snapshot.table), namespace=self.dialect.scratch)
        self._run(self.dialect.create_scratch(made))
        staged = self._staged(replace(truth.snapshot, table=made), action=False)
        self.modify(self.dialect.insert(made, staged.name))
        if truth.changes is not None:
            staged = self._staged(replace(truth.changes, table=made), action=True)
            self.modify(self.dialect.delete_marked(made, staged.name))
            self._run(self.dialect.upsert(made, staged.name, action=True))
        comparison = self.compared(truth, made)
        self._run(self.dialect.drop_scratch(made))
        return comparison

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, its lookup tables, and its line."""
        name = self.dialect.bare(namespace, table)
        lookups = [each[0] for each in self.query(_LOOKUPS, (name,)) if each[0].startswith(f"{name}__")]
        with self._alone(self.dialect.name(namespace, table)):
            self._run(self.dialect.drop_table(namespace, table))
            self._run(f"DROP TABLE IF EXISTS {self.dialect.identifier(lookup)}" for lookup in lookups)
            with self.transaction():
                self.modify(self.dialect.delete_state(), (namespace, table))
                self.modify(f"DELETE FROM {self.dialect.state_table(BEGUN)} WHERE {_LINE}", (namespace, table))

    # Steps

    def stage(self, load: Load, *, action: bool) -> Staged:
        """Bring the rows into a temporary table."""
        self._run(self.dialect.create_staging(load.table))
        with self.transaction():
            brought = self._bring(load, STAGING, action=action, meta=True)
        return Staged(name=STAGING, rows=brought.rows, repaired=brought.repaired)

    def _bring(self, load: Load, into: str, *, action: bool, meta: bool) -> Brought:
        if not load.parts.paths:
            return Brought(rows=0, repaired={})
        header = common_header(load.parts.paths, load.table, action=action)
        return Loader(wire=self._wire, dialect=self.dialect, load=load, header=header, into=into, meta=meta).run()

    def _upsert(self, load: Load, staged: Staged, *, action: bool) -> int:
        self._run(self.dialect.add_values(load.table, staged.name))
        super()._upsert(load, staged, action=action)
        return int(self.query(self.dialect.count(staged.name, action=action))[0][0])

    def _guard(self, before: SyncState) -> None:
        """Hold the table's lines by their numbers, so that nobody waits who has others."""
        sync = self.dialect.state_table("table_sync")
        numbers = [
            row[0] for row in self.query(f"SELECT id FROM {sync} WHERE {_LINE}", (before.namespace, before.table))
        ]
        held = f"SELECT max(timestamp) FROM {sync} WHERE id IN ({', '.join(map(str, numbers)) or 'NULL'}) FOR UPDATE"
        ((stored,),) = self.query(held)
        if stored is None or stored.replace(tzinfo=UTC) != before.watermark:
            raise ConcurrentUpdateError(
                f"Table {before.table} was changed by somebody else meanwhile", table=before.table
            )


_LINE = "source_namespace = %s AND source_table = %s"
_WHERE = "WHERE table_schema = database() AND table_name = %s"
_COLUMNS = (
    f"SELECT column_name, column_type, is_nullable FROM information_schema.columns {_WHERE} ORDER BY ordinal_position"
)
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
_COLLATION = f"SELECT collation_name FROM information_schema.columns {_WHERE} AND column_name = %s"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
