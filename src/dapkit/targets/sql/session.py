"""What every SQL database has in common: the order of steps in which a table is made, changed, replaced, dropped.

Each is one transaction that ends with the table's line in the books. How rows get into a temporary table is the
driver's own affair: COPY, LOAD DATA and bulk insert share nothing.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dapkit.errors import (
    ConcurrentUpdateError,
    IncompatibleLayoutError,
    IntegrityError,
    SandboxMismatchError,
    SchemaChangeNotSupportedError,
)
from dapkit.model import Table, VersionedSchema
from dapkit.results import Comparison, LoadStats
from dapkit.schema import read_table
from dapkit.targets.base import (
    DataFiles,
    ExpectedTable,
    HistoryEntry,
    Load,
    LoadOptions,
    SyncState,
    TableInfo,
    TableStatus,
)
from dapkit.targets.sql import history
from dapkit.targets.sql.compare import compared
from dapkit.targets.sql.dialect import STATE_SCHEMA, Dialect
from dapkit.targets.sql.schema_drift import as_it_stands

__all__ = ["NEWEST", "Layout", "SqlSession", "Staged", "described"]

VERSION = 1
"""The version of the books that the official client of today writes, and we with it."""

ORIGIN = "dapkit_origin"
"""The table of ours that says whose data a database holds."""

SANDBOX = "sandbox"
NEWEST = "dapkit_newest"
"""The temporary table of the newest row of each key, where keys were repeated."""


Layout = set[tuple[Any, ...]]
"""Columns and constraints of a table, each with its name, or what there is instead, first."""


class _UndoneError(Exception):
    """Ends a transaction whose work is not to last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Rows in a temporary table: its name as SQL writes it, how many, and values repaired on the way by column."""

    name: str
    rows: int
    repaired: Mapping[str, int] = field(default_factory=dict)


class SqlSession(ABC):
    """One connection to a SQL database, as a `TargetSession`.

    Attributes:
        dialect: its SQL.
        size_is_read: whether a table has to be read to tell its size, which is then told only with its rows.
    """

    dialect: Dialect
    size_is_read: bool = False

    # What a driver does

    @abstractmethod
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows. Raises TargetError."""

    @abstractmethod
    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed. Raises TargetError."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Everything within is committed together, or not at all when it raises."""

    @abstractmethod
    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table (or view) of this name."""

    @abstractmethod
    def is_table(self, namespace: str, table: str) -> bool:
        """Whether there is a table of this name; a view or anything else is none."""

    @abstractmethod
    def columns(self, namespace: str, table: str) -> list[str]:
        """Return the names of the columns that a table has in fact, in their order."""

    @abstractmethod
    def layout(self, table: Table) -> Layout:
        """Return what tells a table that a load made from any other, its name left aside; nothing of what is none."""

    @abstractmethod
    def stage(self, load: Load, *, action: bool) -> Staged:
        """Bring the rows into a temporary table, `meta.ts` (and `meta.action`) beside the table's columns.

        Raises:
            BadValueError: a value cannot be held, and may not or cannot be repaired.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection up."""

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows, which may be many. Raises TargetError."""
        yield from self.query(sql)

    # What a database may do in its own way

    def alterations(self, load: Load, before: SyncState) -> list[str]:
        """Return what alters the table into the load's schema. Raises SchemaChangeNotSupportedError."""
        old = as_it_stands(before, load.table, self.columns(before.namespace, before.table))
        return self.dialect.alter(old, load.table, drop_columns=load.options.drop_columns)

    def rebuild(self, load: Load, before: SyncState) -> list[str]:
        """Return what empties the table and gives it the load's schema."""
        return self.dialect.rebuild(read_table(before.schema), load.table)

    def stamp(self, moment: datetime) -> object:
        """Return a time as the driver takes it for a column of UTC without zone."""
        return moment.astimezone(UTC).replace(tzinfo=None)

    def moment(self, moment: datetime) -> object:
        """Return a watermark as the driver takes it for the books."""
        return self.stamp(moment)

    def description(self, document: Mapping[str, Any]) -> str:
        """Return a schema as text for the books."""
        return json.dumps(described(document), separators=(",", ":"), ensure_ascii=False)

    def size(self, state: SyncState) -> int | None:  # noqa: ARG002, for those who can tell
        """Return the bytes that a table takes, None where the database does not tell."""
        return None

    # The books

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Make the books and the namespace's place, where they are missing; see `TargetSession`."""
        with self.transaction():
            if self.exists(namespace, "dap_meta"):
                hint = "Let the official client migrate it once, with any of its commands, or use another database."
                raise IncompatibleLayoutError(f"The books of {namespace} are of version 0 (dap_meta)", hint=hint)
            self._run(self.dialect.create_state_tables())
            self._require_version()
            self.require_origin(sandbox=sandbox)
            if sandbox and not self.holds_sandbox():
                self.modify(f"INSERT INTO {self.dialect.state_table(ORIGIN)} (origin) VALUES ('{SANDBOX}')")
            self._run(self.dialect.create_namespace(namespace))

    def _require_version(self) -> None:
        if not self._known_version():
            table = self.dialect.state_table("database_version")
            if self._any_line():
                hint = f"If you know them to be of version {VERSION}, insert that into {table}."
                raise IncompatibleLayoutError(
                    "The books have tables, but do not say of which version they are", hint=hint
                )
            self._run(self.dialect.insert_version(VERSION))

    def _known_version(self) -> bool:
        """Whether the books say of which version they are. Raises IncompatibleLayoutError."""
        versions = [row[0] for row in self.query(f"SELECT version FROM {self.dialect.state_table('database_version')}")]
        if versions not in ([], [VERSION]):
            shown = ", ".join(map(str, versions))
            hint = "They may be of a later official client; nothing was touched."
            raise IncompatibleLayoutError(f"The books are of version {shown}, not {VERSION}", hint=hint)
        return bool(versions)

    def require_version(self) -> None:
        """Raise IncompatibleLayoutError when there are books of a version that is not known."""
        if self.exists(STATE_SCHEMA, "database_version"):
            self._known_version()

    def _any_line(self) -> bool:
        return bool(self.query(self.dialect.limited(f"SELECT 1 FROM {self.dialect.state_table('table_sync')}", 1)))

    def holds_sandbox(self) -> bool:
        """Whether the database is marked as holding a sandbox's data."""
        sql = f"SELECT 1 FROM {self.dialect.state_table(ORIGIN)} WHERE origin = '{SANDBOX}'"
        return self.exists(STATE_SCHEMA, ORIGIN) and bool(self.query(sql))

    def require_origin(self, *, sandbox: bool) -> None:
        """Make sure that the data is of the same origin; see `TargetSession`."""
        marked = self.holds_sandbox()
        if marked and not sandbox:
            raise SandboxMismatchError("This database holds a sandbox's data")
        if sandbox and not marked and self.exists(STATE_SCHEMA, "table_sync") and self._any_line():
            raise SandboxMismatchError("This database holds the service's data; the sandbox's would be mixed into it")

    def sync_states(self, namespace: str) -> dict[str, SyncState]:
        """Return the lines of a namespace's tables; of several lines of one table the latest counts."""
        if not self.exists(STATE_SCHEMA, "table_sync"):
            return {}
        lines = [self._line(namespace, row) for row in self.query(self.dialect.select_states(), (namespace,))]
        return {line.table: line for line in sorted(lines, key=lambda line: line.watermark)}

    def _line(self, namespace: str, row: Sequence[Any]) -> SyncState:
        table, watermark, version, description = row
        try:
            document = json.loads(description)
        except ValueError as error:
            raise IncompatibleLayoutError(f"The books hold no schema of {table}: {error}", table=table) from error
        schema = VersionedSchema(namespace=namespace, table=table, version=int(version), document=document)
        return SyncState(namespace=namespace, table=table, watermark=history.moment(watermark), schema=schema)

    def status(self, namespace: str, table: str, sync_states: Mapping[str, SyncState] | None = None) -> TableStatus:
        """Return what there is where the table should be."""
        booked = table in (self.sync_states(namespace) if sync_states is None else sync_states)
        if self.is_table(namespace, table):
            return TableStatus.MANAGED if booked else TableStatus.UNMANAGED
        if self.exists(namespace, table):
            return TableStatus.NOT_A_TABLE
        return TableStatus.DROPPED if booked else TableStatus.ABSENT

    def is_unmanaged(self, namespace: str, table: str) -> bool:
        """Whether a table that is not on the books stands where one of the service would; see `TargetSession`."""
        if namespace.casefold() == STATE_SCHEMA or not self.exists(STATE_SCHEMA, "table_sync"):
            return False
        return table not in self.sync_states(namespace) and self.is_table(namespace, table)

    # Tables

    def ddl(self, table: Table, before: SyncState | None, options: LoadOptions) -> list[str]:
        """Return the statements that make or alter a table; nothing is run."""
        if before is None:
            return [*self.dialect.create_table(table), *self.dialect.add_key(table)]
        nothing = DataFiles(paths=(), rows=0)
        return self.alterations(Load(table=table, parts=nothing, watermark=before.watermark, options=options), before)

    def initialise(self, load: Load) -> LoadStats:
        """Create a table that is absent or lost, fill it from a snapshot and book it."""
        with self.transaction():
            self._run(self.dialect.create_table(load.table))
            counts = self.fill(load)
            return self._settle(load, None, "initial-load", counts)

    def fill(self, load: Load) -> LoadStats:
        """Fill the empty table, which has no key yet, from a snapshot, and add its key."""
        staged = self._staged(load, action=False)
        written = self.modify(self.dialect.insert(load.table, staged.name))
        self._run(self.dialect.add_key(load.table))
        return LoadStats(written=written, repaired=staged.repaired)

    def change(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was asked from the watermark in `before`."""
        table = load.table
        alterations = self.alterations(load, before)
        with self.transaction():
            self._guard(before)
            self.alter(table, alterations)
            staged = self._staged(load, action=True)
            deleted = self.modify(self.dialect.delete_marked(table, staged.name))
            written = self._upsert(load, staged, action=True)
            counts = LoadStats(written=written, deleted=deleted, repaired=staged.repaired)
            return self._settle(load, before, "incremental", counts, alterations)

    def replace(self, load: Load, before: SyncState) -> LoadStats:
        """Make a live table equal to a snapshot."""
        table = load.table
        with self.transaction():
            self._guard(before)
            try:
                alterations = self.alterations(load, before)
            except SchemaChangeNotSupportedError:
                if load.options.keep_missing:
                    raise
                alterations = self.rebuild(load, before)
                counts = self.refill(load, alterations)
            else:
                self.alter(table, alterations)
                counts = self._merge(load)
            return self._settle(load, before, "full-refresh", counts, alterations)

    def _merge(self, load: Load) -> LoadStats:
        """Bring a snapshot into the live table; rows that it does not have are deleted unless they are to stay."""
        staged, deleted = self._staged(load, action=False), 0
        if not load.options.keep_missing:
            deleted = self.modify(self.dialect.delete_missing(load.table, staged.name))
        written = self._upsert(load, staged, action=False)
        return LoadStats(written=written, deleted=deleted, repaired=staged.repaired)

    def alter(self, table: Table, statements: Sequence[str]) -> None:  # noqa: ARG002, for those who need it
        """Alter a table into a later version of its schema, within the transaction of the data."""
        self._run(statements)

    def refill(self, load: Load, statements: Sequence[str]) -> LoadStats:
        """Empty a table, give it another schema by these statements and fill it again."""
        self._run(statements)
        return self.fill(load)

    def repair(self, load: Load) -> LoadStats:
        """Make a table that is not on the books equal to a snapshot, and book it, if it is as we would make it."""
        wanted = self.expected_layout(load.table)
        with self.transaction():
            self.require_layout(load.table, wanted)
            counts = self._merge(load)
            if load.table.name in self.sync_states(load.table.namespace):
                raise ConcurrentUpdateError(f"Table {load.table.name} was loaded by somebody else meanwhile")
            return self._settle(load, None, "repaired", counts)

    def require_layout(self, table: Table, wanted: Layout) -> None:
        """Raise IncompatibleLayoutError unless a table is exactly as we would make it."""
        found = self.layout(table)
        if found != wanted:
            odd = sorted({str(line[0]) for line in found ^ wanted})
            message = f"Table {table.name} is not on the books, and is not laid out as a load would leave it"
            hint = f"It may be somebody's own, and was not touched: rename or drop it. What differs: {', '.join(odd)}"
            raise IncompatibleLayoutError(message, hint=hint, table=table.name)

    def expected_layout(self, table: Table) -> Layout:
        """Return the layout of a table as we would make it, which is made and undone to see."""
        wanted: Layout = set()
        with suppress(_UndoneError), self.transaction():
            scratch = replace(table, namespace=self.dialect.scratch)
            self._run([*self.dialect.create_namespace(self.dialect.scratch), *self.dialect.create_table(scratch)])
            self._run(self.dialect.add_key(scratch))
            wanted = self.layout(scratch)
            raise _UndoneError
        return wanted

    def expire(self, load: Load, before: SyncState) -> LoadStats:
        """Delete from a live table the rows that `load.options.expire` names."""
        with self.transaction():
            self._guard(before)
            counts = self._expired(load, LoadStats(written=0))
            if counts.expired:
                self._note(load, "expired", counts)
        return counts

    def compare(self, truth: ExpectedTable) -> Comparison:
        """Compare a live table with what it should hold, made anew in a transaction that is undone."""
        comparison: Comparison | None = None
        made = replace(truth.snapshot.table, namespace=self.dialect.scratch)
        with suppress(_UndoneError), self.transaction():
            self._make_anew(truth, made)
            comparison = self.compared(truth, made)
            raise _UndoneError
        assert comparison is not None, "what raises is passed on"
        return comparison

    def _make_anew(self, truth: ExpectedTable, table: Table) -> None:
        """Make the table as it should be, in a place of its own."""
        self._run([*self.dialect.create_namespace(table.namespace), *self.dialect.create_table(table)])
        self.fill(replace(truth.snapshot, table=table))
        if truth.changes is not None:
            changes = replace(truth.changes, table=table)
            staged = self._staged(changes, action=True)
            self.modify(self.dialect.delete_marked(table, staged.name))
            self._upsert(changes, staged, action=True)

    def compared(self, truth: ExpectedTable, made: Table) -> Comparison:
        """Compare the live table with the one that was made anew."""
        stale = None if truth.stale is None else self._staged(replace(truth.stale, table=made), action=True).name
        return compared(self, truth, made, stale)

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, what was made for it, and its line."""
        with self.transaction():
            self._run(self.dialect.drop_table(namespace, table))
            self.modify(self.dialect.delete_state(), (namespace, table))

    def listing(self, namespace: str, *, count: bool) -> tuple[TableInfo, ...]:
        """Return the tables on the books."""
        sync_states, past = self.sync_states(namespace), history.newest(self, namespace)
        return tuple(
            self._listed(state, past.get(table), count=count)
            if self.exists(namespace, table)
            else TableInfo(state=state, rows=None, last=past.get(table), lost=True)
            for table, state in sync_states.items()
        )

    def _listed(self, state: SyncState, last: HistoryEntry | None, *, count: bool) -> TableInfo:
        return TableInfo(
            state=state,
            rows=self._rows(state) if count else None,
            bytes=self.size(state) if count or not self.size_is_read else None,
            last=last,
            kept_columns=self._kept(state),
        )

    def _kept(self, state: SyncState) -> tuple[str, ...]:
        known = {column.name for column in read_table(state.schema).columns}
        return tuple(name for name in self.columns(state.namespace, state.table) if name not in known)

    def _rows(self, state: SyncState) -> int:
        name = self.dialect.name(state.namespace, state.table)
        return int(self.query(f"SELECT {self.dialect.count_all} FROM {name}")[0][0])

    # Steps

    def _run(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self.modify(statement)

    def _staged(self, load: Load, *, action: bool) -> Staged:
        """Return every row that the files hold, or, where a key is there more than once, its newest row alone."""
        staged = self.stage(load, action=action)
        self.require_rows(load, staged.rows)
        if not self.query(self.dialect.repeated(load.table, staged.name)):
            return staged
        name = self.dialect.temporary(NEWEST)
        self.modify(f"DROP TABLE IF EXISTS {name}")
        self.modify(self.dialect.newest(load.table, staged.name, name, action=action))
        return Staged(name=name, rows=staged.rows, repaired=staged.repaired)

    def require_rows(self, load: Load, rows: int) -> None:
        """Raise IntegrityError unless as many rows came as were counted in the files."""
        if rows != load.parts.rows:
            message = f"The files hold {load.parts.rows:,} rows, but {rows:,} came into the database"
            raise IntegrityError(message, table=load.table.name)

    def _upsert(self, load: Load, staged: Staged, *, action: bool) -> int:
        return [self.modify(sql) for sql in self.dialect.upsert(load.table, staged.name, action=action)][-1]

    def _guard(self, before: SyncState) -> None:
        """Hold the table's line. Raises ConcurrentUpdateError when it says something else by now."""
        stored = [
            history.moment(row[0])
            for row in self.query(self.dialect.lock_state_row(), (before.namespace, before.table))
        ]
        if not stored or max(stored) != before.watermark:
            raise ConcurrentUpdateError(
                f"Table {before.table} was changed by somebody else meanwhile", table=before.table
            )

    def _settle(
        self, load: Load, before: SyncState | None, event: str, counts: LoadStats, ddl: Sequence[str] = ()
    ) -> LoadStats:
        """End what was done to a table: delete rows that are too old, set its line, note it in our history."""
        counts = self._expired(load, counts)
        self._book(load, before)
        self._note(load, event, counts, ddl)
        return counts

    def _expired(self, load: Load, counts: LoadStats) -> LoadStats:
        expiry = load.options.expire
        if expiry is None:
            return counts
        return replace(
            counts, expired=self.modify(self.dialect.delete_before(load.table, expiry.column, expiry.before))
        )

    def _book(self, load: Load, before: SyncState | None) -> None:
        table, mark = load.table, self.moment(load.watermark)
        description = self.description(table.schema.document)
        if before is not None:
            line = (mark, table.version, description, table.namespace, table.name)
            self.modify(self.dialect.update_state(), line)
            return
        if self.query(self.dialect.select_line(), (table.namespace, table.name)):  # of a table that was lost
            self.modify(self.dialect.delete_state(), (table.namespace, table.name))
        target = (self.dialect.target_schema(table.namespace), table.name)
        values = (table.namespace, table.name, mark, table.version, *target, "json", description)
        self.modify(self.dialect.insert_state(), values)

    def _note(self, load: Load, event: str, counts: LoadStats, ddl: Sequence[str] = ()) -> None:
        detail = {
            "watermark": load.watermark.isoformat(),
            "schema_version": load.table.version,
            "written": counts.written,
            "deleted": counts.deleted,
            **({"expired": counts.expired} if counts.expired else {}),
            **({"repaired": dict(counts.repaired)} if counts.repaired else {}),
            **({history.DDL: list(ddl)} if ddl else {}),
        }
        history.write(self, load.table.namespace, load.table.name, event, detail)

    def record_event(self, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add a line to the history, in a transaction of its own."""
        with self.transaction():
            history.write(self, namespace, table, event, detail)


def described(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema as the books hold it: without the property `meta`, which no column stands for."""
    properties = {name: node for name, node in document.get("properties", {}).items() if name != "meta"}
    return {**document, "properties": properties}
