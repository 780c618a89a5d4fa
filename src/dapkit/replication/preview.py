"""What a replication would do now: the road of each table and the DDL, with nothing changed."""

from dataclasses import dataclass, replace
from datetime import datetime

from dapkit.client.session import Session
from dapkit.errors import DapError
from dapkit.events import Listener, Notice
from dapkit.export.isolation import is_fatal
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.managed_tables import no_longer_in_service_notice, table_statuses
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.plan import Rejected, expiry, fallback, plan_action
from dapkit.replication.run import no_longer_in_service, resolve
from dapkit.results import SyncAction
from dapkit.schema import read_table
from dapkit.targets.base import SyncState, TableStatus, TargetSession
from dapkit.transfer.workers import worker_pool

__all__ = ["PlannedTable", "preview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """What `replicate` would do with a table: its road (None: it would fail), from when on, and the DDL.

    Rows from before `expire_before` would be deleted for their age, and some more as its watermark moves on.
    """

    table: str
    action: SyncAction | None
    since: datetime | None
    ddl: tuple[str, ...]
    expire_before: datetime | None = None
    error: DapError | None = None


async def preview(session: Session, options: ReplicateOptions, on_event: Listener) -> tuple[PlannedTable, ...]:
    """Say what `replicate` would do now. Asks the service for tables and schemas only, and changes nothing."""
    resolved = await resolve(session, options)
    for notice in (resolved.notice, options.target.notice):
        if notice:
            on_event(Notice(message=notice))
    with worker_pool(1) as pool:
        sessions = ConnectionPool(options.target.empty_substitute or options.target, pool, 1)
        try:
            async with sessions.acquire() as target:
                await pool.run(_require_origin, target, session.sandbox)
                for state in await pool.run(no_longer_in_service, target, options, resolved):
                    on_event(Notice(message=no_longer_in_service_notice(state)))
                found = await pool.run(table_statuses, target, resolved.namespace, resolved.tables)
                known = replace(options, namespace=resolved.namespace)
                return tuple([await _planned(session, known, target, name, found[name]) for name in resolved.tables])
        finally:
            await sessions.close()


def _require_origin(target: TargetSession, sandbox: bool) -> None:
    target.require_origin(sandbox=sandbox)


async def _planned(
    session: Session,
    options: ReplicateOptions,
    target: TargetSession,
    name: str,
    found: tuple[TableStatus, SyncState | None],
) -> PlannedTable:
    status, state = found
    if status is TableStatus.DROPPED:
        state = None
    limit = None if options.if_stale is None else session.data_now() - options.if_stale
    way = plan_action(options.command, name, status, state, fresh_until=limit, repair=options.repair)
    if isinstance(way, Rejected):
        return PlannedTable(table=name, action=None, since=None, ddl=(), error=way.error)
    try:
        table = read_table(await session.schema(options.namespace, name))
        ddl = () if way in (SyncAction.SKIP, SyncAction.REPAIR) else tuple(target.ddl(table, state, options.load))
    except DapError as error:
        if is_fatal(error, options.stage):
            raise
        return PlannedTable(table=name, action=fallback(options.command, error), since=None, ddl=(), error=error)
    expire = None
    if options.expire_logs is not None and state is not None and way is not SyncAction.SKIP:
        expire = expiry(table, state.watermark, session.data_now(), options.expire_logs)
    return PlannedTable(
        table=name,
        action=way,
        since=state.watermark if state else None,
        ddl=ddl,
        expire_before=expire.before if expire else None,
    )
