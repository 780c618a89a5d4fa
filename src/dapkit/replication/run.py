"""Tables loaded into a database and kept up to date there: the work of `initdb`, `syncdb` and `sync`.

Each table is a separate task: `plan` decides what to do, `export` downloads the files, the target commits the rows
together with the sync state. One failing table does not stop the others.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from dapkit.client.session import Session
from dapkit.errors import AlreadyReplicatedError, NotReplicatedError, TargetUnreachableError
from dapkit.events import JobsPlanned, Listener, SyncStarted
from dapkit.export.selection import Resolved, no_longer_listed, resolve_tables
from dapkit.failures import TableFailed
from dapkit.formatting import duration
from dapkit.model import format_utc
from dapkit.replication import staging
from dapkit.replication.managed_tables import (
    StatusAndState,
    no_longer_in_service_notice,
    read_sync_states,
    table_statuses,
)
from dapkit.replication.options import SyncRequest
from dapkit.replication.resources import SyncResources, open_resources
from dapkit.replication.table_sync import TableSync
from dapkit.results import Display, SyncAction, SyncCommand, TableLoaded, TablesResult
from dapkit.targets.base import SyncState, TargetSession
from dapkit.transfer.workers import run_all, worker_pool

_NOT_RECORDED = (AlreadyReplicatedError, NotReplicatedError, TargetUnreachableError)
"""Failures without an entry in the history: the command is not for this table, or the database is unreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult(TablesResult):
    """How a sync ended.

    Attributes:
        namespace: of the tables, as the service spells it.
        target: the database, without user and password.
        done: the tables that are up to date, with what was done to each.
        failed: the tables that failed, each with its error.
        no_longer_in_service: the sync states of selected tables that the service no longer lists; the tables are kept.
        repaired_values_folder: the folder with the original values of repaired ones.
        seconds: how long it took.
        sandbox: whether the data is synthetic.
    """

    namespace: str
    target: str
    done: tuple[TableLoaded, ...]
    failed: tuple[TableFailed, ...]
    no_longer_in_service: tuple[SyncState, ...] = ()
    repaired_values_folder: Path
    seconds: float
    sandbox: bool

    def _display(self) -> Display:
        headings = ("table", "action", "written", "deleted", "expired", "watermark")
        rows = (
            (
                each.table,
                each.action.value,
                each.counts.written,
                each.counts.deleted,
                each.counts.expired,
                format_utc(each.watermark),
            )
            for each in self.done
        )
        return f"{self.namespace} in {self.target}, {duration(self.seconds)}", headings, rows


async def replicate(session: Session, request: SyncRequest, on_event: Listener) -> SyncResult:
    """Update the tables of a database to match the service.

    Returns when every table is up to date or has failed. It may be cancelled at any time; the same call then resumes.

    Raises:
        DapError: an error that concerns the entire run: credentials, account, the database, the staging folder.
    """
    started = session.clock.now()
    resolved = await resolve(session, request)
    request = replace(request, namespace=resolved.namespace)
    target = request.target.name
    folder = staging.staging_folder(request.stage, target, request.namespace)
    activity = f"loading {request.namespace} into {target}"
    async with open_resources(session, request, folder, activity, on_event) as resources:
        # Only `reconcile` uses the other folder. If one was killed, its files would stay until the next one runs.
        staging.remove_abandoned(staging.comparison_folder(request.stage, target, request.namespace))
        replication = Replication(resources, resolved)
        outcomes = await replication.run()
        failed = tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed))
        if not failed:
            staging.remove(folder)
    return SyncResult(
        namespace=request.namespace,
        target=target,
        done=tuple(outcome for outcome in outcomes if isinstance(outcome, TableLoaded)),
        failed=failed,
        no_longer_in_service=replication.no_longer_in_service,
        repaired_values_folder=staging.repaired_values_folder(request.stage),
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


async def resolve(session: Session, request: SyncRequest) -> Resolved:
    """Resolve names and patterns. A pattern that only matches tables in the database is not an error."""

    async def managed_tables(namespace: str) -> dict[str, SyncState]:
        if request.command is SyncCommand.INIT:
            return {}
        with worker_pool(1) as workers:
            return await workers.run(read_sync_states, request.target, namespace)

    return await resolve_tables(session, request.namespace, request.tables, request.exclude, managed_tables)


class Replication:
    """One run over all selected tables."""

    def __init__(self, resources: SyncResources, resolved: Resolved) -> None:
        self._resources = resources
        self._resolved = resolved
        self.no_longer_in_service: tuple[SyncState, ...] = ()

    async def run(self) -> tuple[TableLoaded | TableFailed, ...]:
        """Run all tables. The first error that concerns the entire run stops the others and is raised."""
        resources, request = self._resources, self._resources.request
        resources.on_event(
            SyncStarted(
                namespace=request.namespace,
                tables=self._resolved.tables,
                target=request.target.name,
                command=request.command,
                sandbox=resources.session.sandbox,
            )
        )
        for notice in (self._resolved.notice, request.target.warning):
            if notice:
                resources.notify(notice)
        statuses = await resources.retry.run(lambda _: resources.run_in_session(self._prepare), initial=True)
        for state in self.no_longer_in_service:
            resources.notify(no_longer_in_service_notice(state))
        tables = {name: TableSync(name, resources) for name in self._resolved.tables}
        actions = [table.plan(*statuses[name]) for name, table in tables.items()]
        jobs = sum(isinstance(action, SyncAction) and action is not SyncAction.SKIP for action in actions)
        resources.on_event(JobsPlanned(jobs=jobs, per_minute=resources.session.jobs_per_minute))
        return await run_all(self._run_table(table, statuses[name]) for name, table in tables.items())

    def _prepare(self, target: TargetSession) -> dict[str, StatusAndState]:
        """Create the state tables if they are missing, and return the status of each table."""
        request = self._resources.request
        target.prepare(request.namespace, sandbox=self._resources.session.sandbox)
        self.no_longer_in_service = no_longer_in_service(target, request, self._resolved)
        return table_statuses(target, request.namespace, self._resolved.tables)

    async def _run_table(self, table: TableSync, found: StatusAndState) -> TableLoaded | TableFailed:
        outcome = await self._resources.run_table(
            table.name, found[1], lambda retried: table.run(None if retried else found)
        )
        if isinstance(outcome, TableFailed) and not isinstance(outcome.error, _NOT_RECORDED):
            await table.record_event("failed", {"code": outcome.error.code, "message": outcome.error.message})
        return outcome


def no_longer_in_service(target: TargetSession, request: SyncRequest, resolved: Resolved) -> tuple[SyncState, ...]:
    """Return the sync states of tables that a pattern selects and that the service no longer lists. Blocks."""
    if request.command is SyncCommand.INIT:
        return ()
    sync_states = target.sync_states(resolved.namespace)
    absent = no_longer_listed(request.tables, request.exclude, resolved.known, sync_states)
    return tuple(sync_states[table] for table in absent)
