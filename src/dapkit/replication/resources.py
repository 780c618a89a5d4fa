"""What all tables of one replication run share, and how each of them becomes a result or a failure."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dapkit.client.session import Session
from dapkit.errors import TableNotFoundError
from dapkit.events import Listener, Notice, TableCompared, TablePhase, TablePhaseChanged
from dapkit.export.isolation import isolate
from dapkit.export.options import ExportRequest
from dapkit.export.run import export
from dapkit.failures import TableFailed
from dapkit.model import Query, utc_time
from dapkit.replication import staging
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.managed_tables import no_longer_in_service_hint
from dapkit.replication.options import SyncRequest
from dapkit.replication.retry import TargetRetry
from dapkit.results import TableLoaded, TableResult
from dapkit.targets.base import SyncState, TargetSession
from dapkit.transfer.locking import busy_handler, hold_lock
from dapkit.transfer.workers import WorkerPool, worker_pool

T = TypeVar("T")
Outcome = TypeVar("Outcome", TableLoaded, TableCompared)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResources:
    """What all tables of one run share.

    Attributes:
        session: with the service.
        request: what to sync, with the service's spelling of the namespace.
        on_event: the listener.
        folder: where downloads are staged; this run holds its lock.
        downloads: threads for files.
        loads: threads for the target.
        connections: to the target.
        retry: repeats work while the target is unavailable.
    """

    session: Session
    request: SyncRequest
    on_event: Listener
    folder: Path
    downloads: WorkerPool
    loads: WorkerPool
    connections: ConnectionPool
    retry: TargetRetry

    @property
    def snapshot_query(self) -> Query:
        """The query for a full copy, in the format and mode that the target prefers."""
        capabilities = self.request.target.capabilities
        return Query(format=capabilities.formats[0], mode=capabilities.modes[0])

    def notify(self, message: str) -> None:
        """Send a notice to the listener."""
        self.on_event(Notice(message=message))

    async def run_in_session(self, work: Callable[[TargetSession], T]) -> T:
        """Call a blocking function with a connection to the target, in a thread. Raises what it raises."""
        async with self.connections.acquire() as target:
            return await self.loads.run(work, target)

    async def download(
        self, table: str, query: Query, on_event: Listener | None = None
    ) -> tuple[TableResult, datetime]:
        """Download one table into the staging folder; return its files and their watermark.

        Each table is a separate export run, so that an interrupted download is resumed like any other.

        Raises:
            DapError: the table failed, or the entire run must stop.
        """
        export_request = ExportRequest(
            namespace=self.request.namespace,
            tables=(table,),
            format=query.format,
            mode=query.mode,
            since=query.since,
            until=query.until,
            output=self.folder,
            concurrency=self.request.concurrency,
            retry_timeout=self.request.retry_timeout,
            from_state=True,
        )
        result = await export(self.session, export_request, on_event or (lambda _: None), self.downloads)
        for failure in result.failed:
            raise failure.error
        files = result.done[0]
        return files, utc_time(files.watermark)

    async def run_table(
        self, table: str, state: SyncState | None, work: Callable[[bool], Awaitable[Outcome]]
    ) -> Outcome | TableFailed:
        """Run the work on one table, with retries; report how it ended, and return its result or its failure.

        Args:
            table: the table's name.
            state: its sync state at the start, if it has one.
            work: is called with whether it has been tried before.

        Raises:
            DapError: an error that concerns the entire run.
        """
        outcome = await isolate(table, self.folder, self.retry.run, work, table)
        if isinstance(outcome, TableFailed) and isinstance(outcome.error, TableNotFoundError) and state is not None:
            outcome.error.hint = no_longer_in_service_hint(state)
        phase = TablePhase.FAILED if isinstance(outcome, TableFailed) else TablePhase.DONE
        self.on_event(TablePhaseChanged(table=table, phase=phase))
        self.on_event(outcome)
        return outcome


@asynccontextmanager
async def open_resources(
    session: Session, request: SyncRequest, folder: Path, activity: str, on_event: Listener
) -> AsyncIterator[SyncResources]:
    """Lock a staging folder and open threads and connections; close them at the end.

    The lock keeps two commands from downloading the same job into the same folder and loading the same table.

    Args:
        session: with the service.
        request: what to sync, with the service's spelling of the namespace.
        folder: the staging folder.
        activity: what this command does, for the message of another one that finds the folder locked.
        on_event: the listener.

    Raises:
        LockedError: another command holds the lock, and `request.wait` is false.
        OutputError: the folder cannot be used.
    """
    on_busy = busy_handler(f"Another command is already {activity}", on_event, wait=request.wait)
    with staging.stage_errors():
        async with hold_lock(staging.lock_path(folder), session.clock, on_busy):
            staging.make_private(folder)
            with worker_pool(request.concurrency) as downloads, worker_pool(request.connections) as loads:
                connections = ConnectionPool(request.target, loads, request.connections)
                try:
                    yield SyncResources(
                        session=session,
                        request=request,
                        on_event=on_event,
                        folder=folder,
                        downloads=downloads,
                        loads=loads,
                        connections=connections,
                        retry=TargetRetry(session.clock, request.retry_timeout, on_event),
                    )
                finally:
                    await connections.close()
