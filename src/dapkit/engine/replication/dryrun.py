"""What a replication would do now: the road of each table and the DDL, with nothing changed."""

from dataclasses import dataclass, replace
from datetime import datetime

from dapkit.client.session import Session
from dapkit.engine.events import Listener, Notice
from dapkit.engine.export import concerns_all
from dapkit.engine.replication.books import gone_notice, standings
from dapkit.engine.replication.converge import Refuse, Road, detour, expiry, road
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.engine.replication.replicate import gone_tables, resolve
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.run import workshop
from dapkit.errors import DapError
from dapkit.schema import read_table
from dapkit.targets.base import Book, Standing, TargetSession

__all__ = ["PlannedTable", "preview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """What `replicate` would do with a table: its road (None: it would fail), from when on, and the DDL.

    Rows from before `expire_before` would be deleted for their age, and some more as its watermark moves on.
    """

    table: str
    road: Road | None
    since: datetime | None
    ddl: tuple[str, ...]
    expire_before: datetime | None = None
    error: DapError | None = None


async def preview(session: Session, options: ReplicateOptions, listen: Listener) -> tuple[PlannedTable, ...]:
    """Say what `replicate` would do now. Asks the service for tables and schemas only, and changes nothing."""
    resolved = await resolve(session, options)
    for notice in (resolved.notice, options.target.notice):
        if notice:
            listen(Notice(message=notice))
    with workshop(1) as place:
        sessions = Sessions(options.target.stand_in or options.target, place, 1)
        try:
            async with sessions.lend() as target:
                await place.blocking(_require_origin, target, session.sandbox)
                for book in await place.blocking(gone_tables, target, options, resolved):
                    listen(Notice(message=gone_notice(book)))
                found = await place.blocking(standings, target, resolved.namespace, resolved.tables)
                known = replace(options, namespace=resolved.namespace)
                return tuple([await _planned(session, known, target, name, found[name]) for name in resolved.tables])
        finally:
            await sessions.close()


def _require_origin(target: TargetSession, sandbox: bool) -> None:
    target.require_origin(sandbox=sandbox)


async def _planned(
    session: Session, options: ReplicateOptions, target: TargetSession, name: str, found: tuple[Standing, Book | None]
) -> PlannedTable:
    standing, book = found
    if standing is Standing.LOST:
        book = None
    limit = None if options.if_stale is None else session.data_now() - options.if_stale
    way = road(options.purpose, name, standing, book, fresh_until=limit, repair=options.repair)
    if isinstance(way, Refuse):
        return PlannedTable(table=name, road=None, since=None, ddl=(), error=way.error)
    try:
        table = read_table(await session.schema(options.namespace, name))
        ddl = () if way in (Road.LEAVE, Road.REPAIR) else tuple(target.ddl(table, book, options.load))
    except DapError as error:
        if concerns_all(error, options.stage):
            raise
        return PlannedTable(table=name, road=detour(options.purpose, error), since=None, ddl=(), error=error)
    expire = None
    if options.expire_logs is not None and book is not None and way is not Road.LEAVE:
        expire = expiry(table, book.watermark, session.data_now(), options.expire_logs)
    return PlannedTable(
        table=name,
        road=way,
        since=book.watermark if book else None,
        ddl=ddl,
        expire_before=expire.before if expire else None,
    )
