"""The interface of a target: a place whose tables are kept equal to the service's.

A `Target` is an address; `open` returns a `TargetSession`, which is one connection, used by one thread at a time.
`Capabilities` says what kind of target it is. Nothing here knows SQL: a session takes files, and keeps a table and its
sync state. A load changes the table and its state together; after a crash either both are new or neither is (the one
exception, MySQL's RENAME, is described in `dapkit.targets.sql.loader`). Sessions block; the caller has threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from dapkit.config import arguments
from dapkit.errors import ConcurrentUpdateError
from dapkit.model import Format, Mode, Table, VersionedSchema
from dapkit.results import Comparison, LoadStats


class BadValues(StrEnum):
    """What to do with values that the target cannot store."""

    REPAIR = "repair"
    FAIL = "fail"


class TableStatus(StrEnum):
    """What a target has under the name of a table."""

    ABSENT = "absent"
    MANAGED = "managed"
    UNMANAGED = "unmanaged"
    """A table without sync state: half loaded by the official client, or a table of the user's own."""

    DROPPED = "dropped"
    """Sync state without its table, which was dropped or renamed."""

    NOT_A_TABLE = "not-a-table"
    """A view or another object, with or without sync state."""


class Staging(StrEnum):
    """When the rows of a load are copied into a staging table."""

    BEFORE = "before"
    """Before the transaction that changes the table."""

    WITHIN = "within"
    """Within that transaction."""


