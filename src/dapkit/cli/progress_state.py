"""The running count of a run: a fold over the engine's events. Pure; who draws it brings the time."""

from dataclasses import dataclass, field

from dapkit.cli import formatting as wording
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
from dapkit.results import TableFailed, TableLoaded


@dataclass(slots=True)
class TableProgressState:
    """What is known of one table so far.

    `total` counts its files once its job is complete, `coming` names those on their way, `sized` is the size of
    those that are whole.
    """

    phase: TablePhase = TablePhase.QUEUED
    files: int = 0
    total: int | None = None
    bytes: int = 0
    sized: int = 0
    coming: set[str] = field(default_factory=set)
    rows: int = 0


@dataclass(slots=True)
class ProgressState:
    """What is known of the run so far."""

    namespace: str = ""
    tables: dict[str, TableProgressState] = field(default_factory=dict)
    bytes: int = 0

    def add(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, BytesReceived):
            self._table(event.table).bytes += event.count
            self.bytes += event.count
        elif isinstance(event, ObjectCompleted):
            table = self._table(event.table)
            table.files += 1
            table.coming.discard(event.name)
            table.sized += event.size
            table.rows += event.rows or 0
        elif isinstance(event, ObjectsListed):
            table = self._table(event.table)
            table.total, table.files = event.objects, event.complete
        elif isinstance(event, TablePhaseChanged):
            self._table(event.table).phase = event.phase
        elif isinstance(event, ObjectStarted):
            table = self._table(event.table)
            table.phase = TablePhase.DOWNLOADING
            table.coming.add(event.name)
        elif isinstance(event, TableCompleted):
            table = self._table(event.result.table)
            table.phase, table.files, table.total = TablePhase.DONE, event.result.files, event.result.files
            table.rows = event.result.rows or table.rows
            table.coming.clear()
        elif isinstance(event, TableLoaded | TableCompared):
            table = self._table(event.table)
            table.phase, table.total = TablePhase.DONE, table.files
            table.coming.clear()
        elif isinstance(event, TableFailed):
            table = self._table(event.table)
            table.phase = TablePhase.FAILED
            table.coming.clear()
        elif isinstance(event, RunStarted | SyncStarted):
            self.namespace = event.namespace
            self.tables = {name: self.tables.get(name, TableProgressState()) for name in event.tables}

    def counts(self) -> dict[TablePhase, int]:
        """Return how many tables are in each state."""
        counts = dict.fromkeys(TablePhase, 0)
        for table in self.tables.values():
            counts[table.phase] += 1
        return counts

    def files(self) -> tuple[int, int, bool]:
        """Return files that are whole, files in all, and whether the latter is an estimate.

        Tables whose job is not complete are reckoned at the average of those whose is.
        """
        whole = sum(table.files for table in self.tables.values())
        totals = [table.total for table in self.tables.values() if table.total is not None]
        open_tables = sum(
            1
            for table in self.tables.values()
            if table.total is None and table.phase not in (TablePhase.DONE, TablePhase.FAILED)
        )
        known = sum(totals)
        if not open_tables:
            return whole, known, False
        average = known / len(totals) if totals else 1
        return whole, known + max(open_tables, round(average * open_tables)), True

    def sentence(self) -> str:
        """Say in one sentence how far the run is."""
        counts = self.counts()
        whole, total, estimated = self.files()
        failed = f", {counts[TablePhase.FAILED]:,} failed" if counts[TablePhase.FAILED] else ""
        return (
            f"{counts[TablePhase.DONE]:,} of {wording.count(len(self.tables), 'table')} whole{failed}; "
            f"{whole:,} of {'~' if estimated else ''}{wording.count(total, 'file')}; "
            f"{wording.size(self.bytes)} came"
        )

    def _table(self, name: str) -> TableProgressState:
        return self.tables.setdefault(name, TableProgressState())
