"""A dry run: what `replicate` would do with each table, without changing anything."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dapkit.client.session import Session
from dapkit.errors import DapError
from dapkit.events import Listener, Notice
from dapkit.export.isolation import is_fatal
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.managed_tables import StatusAndState, no_longer_in_service_notice, table_statuses
from dapkit.replication.options import SyncRequest
from dapkit.replication.plan import Rejected, fallback, plan_action, retention_cutoff
from dapkit.replication.run import no_longer_in_service, resolve
from dapkit.results import SyncAction
from dapkit.schema import read_table
from dapkit.targets.base import TableStatus, TargetSession
from dapkit.transfer.workers import worker_pool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """What `replicate` would do with a table.

    Attributes:
        action: what would be done; None if the table would fail.
        since: the start of the increment.
        ddl: the statements that would create or alter the table.
        expire_before: log rows before this time would be deleted, and some more as the watermark moves on.
        error: why the table would fail, or would need the fallback in `action`.
        younger_than: the age below which the table would be skipped.
    """

    table: str
    action: SyncAction | None
    since: datetime | None
    ddl: tuple[str, ...]
    expire_before: datetime | None = None
    error: DapError | None = None
    younger_than: timedelta | None = None


async def preview(session: Session, request: SyncRequest, on_event: Listener) -> tuple[PlannedTable, ...]:
    """Return what `replicate` would do now. Requests only tables and schemas from the service."""
    resolved = await resolve(session, request)
    request = replace(request, namespace=resolved.namespace)
    for notice in (resolved.notice, request.target.warning):
        if notice:
            on_event(Notice(message=notice))
    with worker_pool(1) as workers:
        connections = ConnectionPool(request.target.empty_substitute or request.target, workers, 1)
        try:
            async with connections.acquire() as target:
                await workers.run(target.require_origin, sandbox=session.sandbox)
                for state in await workers.run(no_longer_in_service, target, request, resolved):
                    on_event(Notice(message=no_longer_in_service_notice(state)))
                found = await workers.run(table_statuses, target, request.namespace, resolved.tables)
                return tuple([await _plan(session, request, target, name, found[name]) for name in resolved.tables])
        finally:
            await connections.close()


async def _plan(
    session: Session, request: SyncRequest, target: TargetSession, name: str, found: StatusAndState
) -> PlannedTable:
    status, state = found
    if status is TableStatus.DROPPED:
        state = None
    skip_from = None if request.if_stale is None else session.data_now() - request.if_stale
    action = plan_action(request.command, name, status, state, skip_from=skip_from, repair=request.repair)
    if isinstance(action, Rejected):
        return PlannedTable(table=name, action=None, since=None, ddl=(), error=action.error)
    try:
        table = read_table(await session.schema(request.namespace, name))
        needs_ddl = action not in (SyncAction.SKIP, SyncAction.REPAIR)
        ddl = tuple(target.schema_change_sql(table, state, request.load)) if needs_ddl else ()
    except DapError as error:
        if is_fatal(error, request.stage):
            raise
        return PlannedTable(table=name, action=fallback(request.command, error), since=None, ddl=(), error=error)
    cutoff = None
    if request.expire_logs is not None and state is not None and action is not SyncAction.SKIP:
        cutoff = retention_cutoff(table, state.watermark, session.data_now(), request.expire_logs)
    return PlannedTable(
        table=name,
        action=action,
        since=state.changes_since if state else None,
        ddl=ddl,
        expire_before=cutoff.before if cutoff else None,
        younger_than=request.if_stale if action is SyncAction.SKIP else None,
    )
