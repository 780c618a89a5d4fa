"""Tables of the service into a database, and kept equal there: the work of `initdb`, `syncdb` and `sync`.

Every table is a task of its own: its road is decided (`converge`), its files are brought (`export`, one run a table),
then its change and the record of the change are committed together (`targets`). One table's trouble is its own.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from dapkit.client.session import Session
from dapkit.errors import (
    AlreadyReplicatedError,
    NotReplicatedError,
    TableNotFoundError,
    TargetUnreachableError,
)
from dapkit.events import Listener, Notice, SyncStarted, TablePhase, TablePhaseChanged
from dapkit.export.isolation import isolate
from dapkit.export.selection import Resolved, no_longer_listed, resolve_tables
from dapkit.replication import staging as stage
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.download import SyncResources
from dapkit.replication.managed_tables import no_longer_in_service_hint, no_longer_in_service_notice, table_statuses
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.retry import TargetRetry
from dapkit.replication.table_sync import FoundTable, TableSync
from dapkit.results import SyncCommand, TableFailed, TableLoaded
from dapkit.targets.base import SyncState, Target, TargetSession
from dapkit.transfer.locking import busy_handler, hold_lock
from dapkit.transfer.workers import run_all, worker_pool

__all__ = ["SyncResult", "no_longer_in_service", "replicate", "resolve"]

_UNREMARKABLE = (AlreadyReplicatedError, NotReplicatedError, TargetUnreachableError)
"""Failures that are not written into the database: the command was not for this table, or nothing can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """How it ended.

    `no_longer_in_service` holds the sync state of selected tables that the service no longer lists; they are kept.
    `originals` is the folder with the originals of values that were repaired.
    """

    namespace: str
    target: str
    done: tuple[TableLoaded, ...]
    failed: tuple[TableFailed, ...]
    no_longer_in_service: tuple[SyncState, ...] = ()
    originals: Path
    seconds: float
    sandbox: bool


async def replicate(session: Session, options: ReplicateOptions, on_event: Listener) -> SyncResult:
    """Bring the tables of the database to where the service is.

    Returns when every table is there or has failed for good. May be cancelled at any time; the same call then goes
    on from there.

    Raises:
        DapError: what concerns the whole: credentials, account, the database itself, the stage's disk.
    """
    started = session.clock.now()
    resolved = await resolve(session, options)
    folder = stage.stage_folder(options.stage, options.target.name, resolved.namespace)
    message = f"Another command is bringing {resolved.namespace} into {options.target.name}"
    busy = busy_handler(message, on_event, wait=options.wait)
    with stage.named():
        async with hold_lock(stage.lock_of(folder), session.clock, busy):
            stage.private(folder)
            stage.abandoned(stage.scratch_folder(options.stage, options.target.name, resolved.namespace))
            with worker_pool(options.concurrency) as downloads, worker_pool(options.connections) as loads:
                sessions = ConnectionPool(options.target, loads, options.connections)
                resources = SyncResources(folder=folder, downloads=downloads, loads=loads, sessions=sessions)
                try:
                    replication = Replication(session, options, resolved, resources, on_event)
                    outcomes = await replication.run()
                finally:
                    await sessions.close()
            done = tuple(outcome for outcome in outcomes if isinstance(outcome, TableLoaded))
            failed = tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed))
            if not failed:
                stage.clear(folder)
    return SyncResult(
        namespace=resolved.namespace,
        target=options.target.name,
        done=done,
        failed=failed,
        no_longer_in_service=replication.no_longer_in_service,
        originals=stage.originals(options.stage),
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


async def resolve(session: Session, options: ReplicateOptions) -> Resolved:
    """Resolve what is wanted; a pattern that the service has no table for may mean tables that are gone from it."""

    async def held(namespace: str) -> dict[str, SyncState]:
        if options.command is SyncCommand.INIT:
            return {}
        with worker_pool(1) as pool:
            return await pool.run(_books, options.target, namespace)

    return await resolve_tables(session, options.namespace, options.tables, options.exclude, held)


class Replication:
    """One run at work."""

    def __init__(
        self,
        session: Session,
        options: ReplicateOptions,
        resolved: Resolved,
        resources: SyncResources,
        on_event: Listener,
    ) -> None:
        self._session = session
        self._options = replace(options, namespace=resolved.namespace)
        self._resolved = resolved
        self._places = resources
        self._listen = on_event
        self._endurance = TargetRetry(session.clock, options.retry_timeout, on_event)
        self.no_longer_in_service: tuple[SyncState, ...] = ()

    async def run(self) -> tuple[TableLoaded | TableFailed, ...]:
        """Bring every table; the first error that concerns all of them stops the rest."""
        options = self._options
        self._listen(
            SyncStarted(
                namespace=options.namespace,
                tables=self._resolved.tables,
                target=options.target.name,
                command=options.command,
                sandbox=self._session.sandbox,
            )
        )
        for notice in (self._resolved.notice, options.target.notice):
            if notice:
                self._tell(notice)
        found = await self._endurance.run(lambda _: self._begin(), start=True)
        for state in self.no_longer_in_service:
            self._tell(no_longer_in_service_notice(state))
        return tuple(await run_all(self._deliver(name, found[name]) for name in self._resolved.tables))

    async def _begin(self) -> dict[str, FoundTable]:
        """Make the books where they are missing, and look what stands for each table."""
        return await self._places.run_in_session(self._look)

    def _look(self, target: TargetSession) -> dict[str, FoundTable]:
        options, namespace = self._options, self._options.namespace
        target.prepare(namespace, sandbox=self._session.sandbox)
        self.no_longer_in_service = no_longer_in_service(target, options, self._resolved)
        return table_statuses(target, namespace, self._resolved.tables)

    def _tell(self, message: str) -> None:
        self._listen(Notice(message=message))

    async def _deliver(self, name: str, found: FoundTable) -> TableLoaded | TableFailed:
        table = TableSync(name, self._session, self._options, self._places, self._listen)
        outcome = await isolate(
            name, self._places.folder, self._endurance.run, lambda again: table.run(None if again else found), name
        )
        if isinstance(outcome, TableFailed):
            if isinstance(outcome.error, TableNotFoundError) and (state := found[1]):
                outcome.error.hint = no_longer_in_service_hint(state)
            return await self._failed(table, outcome)
        self._listen(TablePhaseChanged(table=name, phase=TablePhase.DONE))
        self._listen(outcome)
        return outcome

    async def _failed(self, table: TableSync, failure: TableFailed) -> TableFailed:
        error = failure.error
        self._listen(TablePhaseChanged(table=table.name, phase=TablePhase.FAILED))
        self._listen(failure)
        if not isinstance(error, _UNREMARKABLE):
            await table.record_event("failed", {"code": error.code, "message": error.message})
        return failure


def no_longer_in_service(target: TargetSession, options: ReplicateOptions, resolved: Resolved) -> tuple[SyncState, ...]:
    """Return the lines of tables that a pattern means and the service no longer lists. Blocks."""
    if options.command is SyncCommand.INIT:
        return ()
    sync_states = target.sync_states(resolved.namespace)
    return tuple(
        sync_states[table] for table in no_longer_listed(options.tables, options.exclude, resolved.known, sync_states)
    )


def _books(target: Target, namespace: str) -> dict[str, SyncState]:
    session = (target.empty_substitute or target).open()
    try:
        return session.sync_states(namespace)
    finally:
        session.close()
