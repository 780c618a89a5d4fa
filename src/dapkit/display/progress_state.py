"""PURE. The progress of a run, computed from its events."""

from dataclasses import dataclass, field

from dapkit.events import (
    BytesReceived,
    Event,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RunStarted,
    SyncStarted,
    TableCompared,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.formatting import count, size
from dapkit.results import TableFailed, TableLoaded


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
    """The progress of the run."""

    namespace: str = ""
    tables: dict[str, TableProgressState] = field(default_factory=dict)
    bytes: int = 0

    def add(self, event: Event) -> None:
        """Apply one event."""
        if isinstance(event, BytesReceived):
            self._table(event.table).bytes += event.count
            self.bytes += event.count
        elif isinstance(event, ObjectCompleted):
            table = self._table(event.table)
            table.files += 1
            table.active.discard(event.name)
            table.complete_bytes += event.size
            table.rows += event.rows or 0
        elif isinstance(event, ObjectsListed):
            table = self._table(event.table)
            table.total, table.files = event.objects, event.complete
        elif isinstance(event, TablePhaseChanged):
            self._table(event.table).phase = event.phase
        elif isinstance(event, ObjectStarted):
            table = self._table(event.table)
            table.phase = TablePhase.DOWNLOADING
            table.active.add(event.name)
        elif isinstance(event, TableCompleted):
            table = self._table(event.result.table)
            table.phase, table.files, table.total = TablePhase.DONE, event.result.files, event.result.files
            table.rows = event.result.rows or table.rows
            table.active.clear()
        elif isinstance(event, TableLoaded | TableCompared):
            table = self._table(event.table)
            table.phase, table.total = TablePhase.DONE, table.files
            table.active.clear()
        elif isinstance(event, TableFailed):
            table = self._table(event.table)
            table.phase = TablePhase.FAILED
            table.active.clear()
        elif isinstance(event, RunStarted | SyncStarted):
            # Events of a table may precede this one; what they recorded is kept.
            self.namespace = event.namespace
            self.tables = {name: self.tables.get(name, TableProgressState()) for name in event.tables}

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

    def sentence(self) -> str:
        """Return the progress in one sentence."""
        counts = self.counts()
        complete, total, estimated = self.files()
        failed = f", {counts[TablePhase.FAILED]:,} failed" if counts[TablePhase.FAILED] else ""
        return (
            f"{counts[TablePhase.DONE]:,} of {count(len(self.tables), 'table')} complete{failed}; "
            f"{complete:,} of {'~' if estimated else ''}{count(total, 'file')}; "
            f"{size(self.bytes)} received"
        )

    def _table(self, name: str) -> TableProgressState:
        return self.tables.setdefault(name, TableProgressState())
