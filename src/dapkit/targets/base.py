"""What a database or lake has to be able to do to be kept equal to the service.

A `Target` is an address; `open` gives a `TargetSession`, which is one connection, used by one thread at a time. Every
change of a table and the record of that change, its line in the books, are one transaction: after a crash either
both are there or neither. Sessions block; whoever calls them brings the threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from dapkit.model import Table, VersionedSchema
from dapkit.results import Comparison, LoadStats

__all__ = [
    "BadValues",
    "DataFiles",
    "ExpectedTable",
    "HistoryEntry",
    "Load",
    "LoadOptions",
    "RetentionCutoff",
    "Sample",
    "SyncState",
    "TableInfo",
    "TableStatus",
    "Target",
    "TargetSession",
    "watermark_of",
    "watermark_text",
]


class BadValues(StrEnum):
    """What becomes of a value that the database cannot hold."""

    REPAIR = "repair"
    FAIL = "fail"


class TableStatus(StrEnum):
    """What there is in the database where a table should be."""

    ABSENT = "absent"
    MANAGED = "managed"
    UNMANAGED = "unmanaged"
    """A table without a line in the books: half loaded by the official client, or a person's own."""

    DROPPED = "dropped"
    """A line in the books without its table, which somebody dropped or renamed."""

    NOT_A_TABLE = "not-a-table"
    """A view, or anything else that is no table, on the books or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFiles:
    """The files of one job: gzip TSV, mode condensed. `rows` were counted while they came."""

    paths: tuple[Path, ...]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """A table's line in the books: its watermark (UTC), and the schema that its columns follow."""

    namespace: str
    table: str
    watermark: datetime
    schema: VersionedSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionCutoff:
    """Which rows have had their time: those whose value in a column of date-times lies before a moment (UTC)."""

    column: str
    before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a table is loaded.

    Attributes:
        bad_values: what becomes of values that the database cannot hold.
        side_file: where the originals of repaired values are written, one JSON object a line.
        drop_columns: whether columns that the schema no longer has are dropped; by default they stay, nullable.
        keep_missing: whether rows stay that a snapshot no longer has (logs outlive the service's 30 days).
        expire: the rows that are deleted because of their age, once everything else is done.
    """

    bad_values: BadValues = BadValues.REPAIR
    side_file: Path | None = None
    drop_columns: bool = False
    keep_missing: bool = False
    expire: RetentionCutoff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be brought into one table, and the watermark that it then has."""

    table: Table
    parts: DataFiles
    watermark: datetime
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows picked by a hash of their keys: about so many percent of them (over 0 to 100), others for each seed."""

    percent: float
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTable:
    """What a table should hold.

    Attributes:
        live: the table's line in the books; the loads may have another version of its schema.
        snapshot: the table at one time.
        changes: what changed from then until the live table's watermark, if that is later.
        stale: what changed from the live table's watermark until the snapshot, if that is later: of these keys
            nothing can be said.
        incomplete_columns: columns that some of the loads lack: nothing can be said of them.
        sample: the rows whose values are compared; all when it is None. Keys are compared in every case.
    """

    live: SyncState
    snapshot: Load
    changes: Load | None = None
    stale: Load | None = None
    incomplete_columns: frozenset[str] = frozenset()
    sample: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """What was done to a table: when (UTC), what, and its detail, such as the rows written or the error's code."""

    time: datetime
    event: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """A table on the books as `listdb` shows it.

    Attributes:
        state: its line.
        lost: whether the table is no longer there, so that nothing else is known of it.
        rows: how many it has, None where they were not counted.
        bytes: what it takes, None where the database does not tell.
        last: what was last done to it, None where dapkit did nothing yet.
        kept_columns: columns that it has and its schema does not: kept when they left the schema, or somebody's own.
    """

    state: SyncState
    rows: int | None
    bytes: int | None = None
    last: HistoryEntry | None = None
    kept_columns: tuple[str, ...] = ()
    lost: bool = False


class TargetSession(Protocol):
    """One connection to a target."""

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Make the books and the namespace's place, where they are missing.

        Raises:
            IncompatibleLayoutError: the books are of a kind that is not ours to touch.
            SandboxMismatchError: as `require_origin`.
        """

    def holds_sandbox(self) -> bool:
        """Whether the target is marked as holding a sandbox's data. Writes nothing."""

    def require_origin(self, *, sandbox: bool) -> None:
        """Make sure that what is there is of the same origin as what it is to meet. Writes nothing.

        Raises:
            SandboxMismatchError: the target holds a sandbox's data and this is the service's, or the other way round.
        """

    def require_version(self) -> None:
        """Raise IncompatibleLayoutError when there are books of a version that is not known."""

    def sync_states(self, namespace: str) -> dict[str, SyncState]:
        """Return the lines of a namespace's tables by name; empty when there are no books."""

    def status(self, namespace: str, table: str, sync_states: Mapping[str, SyncState] | None = None) -> TableStatus:
        """Return what there is where the table should be; `sync_states` are the namespace's, if already read."""

    def ddl(self, table: Table, before: SyncState | None, options: LoadOptions) -> list[str]:
        """Return the statements that make the table, or alter it from the schema in `before`; nothing is run.

        Raises:
            SchemaChangeNotSupportedError: the table's schema cannot be altered into the new one.
        """

    def initialise(self, load: Load) -> LoadStats:
        """Create a table that is absent or lost, fill it from a snapshot and book it."""

    def change(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was asked from the watermark in `before`.

        Raises:
            ConcurrentUpdateError: the books say something else by now.
            SchemaChangeNotSupportedError: the table's schema cannot be altered into the new one.
        """

    def replace(self, load: Load, before: SyncState) -> LoadStats:
        """Make a live table equal to a snapshot without replacing it: views, grants and indexes stay.

        Raises:
            ConcurrentUpdateError, SchemaChangeNotSupportedError: as `change`.
        """

    def repair(self, load: Load) -> LoadStats:
        """Make a table that is not on the books equal to a snapshot, and book it.

        Raises:
            IncompatibleLayoutError: the table is not laid out as `initialise` would make it.
        """

    def expire(self, load: Load, before: SyncState) -> LoadStats:
        """Delete from a live table the rows that `load.options.expire` names; a load without rows.

        Raises:
            ConcurrentUpdateError: the books say something else by now.
        """

    def compare(self, truth: ExpectedTable) -> Comparison:
        """Compare a live table with what it should hold; nothing is left of what that takes.

        Raises:
            SchemaChangeNotSupportedError: the loads have another key.
            ConcurrentUpdateError: the table's line says something else by now.
        """

    def is_unmanaged(self, namespace: str, table: str) -> bool:
        """Whether a table (no view) that is not on the books stands where one of the service would.

        Where there are no books nothing does, and the books themselves are never meant.
        """

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, what was made for it (enum types, lookup tables), and its line if it has one."""

    def record_event(self, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add to the history what no load of this session has added, in a transaction of its own.

        Args:
            namespace: of the table.
            table: its name; it need not be there.
            event: what happened, in a word.
            detail: more of it, as JSON takes it.
        """

    def listing(self, namespace: str, *, count: bool) -> tuple[TableInfo, ...]:
        """Return the tables on the books."""

    def close(self) -> None:
        """Give the connection up; what was not committed is gone."""


class Target(Protocol):
    """A database or lake at an address.

    One that has something to say to everybody who loads into it has a `notice`, a sentence, besides.
    """

    @property
    def name(self) -> str:
        """The address, without anything secret."""

    @property
    def notice(self) -> str | None:
        """What a person should know before anything is written there, if anything."""

    @property
    def empty_substitute(self) -> Self | None:
        """While there is nothing at the address yet: an empty database in memory, for those who only read.

        None once there is something, and always for servers. Opening the target itself makes what is missing.
        """

    @property
    def max_connections(self) -> int:
        """How many sessions may be at work at the same time."""

    def open(self) -> TargetSession:
        """Connect. Raises TargetError when that fails."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that a URL names. Raises UsageError when it names none."""


def watermark_of(text: str) -> datetime:
    """Return the service's watermark as a time in UTC, cut (never rounded up) to microseconds."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def watermark_text(moment: datetime) -> str:
    """Return a watermark as the service takes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
