"""One table on its way into the database: its road is decided, its files are fetched, change and record committed."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from dapkit.client.session import Session
from dapkit.errors import DapError, TargetError
from dapkit.events import Event, Listener, Notice, RunStarted, TableCompleted, TablePhase, TablePhaseChanged
from dapkit.export.isolation import is_fatal
from dapkit.model import Table
from dapkit.replication import staging as stage
from dapkit.replication.download import SNAPSHOT, SyncResources, fetch_table
from dapkit.replication.managed_tables import table_statuses
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.plan import (
    EVENT_TIME,
    LOGS,
    REFRESH,
    Rejected,
    data_loss_warning,
    dropped_manually,
    expiry,
    fallback,
    is_stale_job,
    plan_action,
    staleness_warning,
)
from dapkit.replication.schema_versions import schema_of_files
from dapkit.results import LoadStats, SyncAction, SyncCommand, TableFailed, TableLoaded, TableResult
from dapkit.schema import read_table
from dapkit.targets.base import (
    DataFiles,
    Load,
    LoadOptions,
    RetentionCutoff,
    SyncState,
    TableStatus,
    TargetSession,
    watermark_text,
)

__all__ = ["FoundTable", "TableSync"]

log = logging.getLogger(__name__)

FoundTable: TypeAlias = tuple[TableStatus, SyncState | None]
"""What stands in the database where a table should be, and its line in the books."""

_EVERYBODYS = (RunStarted, TableCompleted, TableFailed)  # told of the whole, not of each table's own run


class TableSync:
    """One table on its way. `options.namespace` is the service's name of it."""

    def __init__(
        self, name: str, session: Session, options: ReplicateOptions, resources: SyncResources, on_event: Listener
    ) -> None:
        self.name = name
        self._session = session
        self._options = options
        self._places = resources
        self._listen = on_event
        self._continued = False
        self._loaded = False

    async def record_event(self, event: str, detail: Mapping[str, Any]) -> None:
        """Add to the database's history; when that cannot be, the table's outcome stays what it is."""
        try:
            await self._places.run_in_session(_remember, self._options.namespace, self.name, event, detail)
        except Exception as error:
            log.debug("no history of table %s", self.name, exc_info=error)

    async def run(self, found: FoundTable | None) -> TableLoaded:
        """Bring the table from what was found; anew from what the books say now, when it was tried before.

        Raises:
            DapError: it cannot be had, or not be brought.
        """
        options = self._options
        limit = None if options.if_stale is None else self._now() - options.if_stale
        again = found is None
        status, state = found or await self._found()
        way = plan_action(
            options.command, self.name, status, state, fresh_until=limit, repair=options.repair, again=again
        )
        if isinstance(way, Rejected):
            raise way.error
        if status is TableStatus.DROPPED:
            state = None
            self._tell(f"{dropped_manually(self.name)}. It is loaded anew.")
        if way is SyncAction.SKIP:
            assert state is not None
            return _left(state)
        if state is not None and (warning := staleness_warning(state, self._now())):
            self._tell(warning)
        try:
            loaded = await self._go(way, state)
        except DapError as error:
            other = fallback(options.command, error)
            if other is None:
                raise
            self._tell(f"{self.name}: {error.message.rstrip('.')}. A fresh snapshot is merged into it.")
            loaded = await self._go(other, state)
        if state is not None and (loss := data_loss_warning(state, loaded.watermark)):
            self._tell(loss)
        return await self._caught_up(loaded) if options.command is SyncCommand.SYNC else loaded

    async def _found(self) -> FoundTable:
        found = await self._places.run_in_session(table_statuses, self._options.namespace, (self.name,))
        return found[self.name]

    async def _caught_up(self, loaded: TableLoaded) -> TableLoaded:
        """Add the changes since files that were made some time ago.

        The service gives an equal job once more, and a run that was interrupted goes on with the job that it had.
        """
        old = self._now() - loaded.watermark > REFRESH
        may_be = (
            loaded.action in (SyncAction.INITIAL_LOAD, SyncAction.REPAIR, SyncAction.FULL_REFRESH) or self._continued
        )
        if not may_be or not old:
            return loaded
        _, state = await self._found()
        try:
            later = await self._go(SyncAction.INCREMENTAL, state)
        except DapError as error:
            if isinstance(error, TargetError) or is_fatal(error, self._places.folder):
                raise
            self._tell(f"{self.name}: what changed since {watermark_text(loaded.watermark)} comes next time: {error}")
            return loaded
        return replace(loaded, watermark=later.watermark, counts=_sum(loaded.counts, later.counts))

    async def _go(self, way: SyncAction, state: SyncState | None) -> TableLoaded:
        started = self._session.clock.now()
        result, until = await self._fetch(way, state, timedelta())
        if state is not None and way is SyncAction.INCREMENTAL and is_stale_job(until, state, self._now()):
            stage.discard(result)
            result, until = await self._fetch(way, state, timedelta(seconds=1))
        if state is not None and way is SyncAction.INCREMENTAL:
            until = max(until, state.watermark)
            if not result.rows and until == state.watermark and result.schema_version == state.schema.version:
                stage.discard(result)
                return await self._unchanged(state)
        self._listen(TablePhaseChanged(table=self.name, phase=TablePhase.LOADING, job_id=result.job_id))
        parts = stage.parts_of(result)
        booked = state.schema if state else None
        schema = await schema_of_files(self._session, self._options.namespace, result, parts, booked)
        table = read_table(schema)
        load = Load(table=table, parts=parts, watermark=until, options=self._load_options(table, until))
        counts = await self._places.run_in_session(_apply, way, load, state)
        self._loaded = True
        stage.discard(result)
        return TableLoaded(
            table=self.name,
            action=way,
            counts=counts,
            watermark=until,
            schema_version=schema.version,
            seconds=self._session.clock.now() - started,
        )

    async def _fetch(
        self, way: SyncAction, state: SyncState | None, earlier: timedelta
    ) -> tuple[TableResult, datetime]:
        query = SNAPSHOT
        if state is not None and way is SyncAction.INCREMENTAL:
            query = replace(SNAPSHOT, since=watermark_text(state.watermark - earlier))
        return await fetch_table(self._session, self._options, self._places, self.name, query, self._hear)

    def _hear(self, event: Event) -> None:
        """Tell of a table's own run what concerns the whole."""
        if isinstance(event, RunStarted) and event.continued is not None:
            self._continued = True
        ends = isinstance(event, TablePhaseChanged) and event.phase in (TablePhase.DONE, TablePhase.FAILED)
        if not ends and not isinstance(event, _EVERYBODYS):
            self._listen(event)

    async def _unchanged(self, state: SyncState) -> TableLoaded:
        """Leave a table that has no news, but for rows that are too old."""
        if not self._loaded:
            await self.record_event("skip", {"watermark": state.watermark.isoformat()})
        table = read_table(state.schema)
        options = self._load_options(table, state.watermark)
        if options.expire is None:
            return _left(state)
        load = Load(table=table, parts=DataFiles(paths=(), rows=0), watermark=state.watermark, options=options)
        return replace(_left(state), counts=await self._places.run_in_session(_expire, load, state))

    def _load_options(self, table: Table, until: datetime) -> LoadOptions:
        side = stage.side_file(self._options.stage, self._places.folder, table.name)
        if self._options.namespace != LOGS:
            return replace(self._options.load, side_file=side)
        return replace(self._options.load, side_file=side, keep_missing=True, expire=self._expiry(table, until))

    def _expiry(self, table: Table, until: datetime) -> RetentionCutoff | None:
        age = self._options.expire_logs
        if age is None:
            return None
        found = expiry(table, until, self._now(), age)
        if found is None:
            self._tell(f"{table.name} has no date-time in a column {EVENT_TIME}: none of its rows expire.")
        return found

    def _tell(self, message: str) -> None:
        self._listen(Notice(message=message))

    def _now(self) -> datetime:
        return self._session.data_now()


def _apply(target: TargetSession, way: SyncAction, load: Load, state: SyncState | None) -> LoadStats:
    if state is None:
        return target.repair(load) if way is SyncAction.REPAIR else target.initialise(load)
    return target.change(load, state) if way is SyncAction.INCREMENTAL else target.replace(load, state)


def _expire(target: TargetSession, load: Load, state: SyncState) -> LoadStats:
    return target.expire(load, state)


def _remember(target: TargetSession, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
    target.record_event(namespace, table, event, detail)


def _left(state: SyncState) -> TableLoaded:
    return TableLoaded(
        table=state.table,
        action=SyncAction.SKIP,
        counts=LoadStats(written=0),
        watermark=state.watermark,
        schema_version=state.schema.version,
        seconds=0.0,
    )


def _sum(first: LoadStats, second: LoadStats) -> LoadStats:
    repaired = Counter(first.repaired) + Counter(second.repaired)
    return LoadStats(
        written=first.written + second.written,
        deleted=first.deleted + second.deleted,
        expired=first.expired + second.expired,
        repaired=repaired,
    )
