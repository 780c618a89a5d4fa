"""One table on its way into the database: its road is decided, its files are fetched, change and record committed."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from dapkit.client.session import Session
from dapkit.engine.events import (
    Event,
    Listener,
    Notice,
    RunBegan,
    TableDone,
    TableFailed,
    TableLoaded,
    TableMoved,
    TableResult,
    TableState,
)
from dapkit.engine.export import concerns_all
from dapkit.engine.replication import stage
from dapkit.engine.replication.books import standings
from dapkit.engine.replication.converge import (
    EVENT_TIME,
    LOGS,
    REFRESH,
    Purpose,
    Refuse,
    Road,
    detour,
    expiry,
    gone_by_hand,
    is_spent,
    lost,
    overdue,
    road,
)
from dapkit.engine.replication.fetching import SNAPSHOT, Places, fetch_table
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.engine.replication.versions import schema_of_files
from dapkit.errors import DapError, TargetError
from dapkit.model import Table
from dapkit.schema import read_table
from dapkit.targets.base import (
    Book,
    Counts,
    Expiry,
    Load,
    LoadOptions,
    Parts,
    Standing,
    TargetSession,
    watermark_text,
)

__all__ = ["Bringing", "Found"]

log = logging.getLogger(__name__)

Found: TypeAlias = tuple[Standing, Book | None]
"""What stands in the database where a table should be, and its line in the books."""

_EVERYBODYS = (RunBegan, TableDone, TableFailed)  # told of the whole, not of each table's own run


class Bringing:
    """One table on its way. `options.namespace` is the service's name of it."""

    def __init__(
        self, name: str, session: Session, options: ReplicateOptions, places: Places, listen: Listener
    ) -> None:
        self.name = name
        self._session = session
        self._options = options
        self._places = places
        self._listen = listen
        self._continued = False
        self._loaded = False

    async def remember(self, event: str, detail: Mapping[str, Any]) -> None:
        """Add to the database's history; when that cannot be, the table's outcome stays what it is."""
        try:
            await self._places.ask(_remember, self._options.namespace, self.name, event, detail)
        except Exception as error:
            log.debug("no history of table %s", self.name, exc_info=error)

    async def run(self, found: Found | None) -> TableLoaded:
        """Bring the table from what was found; anew from what the books say now, when it was tried before.

        Raises:
            DapError: it cannot be had, or not be brought.
        """
        options = self._options
        limit = None if options.if_stale is None else self._now() - options.if_stale
        again = found is None
        standing, book = found or await self._found()
        way = road(options.purpose, self.name, standing, book, fresh_until=limit, repair=options.repair, again=again)
        if isinstance(way, Refuse):
            raise way.error
        if standing is Standing.LOST:
            book = None
            self._tell(f"{gone_by_hand(self.name)}. It is loaded anew.")
        if way is Road.LEAVE:
            assert book is not None
            return _left(book)
        if book is not None and (warning := overdue(book, self._now())):
            self._tell(warning)
        try:
            loaded = await self._go(way, book)
        except DapError as error:
            other = detour(options.purpose, error)
            if other is None:
                raise
            self._tell(f"{self.name}: {error.message.rstrip('.')}. A fresh snapshot is merged into it.")
            loaded = await self._go(other, book)
        if book is not None and (loss := lost(book, loaded.watermark)):
            self._tell(loss)
        return await self._caught_up(loaded) if options.purpose is Purpose.SYNC else loaded

    async def _found(self) -> Found:
        found = await self._places.ask(standings, self._options.namespace, (self.name,))
        return found[self.name]

    async def _caught_up(self, loaded: TableLoaded) -> TableLoaded:
        """Add the changes since files that were made some time ago.

        The service gives an equal job once more, and a run that was interrupted goes on with the job that it had.
        """
        old = self._now() - loaded.watermark > REFRESH
        may_be = loaded.road in (Road.INITIALISE, Road.REPAIR, Road.REPLACE) or self._continued
        if not may_be or not old:
            return loaded
        _, book = await self._found()
        try:
            later = await self._go(Road.CHANGE, book)
        except DapError as error:
            if isinstance(error, TargetError) or concerns_all(error, self._places.folder):
                raise
            self._tell(f"{self.name}: what changed since {watermark_text(loaded.watermark)} comes next time: {error}")
            return loaded
        return replace(loaded, watermark=later.watermark, counts=_sum(loaded.counts, later.counts))

    async def _go(self, way: Road, book: Book | None) -> TableLoaded:
        started = self._session.clock.now()
        result, until = await self._fetch(way, book, timedelta())
        if book is not None and way is Road.CHANGE and is_spent(until, book, self._now()):
            stage.discard(result)
            result, until = await self._fetch(way, book, timedelta(seconds=1))
        if book is not None and way is Road.CHANGE:
            until = max(until, book.watermark)
            if not result.rows and until == book.watermark and result.schema_version == book.schema.version:
                stage.discard(result)
                return await self._unchanged(book)
        self._listen(TableMoved(table=self.name, state=TableState.LOADING, job_id=result.job_id))
        parts = stage.parts_of(result)
        booked = book.schema if book else None
        schema = await schema_of_files(self._session, self._options.namespace, result, parts, booked)
        table = read_table(schema)
        load = Load(table=table, parts=parts, watermark=until, options=self._load_options(table, until))
        counts = await self._places.ask(_apply, way, load, book)
        self._loaded = True
        stage.discard(result)
        return TableLoaded(
            table=self.name,
            road=way,
            counts=counts,
            watermark=until,
            schema_version=schema.version,
            seconds=self._session.clock.now() - started,
        )

    async def _fetch(self, way: Road, book: Book | None, earlier: timedelta) -> tuple[TableResult, datetime]:
        query = SNAPSHOT
        if book is not None and way is Road.CHANGE:
            query = replace(SNAPSHOT, since=watermark_text(book.watermark - earlier))
        return await fetch_table(self._session, self._options, self._places, self.name, query, self._hear)

    def _hear(self, event: Event) -> None:
        """Tell of a table's own run what concerns the whole."""
        if isinstance(event, RunBegan) and event.continued is not None:
            self._continued = True
        ends = isinstance(event, TableMoved) and event.state in (TableState.DONE, TableState.FAILED)
        if not ends and not isinstance(event, _EVERYBODYS):
            self._listen(event)

    async def _unchanged(self, book: Book) -> TableLoaded:
        """Leave a table that has no news, but for rows that are too old."""
        if not self._loaded:
            await self.remember("unchanged", {"watermark": book.watermark.isoformat()})
        table = read_table(book.schema)
        options = self._load_options(table, book.watermark)
        if options.expire is None:
            return _left(book)
        load = Load(table=table, parts=Parts(paths=(), rows=0), watermark=book.watermark, options=options)
        return replace(_left(book), counts=await self._places.ask(_expire, load, book))

    def _load_options(self, table: Table, until: datetime) -> LoadOptions:
        side = stage.side_file(self._options.stage, self._places.folder, table.name)
        if self._options.namespace != LOGS:
            return replace(self._options.load, side_file=side)
        return replace(self._options.load, side_file=side, keep_missing=True, expire=self._expiry(table, until))

    def _expiry(self, table: Table, until: datetime) -> Expiry | None:
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


def _apply(target: TargetSession, way: Road, load: Load, book: Book | None) -> Counts:
    if book is None:
        return target.repair(load) if way is Road.REPAIR else target.initialise(load)
    return target.change(load, book) if way is Road.CHANGE else target.replace(load, book)


def _expire(target: TargetSession, load: Load, book: Book) -> Counts:
    return target.expire(load, book)


def _remember(target: TargetSession, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
    target.remember(namespace, table, event, detail)


def _left(book: Book) -> TableLoaded:
    return TableLoaded(
        table=book.table,
        road=Road.LEAVE,
        counts=Counts(written=0),
        watermark=book.watermark,
        schema_version=book.schema.version,
        seconds=0.0,
    )


def _sum(first: Counts, second: Counts) -> Counts:
    repaired = Counter(first.repaired) + Counter(second.repaired)
    return Counts(
        written=first.written + second.written,
        deleted=first.deleted + second.deleted,
        expired=first.expired + second.expired,
        repaired=repaired,
    )
