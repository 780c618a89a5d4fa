"""Whether a database holds exactly what the service holds: the work of `dap reconcile`.

A snapshot is taken (as of T) beside the live table (as of W). What changed from T to W is applied to the snapshot; keys
that changed from W to T are left aside, since the live table cannot have their news yet. Both pass the database's own
conversions; then the database compares them, in a transaction that is undone.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from dapkit.client.session import Session
from dapkit.errors import NotReplicatedError, TableNotFoundError
from dapkit.events import Listener, Notice, TableCompared, TablePhase, TablePhaseChanged
from dapkit.export.isolation import isolate
from dapkit.export.selection import Resolved
from dapkit.model import Query, VersionedSchema
from dapkit.replication import staging as stage
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.download import SNAPSHOT, SyncResources, fetch_table
from dapkit.replication.managed_tables import (
    chosen_tables,
    no_longer_in_service_hint,
    no_longer_in_service_notice,
    require_database,
)
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.plan import LOGS
from dapkit.replication.retry import TargetRetry
from dapkit.replication.run import no_longer_in_service, replicate, resolve
from dapkit.replication.schema_versions import columns_of, common_table, schema_of_files
from dapkit.results import Comparison, TableFailed
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles, ExpectedTable, Load, Sample, SyncState, TargetSession, watermark_text
from dapkit.transfer.locking import busy_handler, hold_lock
from dapkit.transfer.workers import run_all, worker_pool

__all__ = ["ReconcileResult", "reconcile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """How each table compares, and which could not be compared.

    `no_longer_in_service` holds the sync state of selected tables that the service no longer lists; they are not
    compared.
    """

    namespace: str
    target: str
    done: tuple[TableCompared, ...]
    failed: tuple[TableFailed, ...]
    no_longer_in_service: tuple[SyncState, ...] = ()
    sandbox: bool

    @property
    def equal(self) -> bool:
        """Whether every table was compared and nothing differs."""
        return not self.failed and all(each.comparison.equal for each in self.done)


async def reconcile(
    session: Session, options: ReplicateOptions, on_event: Listener, *, sync: bool, sample: float | None = None
) -> ReconcileResult:
    """Compare the tables of the database with the service.

    Args:
        session: with the service.
        options: what is compared with what.
        on_event: is told of what happens.
        sync: whether the tables are brought up to date first.
        sample: of how many percent of the rows the values are compared; of all, when it is None. Every run of a table
            that got a new watermark picks other rows; keys are always compared.

    Raises:
        DapError: what concerns the whole: credentials, account, a database that is not there or holds other data.
    """
    failed: dict[str, TableFailed] = {}
    if sync:
        synced = await replicate(session, options, on_event)
        failed = {failure.table: failure for failure in synced.failed}
    require_database(options.target)
    resolved = await resolve(session, options)
    options = replace(options, namespace=resolved.namespace)
    folder = stage.scratch_folder(options.stage, options.target.name, options.namespace)
    message = f"Another command is comparing {options.namespace} with {options.target.name}"
    busy = busy_handler(message, on_event, wait=options.wait)
    with stage.named():
        async with hold_lock(stage.lock_of(folder), session.clock, busy):
            stage.private(folder)
            with worker_pool(options.concurrency) as downloads, worker_pool(options.connections) as loads:
                sessions = ConnectionPool(options.target, loads, options.connections)
                resources = SyncResources(folder=folder, downloads=downloads, loads=loads, sessions=sessions)
                try:
                    work = Reconciliation(session, options, resources, on_event, sample)
                    outcomes = await _compare_all(work, await work.sync_states(resolved, tell=not sync), failed)
                finally:
                    await sessions.close()
            stage.clear(folder)
    return ReconcileResult(
        namespace=options.namespace,
        target=options.target.name,
        done=tuple(outcome for outcome in outcomes if isinstance(outcome, TableCompared)),
        failed=tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed)),
        no_longer_in_service=work.no_longer_in_service,
        sandbox=session.sandbox,
    )


async def _compare_all(
    work: "Reconciliation", sync_states: dict[str, SyncState], failed: dict[str, TableFailed]
) -> tuple[TableCompared | TableFailed, ...]:
    if not (sync_states or work.no_longer_in_service or failed):
        raise NotReplicatedError("There is nothing on the books of this database to compare")
    compared = await run_all(work.deliver(state) for name, state in sync_states.items() if name not in failed)
    return (*failed.values(), *compared)


class Reconciliation:
    """One comparison at work."""

    def __init__(
        self,
        session: Session,
        options: ReplicateOptions,
        resources: SyncResources,
        on_event: Listener,
        sample: float | None,
    ) -> None:
        self._session = session
        self._options = options
        self._places = resources
        self._listen = on_event
        self._endurance = TargetRetry(session.clock, options.retry_timeout, on_event)
        self._sample = sample
        self.no_longer_in_service: tuple[SyncState, ...] = ()

    async def sync_states(self, resolved: Resolved, *, tell: bool) -> dict[str, SyncState]:
        """Return the lines of the tables that are meant and that the service has.

        Args:
            resolved: what the service knows.
            tell: whether what a person should know of that was not told yet.

        Raises:
            NotReplicatedError: a table has no line.
            SandboxMismatchError: the database holds a sandbox's data and this is the service's, or the other way round.
        """
        sync_states = await self._endurance.run(lambda _: self._places.run_in_session(self._look, resolved), start=True)
        if tell:
            notices = [resolved.notice] if resolved.notice else []
            for message in [*notices, *map(no_longer_in_service_notice, self.no_longer_in_service)]:
                self._listen(Notice(message=message))
        return sync_states

    def _look(self, target: TargetSession, resolved: Resolved) -> dict[str, SyncState]:
        options = self._options
        target.require_origin(sandbox=self._session.sandbox)
        self.no_longer_in_service = no_longer_in_service(target, options, resolved)
        sync_states, gone = target.sync_states(options.namespace), {state.table for state in self.no_longer_in_service}
        tables = chosen_tables(target, options.namespace, options.tables, options.exclude)
        return {table: sync_states[table] for table in tables if table not in gone}

    async def deliver(self, state: SyncState) -> TableCompared | TableFailed:
        """Compare one table; its trouble is its own."""
        outcome = await isolate(
            state.table, self._places.folder, self._endurance.run, lambda _: self._compare(state), state.table
        )
        if isinstance(outcome, TableFailed) and isinstance(outcome.error, TableNotFoundError):
            outcome.error.hint = no_longer_in_service_hint(state)
        phase = TablePhase.FAILED if isinstance(outcome, TableFailed) else TablePhase.DONE
        self._listen(TablePhaseChanged(table=state.table, phase=phase))
        self._listen(outcome)
        return outcome

    async def _compare(self, state: SyncState) -> TableCompared:
        snapshot = await self._bring(state, SNAPSHOT)
        changes = stale = None
        if snapshot.watermark < state.watermark:
            span = replace(SNAPSHOT, since=watermark_text(snapshot.watermark), until=watermark_text(state.watermark))
            changes = await self._bring(state, span)
        elif snapshot.watermark > state.watermark:
            span = replace(SNAPSHOT, since=watermark_text(state.watermark), until=watermark_text(snapshot.watermark))
            stale = await self._bring(state, span)
        truth = self._truth(state, snapshot, changes, stale)
        self._listen(TablePhaseChanged(table=state.table, phase=TablePhase.LOADING))
        comparison = await self._places.run_in_session(_compare, truth)
        if state.namespace == LOGS:
            comparison = replace(comparison, extra=0, extra_keys=())  # they outlive the service's memory of them
        return TableCompared(table=state.table, comparison=comparison, watermark=state.watermark)

    async def _bring(self, state: SyncState, query: Query) -> "_Brought":
        """Bring the answer to one query, with the schema that it follows, or a later one."""
        result, watermark = await fetch_table(self._session, self._options, self._places, state.table, query)
        parts, schema = stage.parts_of(result), state.schema
        if result.schema_version is not None and result.schema_version > schema.version:
            schema = await schema_of_files(self._session, state.namespace, result, parts)
        return _Brought(parts=parts, watermark=watermark, schema=schema)

    def _truth(
        self, state: SyncState, snapshot: "_Brought", changes: "_Brought | None", stale: "_Brought | None"
    ) -> ExpectedTable:
        """Return what there is to compare with, all of it as one table."""
        brought = [each for each in (snapshot, changes, stale) if each is not None]
        latest = max((each.schema for each in brought), key=lambda schema: schema.version)
        table, incomplete_columns = common_table(read_table(latest), [columns_of(each.parts) for each in brought])

        def load(each: "_Brought") -> Load:
            return Load(table=table, parts=each.parts, watermark=each.watermark, options=self._options.load)

        return ExpectedTable(
            live=state,
            snapshot=load(snapshot),
            changes=load(changes) if changes else None,
            stale=load(stale) if stale else None,
            incomplete_columns=incomplete_columns,
            sample=Sample(percent=self._sample, seed=watermark_text(state.watermark)) if self._sample else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    """The files of one job, the time that they lead to, and a schema that is not older than they are."""

    parts: DataFiles
    watermark: datetime
    schema: VersionedSchema


def _compare(target: TargetSession, truth: ExpectedTable) -> Comparison:
    return target.compare(truth)
