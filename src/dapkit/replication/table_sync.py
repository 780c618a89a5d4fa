"""One table of a sync: planned, downloaded, and loaded together with its sync state."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dapkit.errors import DapError, MalformedFileError, TargetError
from dapkit.events import Event, JobsPlanned, RunStarted, TableCompleted, TablePhase, TablePhaseChanged
from dapkit.export.isolation import is_fatal
from dapkit.failures import TableFailed
from dapkit.model import Table, format_utc
from dapkit.protocol.namespaces import LOGS
from dapkit.replication import staging
from dapkit.replication.managed_tables import StatusAndState, table_statuses
from dapkit.replication.plan import (
    EVENT_TIME_COLUMN,
    REFRESH_INTERVAL,
    Rejected,
    data_loss_warning,
    dropped_table_message,
    fallback,
    is_stale_job,
    plan_action,
    retention_cutoff,
    staleness_warning,
)
from dapkit.replication.resources import SyncResources
from dapkit.replication.schema_versions import schema_of_files
from dapkit.results import LoadStats, SyncAction, SyncCommand, TableLoaded, TableResult
from dapkit.schema import read_table
from dapkit.targets.base import (
    DataFiles,
    Load,
    LoadOptions,
    RetentionCutoff,
    SyncState,
    TableStatus,
    TargetSession,
)

log = logging.getLogger(__name__)

_EVENTS_OF_RUN = (RunStarted, JobsPlanned, TableCompleted, TableFailed)
"""Events of a table's download that are not forwarded: for the listener, all tables are one run."""


