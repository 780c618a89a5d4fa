"""A session on any SQL database: a driver, the sync state and the loader, put together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dapkit.model import Table
from dapkit.results import Comparison, LoadStats
from dapkit.schema import read_table
from dapkit.targets.base import ExpectedTable, HistoryEntry, Load, LoadOptions, SyncState, TableInfo, TableStatus
from dapkit.targets.sql.clean_files import Incoming, with_clean_files
from dapkit.targets.sql.dialect import STATE_SCHEMA
from dapkit.targets.sql.driver import Driver
from dapkit.targets.sql.introspection import RelationKind
from dapkit.targets.sql.loader import Loader
from dapkit.targets.sql.sync_state import SyncStateStore


class SqlTargetSession:
    """A `TargetSession` over a driver."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._state = SyncStateStore(driver)
        self._loader = Loader(driver, self._state)
        self._product = driver.dialect.facts.product

    # The sync state

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Create the state tables and the namespace where they are missing."""
        self._state.prepare(namespace, sandbox=sandbox)

    def holds_sandbox(self) -> bool:
        """Whether the database is marked as holding a sandbox's data."""
        return self._state.holds_sandbox()

    def require_origin(self, *, sandbox: bool) -> None:
        """Make sure that synthetic and real data are not mixed."""
        self._state.require_origin(sandbox=sandbox)

    def require_version(self) -> None:
        """Raise IncompatibleLayoutError if the state tables have an unsupported version."""
        self._state.require_version()

    def sync_states(self, namespace: str) -> dict[str, SyncState]:
        """Return the sync states of a namespace by table."""
        return self._state.states(namespace)

    def record_event(self, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add an entry to the history, in a separate transaction."""
        with self.driver.transaction():
            self._state.append_history(namespace, table, event, detail)
        self._state.trim_history(namespace, table)

    # What exists

    def status(self, namespace: str, table: str, sync_states: Mapping[str, SyncState] | None = None) -> TableStatus:
        """Return what exists under a table's name."""
        managed = table in (self.sync_states(namespace) if sync_states is None else sync_states)
        match self.driver.catalog.kind(namespace, table):
            case RelationKind.TABLE if managed:
                return TableStatus.MANAGED
            case RelationKind.TABLE:
                unfinished = self._state.is_unfinished(namespace, table)
                return TableStatus.ABSENT if unfinished else TableStatus.UNMANAGED
            case RelationKind.OTHER:
                return TableStatus.NOT_A_TABLE
        return TableStatus.DROPPED if managed else TableStatus.ABSENT

    def is_unmanaged(self, namespace: str, table: str) -> bool:
        """Whether a table without sync state exists under this name."""
        if namespace.casefold() == STATE_SCHEMA or not self._state.exists():
            return False
        is_table = self.driver.catalog.kind(namespace, table) is RelationKind.TABLE
        return is_table and not self._state.is_managed(namespace, table)

    def list_tables(self, namespace: str, *, count: bool) -> tuple[TableInfo, ...]:
        """Return the managed tables."""
        events = self._state.last_events(namespace)
        states = self.sync_states(namespace).items()
        return tuple(self._info(state, events.get(table), count=count) for table, state in states)

    def _info(self, state: SyncState, last: HistoryEntry | None, *, count: bool) -> TableInfo:
        namespace, table, catalog = state.namespace, state.table, self.driver.catalog
        if catalog.kind(namespace, table) is None:
            return TableInfo(state=state, rows=None, last=last, table_dropped=True)
        name, rows = self.driver.dialect.facts.name(namespace, table), None
        if count:
            rows = int(self.driver.query(f"SELECT {self.driver.dialect.facts.count_all} FROM {name}")[0][0])
        known = {column.name for column in read_table(state.schema).columns}
        return TableInfo(
            state=state,
            rows=rows,
            # SQLite has to read a table to find its size, so that is only done if its rows are counted too.
            bytes=catalog.size(namespace, table) if count or not self.driver.dialect.facts.size_is_read else None,
            last=last,
            kept_columns=tuple(each for each in catalog.existing(namespace, table).columns if each not in known),
        )

    def schema_change_sql(self, table: Table, before: SyncState | None, options: LoadOptions) -> list[str]:
        """Return the statements that would create or alter a table; nothing is executed."""
        first, within = self._loader.schema_change(table, before, options)
        return [*first, *within]

    # Loads

    def initial_load(self, load: Load) -> LoadStats:
        """Create a table that is absent or was dropped, fill it from a snapshot and save its state."""
        return self._load(load, self._loader.initial_load)

    def apply_increment(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was requested from the watermark in `before`."""
        return self._load(load, lambda clean: self._loader.apply_increment(clean, before), action=True)

    def full_refresh(self, load: Load, before: SyncState) -> LoadStats:
        """Make a table equal to a snapshot."""
        return self._load(load, lambda clean: self._loader.full_refresh(clean, before))

    def repair(self, load: Load) -> LoadStats:
        """Make a table without sync state equal to a snapshot, and save its state."""
        return self._load(load, self._loader.repair)

    def _load(self, load: Load, attempt: Callable[[Load], LoadStats], *, action: bool = False) -> LoadStats:
        stats = with_clean_files(self._product, [Incoming(load, action)], lambda loads: attempt(*loads))
        self._state.trim_history(load.table.namespace, load.table.name)
        return stats

    def delete_expired(self, load: Load, before: SyncState) -> LoadStats:
        """Delete the rows that `load.options.expire` names."""
        stats = self._loader.delete_expired(load, before)
        self._state.trim_history(load.table.namespace, load.table.name)
        return stats

    def compare(self, expected: ExpectedTable) -> Comparison:
        """Compare a table with what it should hold."""
        increments = [load for load in (expected.changes, expected.stale) if load is not None]
        incoming = [Incoming(expected.snapshot, action=False), *(Incoming(load, action=True) for load in increments)]

        def compare(clean: Sequence[Load]) -> Comparison:
            snapshot, *others = clean
            changes = others.pop(0) if expected.changes is not None else None
            stale = others.pop(0) if expected.stale is not None else None
            return self._loader.compare(replace(expected, snapshot=snapshot, changes=changes, stale=stale))

        return with_clean_files(self._product, incoming, compare)

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, what was created for it, and its sync state."""
        self._loader.drop(namespace, table)

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""
        self.driver.close()
