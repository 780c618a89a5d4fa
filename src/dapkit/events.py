"""Events: what a run reports while it works.

The library never prints. It calls one listener with these values, in order, from the event loop's thread. The listener
decides what to show: a progress display, log lines, or nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dapkit.errors import DapError
from dapkit.failures import TableFailed
from dapkit.model import Query
from dapkit.results import Comparison, SyncCommand, TableLoaded, TableResult


class TablePhase(StrEnum):
    """The phases of a table in a run."""

    QUEUED = "queued"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run's tables are known. `resumed_age`: age in seconds of the interrupted run that it resumes."""

    namespace: str
    tables: tuple[str, ...]
    query: Query
    output: Path
    resumed_age: float | None
    sandbox: bool
    incremental: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPlanned:
    """It is known how many jobs the run requests at least. `per_minute`: the rate limit for new jobs, None without one.

    A command that works in several stages plans the jobs of each stage when it begins.
    """

    jobs: int
    per_minute: int | None

    @property
    def min_seconds(self) -> float:
        """How long it takes at least to request the jobs, in seconds; 0 if all can be requested at once."""
        if self.per_minute is None or self.jobs <= self.per_minute:
            return 0.0
        return self.jobs / self.per_minute * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitReached:
    """Requests have to wait for a rate limit; sent once for each kind of request.

    `requests` names the kind, `jobs` is whether it is that of new jobs, `per_minute` is the limit.
    """

    requests: str
    per_minute: int
    jobs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePhaseChanged:
    """A table entered a new phase."""

    table: str
    phase: TablePhase
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsListed:
    """A table's job is complete. `objects`: number of its objects; `complete`: those that are already on disk."""

    table: str
    objects: int
    complete: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStarted:
    """A download started. `size`: the announced length in bytes, if there is one."""

    table: str
    name: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesReceived:
    """Bytes of a table received since the last event of this kind."""

    table: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCompleted:
    """A file is verified and has its final name."""

    table: str
    name: str
    size: int
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """Something failed and is retried after `pause` seconds."""

    table: str | None
    error: DapError
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that the user should know, in one or two sentences."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCompleted:
    """A table is complete on disk."""

    result: TableResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStarted:
    """Tables will be loaded into a database. `target`: its URL without user and password."""

    namespace: str
    tables: tuple[str, ...]
    target: str
    command: SyncCommand
    sandbox: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCompared:
    """A table in a database was compared with the service, as of its watermark."""

    table: str
    comparison: Comparison
    watermark: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A call of the library has ended, with a result or an error. It is the last event of the call."""


Event = (
    RunStarted
    | SyncStarted
    | JobsPlanned
    | RateLimitReached
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
    | RunEnded
)
Listener = Callable[[Event], None]