class TableSync:
    """The work on one table. It may be run again after a failure."""

    def __init__(self, name: str, resources: SyncResources) -> None:
        self.name = name
        self._resources = resources
        self._request = resources.request
        self._session = resources.session
        self._resumed = False
        self._loaded = False

    def plan(self, status: TableStatus, state: SyncState | None, *, retried: bool = False) -> SyncAction | Rejected:
        """Decide what to do with the table, from what is in the database."""
        request = self._request
        return plan_action(
            request.command,
            self.name,
            status,
            state,
            skip_from=None if request.if_stale is None else self._session.data_now() - request.if_stale,
            repair=request.repair,
            retried=retried,
        )

    async def record_event(self, event: str, detail: Mapping[str, Any]) -> None:
        """Add an event to the history in the database. If that fails, the result of the table stays the same."""
        try:
            await self._resources.run_in_session(
                lambda target: target.record_event(self._request.namespace, self.name, event, detail)
            )
        except Exception as error:
            log.debug("no history of table %s", self.name, exc_info=error)

    async def run(self, found: StatusAndState | None) -> TableLoaded:
        """Update the table to match the service.

        Args:
            found: what is in the database; None on a retry, when the table may have changed and is read again.

        Raises:
            DapError: the table cannot be downloaded or loaded.
        """
        request, now = self._request, self._session.data_now()
        status, state = found or await self._read_status()
        action = self.plan(status, state, retried=found is None)
        if isinstance(action, Rejected):
            raise action.error
        if status is TableStatus.DROPPED:
            state = None
            self._resources.notify(f"{dropped_table_message(self.name)}. It is loaded again.")
        if action is SyncAction.SKIP:
            assert state is not None
            # A repeated first load is done, however old its data is.
            younger_than = None if request.command is SyncCommand.INIT else request.if_stale
            return replace(_skipped(state), younger_than=younger_than)
        if state is not None and (warning := staleness_warning(state, now)):
            self._resources.notify(warning)
        loaded = await self._load_or_fall_back(action, state)
        if state is not None and (warning := data_loss_warning(state, loaded.watermark)):
            self._resources.notify(warning)
        return await self._catch_up(loaded) if request.command is SyncCommand.SYNC else loaded

    async def _read_status(self) -> StatusAndState:
        statuses = await self._resources.run_in_session(
            lambda target: table_statuses(target, self._request.namespace, (self.name,))
        )
        return statuses[self.name]

    async def _load_or_fall_back(self, action: SyncAction, state: SyncState | None) -> TableLoaded:
        try:
            return await self._load(action, state)
        except DapError as error:
            other = fallback(self._request.command, error)
            if other is None:
                raise
            self._resources.notify(f"{self.name}: {error.message.rstrip('.')}. A new snapshot is merged instead.")
            return await self._load(other, state)

    async def _catch_up(self, loaded: TableLoaded) -> TableLoaded:
        """Apply the changes since an old snapshot.

        A snapshot may be hours old: the service returns an existing job for an equal query, and a resumed run continues
        with the job that it had.
        """
        from_snapshot = loaded.action in (SyncAction.INITIAL_LOAD, SyncAction.REPAIR, SyncAction.FULL_REFRESH)
        is_old = self._session.data_now() - loaded.watermark > REFRESH_INTERVAL
        if not is_old or not (from_snapshot or self._resumed):
            return loaded
        _, state = await self._read_status()
        try:
            later = await self._load(SyncAction.INCREMENTAL, state)
        except DapError as error:
            # The snapshot is committed: that the changes are not available yet does not make the table a failure.
            if isinstance(error, TargetError) or is_fatal(error, self._resources.folder):
                raise
            since = format_utc(loaded.watermark)
            self._resources.notify(f"{self.name}: changes since {since} will be loaded by the next run: {error}")
            return loaded
        return replace(loaded, watermark=later.watermark, counts=_sum(loaded.counts, later.counts))

    async def _load(self, action: SyncAction, state: SyncState | None) -> TableLoaded:
        started = self._session.clock.now()
        result, watermark = await self._download(action, state)
        if state is not None and action is SyncAction.INCREMENTAL:
            # The service's data may be older than the sync state, if the last load used a newer copy of it. Rows
            # that are applied again are harmless, but the watermark must never go back.
            watermark = max(watermark, state.watermark)
            unchanged = watermark == state.watermark and result.schema_version == state.schema.version
            if not result.rows and unchanged:
                staging.remove(result.folder)
                return await self._unchanged(state)
        self._resources.on_event(TablePhaseChanged(table=self.name, phase=TablePhase.LOADING, job_id=result.job_id))
        files = staging.data_files(result)
        current = state.schema if state else None
        schema = await schema_of_files(self._session, self._request.namespace, result, files, current)
        table = read_table(schema)
        load = Load(table=table, files=files, watermark=watermark, options=self._load_options(table, watermark))
        try:
            counts = await self._resources.run_in_session(lambda target: _apply(target, action, load, state))
        except MalformedFileError as error:
            error.job_id = result.job_id  # the service's support needs it
            raise
        self._loaded = True
        staging.remove(result.folder)
        return TableLoaded(
            table=self.name,
            action=action,
            counts=counts,
            watermark=watermark,
            schema_version=schema.version,
            seconds=self._session.clock.now() - started,
        )

    async def _download(self, action: SyncAction, state: SyncState | None) -> tuple[TableResult, datetime]:
        if state is None or action is not SyncAction.INCREMENTAL:
            return await self._resources.download(self.name, self._resources.snapshot_query, self._forward_event)
        result, until = await self._download_since(state.changes_since)
        if is_stale_job(until, state, self._session.data_now()):
            # An equal query returns the same old job until it expires. A start one second earlier is another query.
            # The overlap is harmless: increments contain complete rows, so applying one twice changes nothing.
            staging.remove(result.folder)
            return await self._download_since(state.changes_since - timedelta(seconds=1))
        return result, until

    async def _download_since(self, since: datetime) -> tuple[TableResult, datetime]:
        query = replace(self._resources.snapshot_query, since=format_utc(since))
        return await self._resources.download(self.name, query, self._forward_event)

    def _forward_event(self, event: Event) -> None:
        """Forward those events of the table's download that also matter to the entire run."""
        if isinstance(event, RunStarted) and event.resumed_age is not None:
            self._resumed = True
        is_end = isinstance(event, TablePhaseChanged) and event.phase in (TablePhase.DONE, TablePhase.FAILED)
        if not is_end and not isinstance(event, _EVENTS_OF_RUN):
            self._resources.on_event(event)

    async def _unchanged(self, state: SyncState) -> TableLoaded:
        """Record that there are no changes; still delete rows that are too old."""
        if not self._loaded:
            await self.record_event("skip", {"watermark": state.watermark.isoformat()})
        table = read_table(state.schema)
        options = self._load_options(table, state.watermark)
        if options.expire is None:
            return _skipped(state)
        load = Load(table=table, files=DataFiles(paths=(), rows=0), watermark=state.watermark, options=options)
        counts = await self._resources.run_in_session(lambda target: target.delete_expired(load, state))
        return replace(_skipped(state), counts=counts)

    def _load_options(self, table: Table, watermark: datetime) -> LoadOptions:
        side_file = staging.repaired_values_file(self._request.stage, self._resources.folder, table.name)
        options = replace(self._request.load, side_file=side_file)
        if self._request.namespace != LOGS:
            return options
        # A snapshot of logs has only the rows of the last 30 days: a merge must not delete the older ones.
        return replace(options, keep_missing=True, expire=self._retention_cutoff(table, watermark))

    def _retention_cutoff(self, table: Table, watermark: datetime) -> RetentionCutoff | None:
        age = self._request.expire_logs
        if age is None:
            return None
        cutoff = retention_cutoff(table, watermark, self._session.data_now(), age)
        if cutoff is None:
            self._resources.notify(
                f"{table.name} has no date-time column {EVENT_TIME_COLUMN}: none of its rows expire."
            )
        return cutoff


def _apply(target: TargetSession, action: SyncAction, load: Load, state: SyncState | None) -> LoadStats:
    if state is None:
        return target.repair(load) if action is SyncAction.REPAIR else target.initial_load(load)
    if action is SyncAction.INCREMENTAL:
        return target.apply_increment(load, state)
    return target.full_refresh(load, state)


def _skipped(state: SyncState) -> TableLoaded:
    return TableLoaded(
        table=state.table,
        action=SyncAction.SKIP,
        counts=LoadStats(written=0),
        watermark=state.watermark,
        schema_version=state.schema.version,
        seconds=0.0,
    )


def _sum(first: LoadStats, second: LoadStats) -> LoadStats:
    return LoadStats(
        written=first.written + second.written,
        deleted=first.deleted + second.deleted,
        expired=first.expired + second.expired,
        repaired=Counter(first.repaired) + Counter(second.repaired),
    )