class Merge(StrEnum):
    """How staged rows are merged into a table."""

    ON_CONFLICT = "on-conflict"
    ON_DUPLICATE_KEY = "on-duplicate-key"
    DELETE_INSERT = "delete-insert"
    UPDATE_INSERT = "update-insert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """How a target differs from others.

    Attributes:
        connections: how many sessions may work at the same time.
        formats: file formats that it loads, the preferred one first.
        modes: how nested fields may be laid out in these files, the preferred one first.
        transactional_ddl: whether a transaction that is rolled back undoes its DDL too.
        staging: when rows are copied into a staging table.
        direct_load: whether an initial load can copy rows straight into the new table.
        merge: how staged rows are merged.
        merge_without_key: how they are merged into a table that has no unique index on its key.
        watermark_precision: the unit to which watermarks are rounded down when they are saved.
        unique_keys: whether tables have their key as a constraint.
    """

    connections: int
    formats: tuple[Format, ...] = (Format.TSV,)
    modes: tuple[Mode, ...] = (Mode.CONDENSED,)
    transactional_ddl: bool = True
    staging: Staging = Staging.WITHIN
    direct_load: bool = True
    merge: Merge = Merge.ON_CONFLICT
    merge_without_key: Merge = Merge.UPDATE_INSERT
    watermark_precision: timedelta = timedelta(microseconds=1)
    unique_keys: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFiles:
    """The files of one job, in a format and mode that the target accepts.

    Attributes:
        paths: of the files.
        rows: how many rows were counted in them.
        repaired: how many values were repaired in the files themselves, by column.
    """

    paths: tuple[Path, ...]
    rows: int
    repaired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """The sync state of a table: its watermark (UTC), and the schema that its columns follow.

    `late_by` is how much later than the real watermark the saved one may be.
    """

    namespace: str
    table: str
    watermark: datetime
    schema: VersionedSchema
    late_by: timedelta = timedelta()

    @property
    def changes_since(self) -> datetime:
        """From when changes have to be requested so that none is skipped; applying one twice changes nothing."""
        return self.watermark - self.late_by


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionCutoff:
    """Which rows have expired: those whose date-time in a column is before a time (UTC)."""

    column: str
    before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a table is loaded.

    Attributes:
        bad_values: what to do with values that the target cannot store.
        side_file: where the originals of repaired values are written, one JSON object per line.
        drop_columns: whether to drop columns that the schema no longer has; by default they are kept, nullable.
        keep_missing: whether to keep rows that a snapshot no longer has (logs outlive the service's 30 days).
        expire: which rows to delete because of their age, after everything else.
    """

    bad_values: BadValues = BadValues.REPAIR
    side_file: Path | None = None
    drop_columns: bool = False
    keep_missing: bool = False
    expire: RetentionCutoff | None = None

    def __post_init__(self) -> None:
        arguments.flag("drop_columns", self.drop_columns)
        try:
            # A text is accepted like a member; kept as a text, it would be neither REPAIR nor FAIL.
            object.__setattr__(self, "bad_values", BadValues(self.bad_values))
        except ValueError:
            raise arguments.invalid("bad_values", self.bad_values, " or ".join(BadValues)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Files to load into one table, and the watermark that the table then has."""

    table: Table
    files: DataFiles
    watermark: datetime
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows picked by a hash of their keys: about `percent` of them (over 0 to 100); another seed picks others."""

    percent: float
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTable:
    """What a table should hold.

    Attributes:
        actual: the sync state of the table; the loads may follow another version of its schema.
        snapshot: the table at one time.
        changes: what changed from then until the table's watermark, if that is later.
        stale: what changed from the table's watermark until the snapshot, if that is later: these keys are not
            compared.
        incomplete_columns: columns that some of the loads lack: they are not compared.
        sample: the rows whose values are compared, None for all. Keys are always compared.
    """

    actual: SyncState
    snapshot: Load
    changes: Load | None = None
    stale: Load | None = None
    incomplete_columns: frozenset[str] = frozenset()
    sample: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """What was done to a table: when (UTC), what, and details such as the rows written or the error's code."""

    time: datetime
    event: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """A managed table as `listdb` shows it.

    Attributes:
        state: its sync state.
        rows: how many it has, None where they were not counted.
        bytes: its size, None where the target does not report it.
        last: the last entry of its history, None if dapkit has never loaded it.
        kept_columns: columns that are not in its schema: kept when they left it, or created by the user.
        table_dropped: whether the table no longer exists; nothing else is known then.
    """

    state: SyncState
    rows: int | None
    bytes: int | None = None
    last: HistoryEntry | None = None
    kept_columns: tuple[str, ...] = ()
    table_dropped: bool = False

    @property
    def table(self) -> str:
        """The table's name."""
        return self.state.table

    @property
    def watermark(self) -> datetime:
        """The time that the table shows (UTC)."""
        return self.state.watermark


class TargetSession(Protocol):
    """One connection to a target."""

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Create the state tables and the namespace where they are missing.

        Raises:
            IncompatibleLayoutError: the state tables are of a version that is not supported.
            SandboxMismatchError: as `require_origin`.
        """

    def holds_sandbox(self) -> bool:
        """Whether the target is marked as holding a sandbox's data. Writes nothing."""

    def require_origin(self, *, sandbox: bool) -> None:
        """Make sure that synthetic and real data are not mixed. Writes nothing.

        Raises:
            SandboxMismatchError: the target holds a sandbox's data and the data to load is the service's, or the
                other way round.
        """

    def require_version(self) -> None:
        """Raise IncompatibleLayoutError if the state tables have an unsupported version."""

    def sync_states(self, namespace: str) -> dict[str, SyncState]:
        """Return the sync states of a namespace by table; empty if there are no state tables."""

    def status(self, namespace: str, table: str, sync_states: Mapping[str, SyncState] | None = None) -> TableStatus:
        """Return what exists under a table's name; `sync_states` are those of the namespace, if already read."""

    def schema_change_sql(self, table: Table, before: SyncState | None, options: LoadOptions) -> list[str]:
        """Return the statements that would create the table, or alter it from the schema in `before`.

        Nothing is executed. A target without SQL describes its steps instead.

        Raises:
            SchemaChangeNotSupportedError: the table cannot be altered into its new schema.
        """

    def initial_load(self, load: Load) -> LoadStats:
        """Create a table that is absent or was dropped, fill it from a snapshot and save its state.

        Raises:
            ConcurrentUpdateError: another process has loaded it in the meantime.
            IncompatibleLayoutError: something that dapkit does not manage exists under its name.
        """

    def apply_increment(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was requested from the watermark in `before`.

        Raises:
            ConcurrentUpdateError: the saved watermark is no longer that of `before`.
            SchemaChangeNotSupportedError: the table cannot be altered into its new schema.
        """

    def full_refresh(self, load: Load, before: SyncState) -> LoadStats:
        """Make a table equal to a snapshot. Views, grants and indexes of the user stay.

        Raises:
            ConcurrentUpdateError, SchemaChangeNotSupportedError: as `apply_increment`.
        """

    def repair(self, load: Load) -> LoadStats:
        """Make a table without sync state equal to a snapshot, and save its state.

        Raises:
            IncompatibleLayoutError: the table is not laid out as `initial_load` would create it.
        """

    def delete_expired(self, load: Load, before: SyncState) -> LoadStats:
        """Delete the rows that `load.options.expire` names; the load has no files.

        Raises:
            ConcurrentUpdateError: the saved watermark is no longer that of `before`.
        """

    def compare(self, expected: ExpectedTable) -> Comparison:
        """Compare a table with what it should hold. Leaves nothing behind.

        Raises:
            SchemaChangeNotSupportedError: the loads have another key.
            ConcurrentUpdateError: the table was changed in the meantime.
        """

    def is_unmanaged(self, namespace: str, table: str) -> bool:
        """Whether a table (no view) without sync state exists under this name.

        False where there are no state tables, and for the state tables themselves.
        """

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, what was created for it (enum types, lookup tables), and its sync state if it has one."""

    def record_event(self, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add an entry to the history of a table, which need not exist; `detail` has to fit into JSON."""

    def list_tables(self, namespace: str, *, count: bool) -> tuple[TableInfo, ...]:
        """Return the managed tables; `count` decides whether their rows are counted."""

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""


class Target(Protocol):
    """A database or lake at an address."""

    @property
    def name(self) -> str:
        """The address, without anything secret."""

    @property
    def capabilities(self) -> Capabilities:
        """What kind of target it is."""

    @property
    def warning(self) -> str | None:
        """What a user should know before anything is written there; None for nothing."""

    @property
    def empty_substitute(self) -> Self | None:
        """An empty target in memory to read from, as long as nothing exists at the address; else None.

        Opening the target itself would create it. Always None for servers.
        """

    def open(self) -> TargetSession:
        """Connect. Raises TargetError when that fails."""


def concurrent_update(table: str) -> ConcurrentUpdateError:
    """Return the error for a table that has changed since its load began."""
    return ConcurrentUpdateError(f"Table {table} was changed by another process", table=table)
