"""The running count of a run: a fold over the engine's events. Pure; who draws it brings the time."""

from dataclasses import dataclass, field

from dapkit.cli import wording
from dapkit.engine.events import (
    BytesCame,
    Event,
    ObjectBegan,
    ObjectDone,
    ObjectsKnown,
    RunBegan,
    SyncBegan,
    TableCompared,
    TableDone,
    TableFailed,
    TableLoaded,
    TableMoved,
    TableState,
)


@dataclass(slots=True)
class TableTally:
    """What is known of one table so far.

    `total` counts its files once its job is complete, `coming` names those on their way, `sized` is the size of
    those that are whole.
    """

    state: TableState = TableState.QUEUED
    files: int = 0
    total: int | None = None
    bytes: int = 0
    sized: int = 0
    coming: set[str] = field(default_factory=set)
    rows: int = 0


@dataclass(slots=True)
class Tally:
    """What is known of the run so far."""

    namespace: str = ""
    tables: dict[str, TableTally] = field(default_factory=dict)
    bytes: int = 0

    def add(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, BytesCame):
            self._table(event.table).bytes += event.count
            self.bytes += event.count
        elif isinstance(event, ObjectDone):
            table = self._table(event.table)
            table.files += 1
            table.coming.discard(event.name)
            table.sized += event.size
            table.rows += event.rows or 0
        elif isinstance(event, ObjectsKnown):
            table = self._table(event.table)
            table.total, table.files = event.objects, event.whole
        elif isinstance(event, TableMoved):
            self._table(event.table).state = event.state
        elif isinstance(event, ObjectBegan):
            table = self._table(event.table)
            table.state = TableState.DOWNLOADING
            table.coming.add(event.name)
        elif isinstance(event, TableDone):
            table = self._table(event.result.table)
            table.state, table.files, table.total = TableState.DONE, event.result.files, event.result.files
            table.rows = event.result.rows or table.rows
            table.coming.clear()
        elif isinstance(event, TableLoaded | TableCompared):
            table = self._table(event.table)
            table.state, table.total = TableState.DONE, table.files
            table.coming.clear()
        elif isinstance(event, TableFailed):
            table = self._table(event.table)
            table.state = TableState.FAILED
            table.coming.clear()
        elif isinstance(event, RunBegan | SyncBegan):
            self.namespace = event.namespace
            self.tables = {name: self.tables.get(name, TableTally()) for name in event.tables}

    def counts(self) -> dict[TableState, int]:
        """Return how many tables are in each state."""
        counts = dict.fromkeys(TableState, 0)
        for table in self.tables.values():
            counts[table.state] += 1
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
            if table.total is None and table.state not in (TableState.DONE, TableState.FAILED)
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
        failed = f", {counts[TableState.FAILED]:,} failed" if counts[TableState.FAILED] else ""
        return (
            f"{counts[TableState.DONE]:,} of {wording.count(len(self.tables), 'table')} whole{failed}; "
            f"{whole:,} of {'~' if estimated else ''}{wording.count(total, 'file')}; "
            f"{wording.size(self.bytes)} came"
        )

    def _table(self, name: str) -> TableTally:
        return self.tables.setdefault(name, TableTally())
