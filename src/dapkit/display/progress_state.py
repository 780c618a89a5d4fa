"""PURE. The progress of a run, computed from its events."""

from dataclasses import dataclass, field

from dapkit.events import (
    BytesReceived,
    Event,
    JobsPlanned,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RateLimitReached,
    RunStarted,
    SyncStarted,
    TableCompared,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.failures import TableFailed
from dapkit.formatting import about, count, size
from dapkit.results import TableLoaded


@dataclass(slots=True)
class TableProgressState:
    """The progress of one table.

    `total` is the number of its files, known once its job is complete. `active` names the files that are being
    downloaded, `complete_bytes` is the size of the complete ones.
    """

    phase: TablePhase = TablePhase.QUEUED
    files: int = 0
    total: int | None = None
    bytes: int = 0
    complete_bytes: int = 0
    active: set[str] = field(default_factory=set)
    rows: int = 0


@dataclass(slots=True)
class ProgressState:
    """The progress of the run.

    `jobs_per_minute` is the rate limit for new jobs, None without one; `rate_limited` is whether jobs wait for it.
    """

    namespace: str = ""
    jobs_per_minute: int | None = None
    rate_limited: bool = False
    tables: dict[str, TableProgressState] = field(default_factory=dict)
    bytes: int = 0

    def add(self, event: Event) -> None:
        """Apply one event."""
        if isinstance(event, RunStarted | SyncStarted):
            # Events of a table may precede this one; what they recorded is kept.
            self.namespace = event.namespace
            self.tables = {name: self.tables.get(name, TableProgressState()) for name in event.tables}
        elif isinstance(event, JobsPlanned):
            self.jobs_per_minute = event.per_minute
            self.rate_limited = bool(event.min_seconds)
        elif isinstance(event, RateLimitReached):
            self.rate_limited = self.rate_limited or event.jobs
        elif isinstance(event, BytesReceived):
            self._table(event.table).bytes += event.count
            self.bytes += event.count
        elif isinstance(event, ObjectsListed | ObjectStarted | ObjectCompleted):
            self._add_object(event)
        elif isinstance(event, TablePhaseChanged):
            self._table(event.table).phase = event.phase
        elif isinstance(event, TableCompleted | TableLoaded | TableCompared | TableFailed):
            self._end_table(event)

    def _add_object(self, event: ObjectsListed | ObjectStarted | ObjectCompleted) -> None:
        table = self._table(event.table)
        if isinstance(event, ObjectsListed):
            table.total, table.files = event.objects, event.complete
        elif isinstance(event, ObjectStarted):
            table.phase = TablePhase.DOWNLOADING
            table.active.add(event.name)
        else:
            table.files += 1
            table.active.discard(event.name)
            table.complete_bytes += event.size
            table.rows += event.rows or 0

    def _end_table(self, event: TableCompleted | TableLoaded | TableCompared | TableFailed) -> None:
        table = self._table(event.result.table if isinstance(event, TableCompleted) else event.table)
        table.phase = TablePhase.FAILED if isinstance(event, TableFailed) else TablePhase.DONE
        table.active.clear()
        if isinstance(event, TableCompleted):
            table.files = table.total = len(event.result.files)
            table.rows = event.result.rows or table.rows
        elif not isinstance(event, TableFailed):
            table.total = table.files

    def counts(self) -> dict[TablePhase, int]:
        """Return how many tables are in each phase."""
        counts = dict.fromkeys(TablePhase, 0)
        for table in self.tables.values():
            counts[table.phase] += 1
        return counts

    def files(self) -> tuple[int, int, bool]:
        """Return the number of complete files, of all files, and whether the latter is an estimate.

        For tables whose job is not complete, the average of the others is assumed.
        """
        complete = sum(table.files for table in self.tables.values())
        totals = [table.total for table in self.tables.values() if table.total is not None]
        open_tables = sum(
            1
            for table in self.tables.values()
            if table.total is None and table.phase not in (TablePhase.DONE, TablePhase.FAILED)
        )
        known = sum(totals)
        if not open_tables:
            return complete, known, False
        # A table without a finished job has at least one file, or the bar would jump backwards later.
        average = known / len(totals) if totals else 1
        return complete, known + max(open_tables, round(average * open_tables)), True

    def waiting(self) -> str:
        """Return what the run waits for, in a few words; an empty text while files are downloaded or loaded."""
        counts = self.counts()
        queued, running = counts[TablePhase.QUEUED], counts[TablePhase.RUNNING]
        if not self.tables:
            return "starting"
        if self.jobs_per_minute is not None and self.rate_limited and queued > 0:
            return f"{count(queued, 'job')} to request (rate limit: {self.jobs_per_minute:,} per minute)"
        if counts[TablePhase.DOWNLOADING] or counts[TablePhase.LOADING] or not queued + running:
            return ""
        return f"waiting for {count(queued + running, 'job')} of the service"

    def seconds_left(self, rate: float) -> float:
        """Return how long the run takes at least, as far as is known; 0 if nothing is known.

        `rate` is the current one, in bytes per second.
        """
        requests = 0.0
        if self.jobs_per_minute and self.rate_limited:
            requests = self.counts()[TablePhase.QUEUED] / self.jobs_per_minute * 60
        return max(requests, self._remaining_bytes() / rate if rate > 0 else 0.0)

    def _remaining_bytes(self) -> float:
        """Estimate how many bytes are missing of the files that are known, from the average size of the others."""
        complete = sum(table.files for table in self.tables.values())
        average = sum(table.complete_bytes for table in self.tables.values()) / complete if complete else 0.0
        return sum(
            max(0.0, (table.total - table.files) * average - (table.bytes - table.complete_bytes))
            for table in self.tables.values()
            if table.total is not None and table.phase is TablePhase.DOWNLOADING
        )

    def complete_tables(self) -> str:
        """Return how many tables are complete; an empty text before the tables are known."""
        if not self.tables:
            return ""
        verb = "is" if len(self.tables) == 1 else "are"
        return f"{self.counts()[TablePhase.DONE]:,} of {count(len(self.tables), 'table')} {verb} complete"

    def sentence(self, rate: float = 0.0) -> str:
        """Return the progress in one sentence; `rate` as for `seconds_left`."""
        waiting = self.waiting()
        if not self.tables:
            return "The run is starting; its tables are not known yet"
        counts = self.counts()
        complete, total, estimated = self.files()
        failed = f", {counts[TablePhase.FAILED]:,} failed" if counts[TablePhase.FAILED] else ""
        left = self.seconds_left(rate)
        parts = [
            f"{counts[TablePhase.DONE]:,} of {count(len(self.tables), 'table')} complete{failed}",
            f"{complete:,} of {'~' if estimated else ''}{count(total, 'file')}",
            f"{size(self.bytes)} received",
            *([waiting] if waiting else []),
            *([f"{about(left)} left"] if left else []),
        ]
        return "; ".join(parts)

    def _table(self, name: str) -> TableProgressState:
        return self.tables.setdefault(name, TableProgressState())
