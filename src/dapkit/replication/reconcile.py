"""Whether a database contains exactly what the service contains: the work of `dap reconcile`.

A snapshot of each table (as of time S) is compared with the table in the database (as of its watermark W). If S is
before W, the changes from S to W are applied to the snapshot. If S is after W, the keys that changed from W to S are
skipped: the database cannot have their changes yet. Both sides go through the database's own conversions, and the
database compares them, in a transaction that is rolled back.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from dapkit.client.session import Session
from dapkit.errors import DapError, NotReplicatedError, ReconciliationError
from dapkit.events import JobsPlanned, Listener, TableCompared, TablePhase, TablePhaseChanged
from dapkit.export.selection import Resolved
from dapkit.failures import TableFailed, error_of
from dapkit.formatting import count
from dapkit.model import Query, VersionedSchema, format_utc
from dapkit.protocol.namespaces import LOGS
from dapkit.replication import staging
from dapkit.replication.managed_tables import no_longer_in_service_notice, require_database, select_managed_tables
from dapkit.replication.options import SyncRequest
from dapkit.replication.resources import SyncResources, open_resources
from dapkit.replication.run import no_longer_in_service, replicate, resolve
from dapkit.replication.schema_versions import column_names, common_table, schema_of_files
from dapkit.results import Display, TablesResult
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles, ExpectedTable, Load, Sample, SyncState, TargetSession
from dapkit.transfer.workers import run_all

_KEEP_LOGS = (
    "`dap sync` cannot repair this. Correct the rows with SQL, and keep the tables: they hold rows that the service no"
    " longer has."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult(TablesResult):
    """How a comparison ended.

    Attributes:
        namespace: of the tables, as the service spells it.
        target: the database, without user and password.
        done: the tables that were compared, with what was found.
        failed: the tables that could not be compared, each with its error.
        no_longer_in_service: the sync states of selected tables that the service no longer lists; they are not
            compared.
        sandbox: whether the data is synthetic.
    """

    namespace: str
    target: str
    done: tuple[TableCompared, ...]
    failed: tuple[TableFailed, ...]
    no_longer_in_service: tuple[SyncState, ...] = ()
    sandbox: bool

    @property
    def equal(self) -> bool:
        """Whether every table was compared and no difference was found."""
        return not self.failed and not self.different

    @property
    def different(self) -> tuple[str, ...]:
        """The tables that differ."""
        return tuple(each.table for each in self.done if not each.comparison.equal)

    @property
    def error(self) -> DapError | None:
        """The error that the command ends with: ReconciliationError if a table differs, else that of `failed`."""
        if not self.different:
            return error_of(len(self.done), self.failed)
        # A difference is more important than a table that could not be compared.
        verb = "differs" if len(self.different) == 1 else "differ"
        message = f"{len(self.different)} of {count(len(self.done), 'table')} {verb} from the service"
        hint = (
            _KEEP_LOGS if self.namespace == LOGS else "`dap sync` cannot repair this: drop the tables and sync again."
        )
        return ReconciliationError(message, hint=hint)

    def _display(self) -> Display:
        headings = ("table", "equal", "rows", "missing", "extra", "repeated", "columns that differ")
        rows = [
            (each.table, "yes" if found.equal else "no", found.rows, found.missing, found.extra, found.repeated, names)
            for each in self.done
            for found in (each.comparison,)
            for names in (", ".join(found.differing),)
        ]
        return f"{self.namespace} in {self.target}, compared with the service", headings, rows


async def reconcile(
    session: Session, request: SyncRequest, on_event: Listener, *, sync: bool, sample: float | None = None
) -> ReconcileResult:
    """Compare the tables of a database with the service.

    Args:
        session: with the service.
        request: the tables and the database.
        on_event: the listener.
        sync: whether to update the tables first.
        sample: the percentage of rows whose values are compared; None for all. Keys are always compared. The sample
            changes with the table's watermark.

    Raises:
        DapError: an error that concerns the entire run: credentials, account, a missing database, or a database that
            mixes sandbox and service data.
    """
    failed_syncs: dict[str, TableFailed] = {}
    if sync:
        synced = await replicate(session, request, on_event)
        failed_syncs = {failure.table: failure for failure in synced.failed}
    require_database(request.target)
    resolved = await resolve(session, request)
    request = replace(request, namespace=resolved.namespace)
    folder = staging.comparison_folder(request.stage, request.target.name, request.namespace)
    activity = f"comparing {request.namespace} with {request.target.name}"
    async with open_resources(session, request, folder, activity, on_event) as resources:
        reconciliation = Reconciliation(resources, sample)
        sync_states = await reconciliation.read_sync_states(resolved, notify=not sync)
        if not (sync_states or reconciliation.no_longer_in_service or failed_syncs):
            raise NotReplicatedError("The database has no managed tables to compare")
        # A table whose sync failed is reported with that failure: comparing its old state would add nothing.
        states = [state for name, state in sync_states.items() if name not in failed_syncs]
        on_event(JobsPlanned(jobs=len(states), per_minute=session.jobs_per_minute))
        compared = await run_all(map(reconciliation.run_table, states))
        staging.remove(folder)
    outcomes = (*failed_syncs.values(), *compared)
    return ReconcileResult(
        namespace=request.namespace,
        target=request.target.name,
        done=tuple(outcome for outcome in outcomes if isinstance(outcome, TableCompared)),
        failed=tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed)),
        no_longer_in_service=reconciliation.no_longer_in_service,
        sandbox=session.sandbox,
    )


class Reconciliation:
    """One comparison of all selected tables."""

    def __init__(self, resources: SyncResources, sample: float | None) -> None:
        self._resources = resources
        self._request = resources.request
        self._sample = sample
        self.no_longer_in_service: tuple[SyncState, ...] = ()

    async def read_sync_states(self, resolved: Resolved, *, notify: bool) -> dict[str, SyncState]:
        """Return the sync states of selected tables that the service has.

        Args:
            resolved: the selection.
            notify: whether to send the notices about it, which a sync has already sent.

        Raises:
            NotReplicatedError: a table has no sync state.
            SandboxMismatchError: the database contains sandbox data and this is the service, or vice versa.
        """
        resources = self._resources
        sync_states = await resources.retry.run(
            lambda _: resources.run_in_session(lambda target: self._select(target, resolved)), initial=True
        )
        if notify:
            notices = [resolved.notice] if resolved.notice else []
            for message in [*notices, *map(no_longer_in_service_notice, self.no_longer_in_service)]:
                resources.notify(message)
        return sync_states

    def _select(self, target: TargetSession, resolved: Resolved) -> dict[str, SyncState]:
        request = self._request
        target.require_origin(sandbox=self._resources.session.sandbox)
        self.no_longer_in_service = no_longer_in_service(target, request, resolved)
        absent = {state.table for state in self.no_longer_in_service}
        sync_states = target.sync_states(request.namespace)
        tables = select_managed_tables(target, request.namespace, request.tables, request.exclude)
        return {table: sync_states[table] for table in tables if table not in absent}

    async def run_table(self, state: SyncState) -> TableCompared | TableFailed:
        """Compare one table."""
        return await self._resources.run_table(state.table, state, lambda _: self._compare(state))

    async def _compare(self, state: SyncState) -> TableCompared:
        snapshot = await self._download(state, self._resources.snapshot_query)
        changes = stale = None
        if snapshot.watermark < state.watermark:
            changes = await self._download_changes(state, snapshot.watermark, state.watermark)
        elif snapshot.watermark > state.watermark:
            stale = await self._download_changes(state, state.changes_since, snapshot.watermark)
        expected = self._expected_table(state, snapshot, changes, stale)
        self._resources.on_event(TablePhaseChanged(table=state.table, phase=TablePhase.LOADING))
        comparison = await self._resources.run_in_session(lambda target: target.compare(expected))
        if state.namespace == LOGS:
            # Rows that the service has deleted after 30 days are supposed to be in the database.
            comparison = replace(comparison, extra=0, extra_keys=())
        return TableCompared(table=state.table, comparison=comparison, watermark=state.watermark)

    async def _download_changes(self, state: SyncState, since: datetime, until: datetime) -> "_TableFiles":
        query = replace(self._resources.snapshot_query, since=format_utc(since), until=format_utc(until))
        return await self._download(state, query)

    async def _download(self, state: SyncState, query: Query) -> "_TableFiles":
        result, watermark = await self._resources.download(state.table, query)
        files, schema = staging.data_files(result), state.schema
        if result.schema_version is not None and result.schema_version > schema.version:
            schema = await schema_of_files(self._resources.session, state.namespace, result, files)
        return _TableFiles(files=files, watermark=watermark, schema=schema)

    def _expected_table(
        self, state: SyncState, snapshot: "_TableFiles", changes: "_TableFiles | None", stale: "_TableFiles | None"
    ) -> ExpectedTable:
        """Return what the table should contain. The downloads may follow different versions of the schema."""
        downloads = [each for each in (snapshot, changes, stale) if each is not None]
        latest = max((each.schema for each in downloads), key=lambda schema: schema.version)
        table, incomplete_columns = common_table(read_table(latest), [column_names(each.files) for each in downloads])

        def load(each: "_TableFiles") -> Load:
            return Load(table=table, files=each.files, watermark=each.watermark, options=self._request.load)

        return ExpectedTable(
            actual=state,
            snapshot=load(snapshot),
            changes=load(changes) if changes else None,
            stale=load(stale) if stale else None,
            incomplete_columns=incomplete_columns,
            sample=Sample(percent=self._sample, seed=format_utc(state.watermark)) if self._sample else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableFiles:
    """The files of one job, the time that they show, and a schema that is at least as new as they are."""

    files: DataFiles
    watermark: datetime
    schema: VersionedSchema
