"""What the engine tells while it works, and the result it ends with.

The engine never prints: it calls one listener with these values, in order, from the event loop's thread. Who
listens decides what to show (a progress display, log lines, nothing).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dapkit.errors import DapError
from dapkit.model import Query
from dapkit.results import Comparison, SyncCommand, TableFailed, TableLoaded, TableResult


class TablePhase(StrEnum):
    """Where a table is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run's tables are known. `continued` is the age in seconds of the interrupted run it goes on from."""

    namespace: str
    tables: tuple[str, ...]
    query: Query
    output: Path
    continued: float | None
    sandbox: bool
    incremental: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePhaseChanged:
    """A table reached a new state."""

    table: str
    phase: TablePhase
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsListed:
    """A table's job is complete and has so many objects, of which `whole` are here already."""

    table: str
    objects: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStarted:
    """A download began; `size` is the announced length in bytes, if one was announced."""

    table: str
    name: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesReceived:
    """So many bytes of a table arrived since the last such event."""

    table: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCompleted:
    """A file is checked and bears its final name."""

    table: str
    name: str
    size: int
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """Something failed and is tried again after `pause` seconds."""

    table: str | None
    error: DapError
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know, in one sentence."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCompleted:
    """A table is whole."""

    result: TableResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStarted:
    """Tables are about to be brought into a database; `target` is its address without anything secret."""

    namespace: str
    tables: tuple[str, ...]
    target: str
    command: SyncCommand
    sandbox: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCompared:
    """A table of the database was compared with the service's, as of its watermark."""

    table: str
    comparison: Comparison
    watermark: datetime


Event = (
    RunStarted
    | SyncStarted
    | TablePhaseChanged
    | ObjectsListed
    | ObjectStarted
    | BytesReceived
    | ObjectCompleted
    | Retrying
    | Notice
    | TableCompleted
    | TableLoaded
    | TableCompared
    | TableFailed
)
Listener = Callable[[Event], None]
