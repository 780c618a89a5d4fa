"""What the engine tells while it works, and the result it ends with.

The engine never prints: it calls one listener with these values, in order, from the event loop's thread. Who
listens decides what to show (a progress display, log lines, nothing).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dapkit.engine.replication.converge import Purpose, Road
from dapkit.errors import DapError
from dapkit.model import Query
from dapkit.targets.base import Comparison, Counts


class TableState(StrEnum):
    """Where a table is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    """The run's tables are known. `continued` is the age in seconds of the interrupted run it goes on from."""

    namespace: str
    tables: tuple[str, ...]
    query: Query
    output: Path
    continued: float | None
    sandbox: bool
    incremental: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMoved:
    """A table reached a new state."""

    table: str
    state: TableState
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsKnown:
    """A table's job is complete and has so many objects, of which `whole` are here already."""

    table: str
    objects: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBegan:
    """A download began; `size` is the announced length in bytes, if one was announced."""

    table: str
    name: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesCame:
    """So many bytes of a table arrived since the last such event."""

    table: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDone:
    """A file is checked and bears its final name."""

    table: str
    name: str
    size: int
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """Something failed and is tried again after `pause` seconds."""

    table: str | None
    error: DapError
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know, in one sentence."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """One table, whole on disk. `proven` names the weakest check that each of its files passed."""

    table: str
    job_id: str
    folder: Path
    files: int
    bytes: int
    rows: int | None
    schema_version: int | None
    at: str | None
    since: str | None
    until: str | None
    proven: str
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDone:
    """A table is whole."""

    result: TableResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFailed:
    """A table failed for good in this run; the others go on."""

    table: str
    error: DapError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. `fetched` counts bytes off the network, `refetched` those of them fetched a second time."""

    namespace: str
    query: Query
    output: Path
    done: tuple[TableResult, ...]
    failed: tuple[TableFailed, ...]
    fetched: int
    refetched: int
    seconds: float
    sandbox: bool
    incremental: bool = False
    notices: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBegan:
    """Tables are about to be brought into a database; `target` is its address without anything secret."""

    namespace: str
    tables: tuple[str, ...]
    target: str
    purpose: Purpose
    sandbox: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoaded:
    """A table of the database is where the service is: by which road, what was done, and its watermark now."""

    table: str
    road: Road
    counts: Counts
    watermark: datetime
    schema_version: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCompared:
    """A table of the database was compared with the service's, as of its watermark."""

    table: str
    comparison: Comparison
    watermark: datetime


Event = (
    RunBegan
    | SyncBegan
    | TableMoved
    | ObjectsKnown
    | ObjectBegan
    | BytesCame
    | ObjectDone
    | Retried
    | Notice
    | TableDone
    | TableLoaded
    | TableCompared
    | TableFailed
)
Listener = Callable[[Event], None]
