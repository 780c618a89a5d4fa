"""Tables of the service into a database, and kept equal there: the work of `initdb`, `syncdb` and `sync`.

Every table is a task of its own: its road is decided (`converge`), its files are brought (`export`, one run a table),
then its change and the record of the change are committed together (`targets`). One table's trouble is its own.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from dapkit.client.session import Session
from dapkit.engine.events import (
    Event,
    Listener,
    Notice,
    RunBegan,
    SyncBegan,
    TableDone,
    TableFailed,
    TableLoaded,
    TableMoved,
    TableResult,
    TableState,
)
from dapkit.engine.export import ExportOptions, concerns_all, export
from dapkit.engine.locking import holding, when_busy
from dapkit.engine.replication import stage
from dapkit.engine.replication.books import standings
from dapkit.engine.replication.converge import (
    EVENT_TIME,
    LOGS,
    REFRESH,
    Purpose,
    Refuse,
    Road,
    check_age,
    check_expiry,
    detour,
    expiry,
    is_spent,
    lost,
    overdue,
    road,
)
from dapkit.engine.replication.outage import Endurance
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.replication.versions import schema_of_files
from dapkit.engine.run import Workshop, workshop
from dapkit.engine.tables import ALIASES, Resolved, resolve_tables, vanished
from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    InternalError,
    NotReplicatedError,
    TableNotFoundError,
    UnreachableTargetError,
)
from dapkit.model import Format, Mode, Query, Table
from dapkit.schema import read_table
from dapkit.targets.base import (
    Book,
    Counts,
    Expiry,
    Load,
    LoadOptions,
    Parts,
    Standing,
    Target,
    TargetSession,
    watermark_of,
    watermark_text,
)

__all__ = ["ReplicateOptions", "SyncResult", "replicate"]

log = logging.getLogger(__name__)
Found: TypeAlias = tuple[Standing, Book | None]

SNAPSHOT = Query(format=Format.TSV, mode=Mode.CONDENSED)
_UNREMARKABLE = (AlreadyReplicatedError, NotReplicatedError, UnreachableTargetError)
"""Failures that are not written into the database: the command was not for this table, or nothing can be written."""

_EVERYBODYS = (RunBegan, TableDone, TableFailed)  # told of the whole, not of each table's own run


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateOptions:
    """What is wanted of a database.

    Attributes:
        purpose: which roads may be taken.
        namespace, tables, exclude: as `ExportOptions` has them.
        target: the database.
        stage: the folder under which files are kept on their way.
        load: how tables are loaded.
        if_stale: leave tables that are younger than this.
        repair: fill tables anew that the official client left half loaded.
        expire_logs: delete rows of logs that are older than this, which no other option does.
        wait: wait for another command that does the same, instead of ending with LockedError.
        connections: how many tables are loaded at once, as far as the target takes them.
        concurrency: of downloads, as `ExportOptions` has it.
        patience: how long failures of the service, and of the database, are borne, in seconds.
    """

    purpose: Purpose
    namespace: str
    tables: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    target: Target
    stage: Path
    load: LoadOptions = field(default_factory=LoadOptions)
    if_stale: timedelta | None = None
    repair: bool = False
    expire_logs: timedelta | None = None
    wait: bool = False
    connections: int = 4
    concurrency: int = 8
    patience: float = 900.0

    def __post_init__(self) -> None:
        check_age(self.if_stale)
        check_expiry(ALIASES.get(self.namespace, self.namespace), self.expire_logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """How it ended.

    `gone` holds the lines of tables that were meant and that the service no longer lists: they stay as they are.
    `originals` is the folder with the originals of values that were repaired.
    """

    namespace: str
    target: str
    done: tuple[TableLoaded, ...]
    failed: tuple[TableFailed, ...]
    gone: tuple[Book, ...] = ()
    originals: Path
    seconds: float
    sandbox: bool


async def replicate(session: Session, options: ReplicateOptions, listen: Listener) -> SyncResult:
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
    busy = when_busy(message, listen, wait=options.wait)
    async with holding(stage.lock_of(folder), session.clock, busy):
        stage.private(folder)
        stage.abandoned(stage.scratch_folder(options.stage, options.target.name, resolved.namespace))
        with workshop(options.concurrency) as downloads, workshop(options.connections) as loads:
            sessions = Sessions(options.target, loads, options.connections)
            places = Places(folder=folder, downloads=downloads, loads=loads, sessions=sessions)
            try:
                replication = Replication(session, options, resolved, places, listen)
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
        gone=replication.gone,
        originals=stage.originals(options.stage),
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


async def resolve(session: Session, options: ReplicateOptions) -> Resolved:
    """Resolve what is wanted; a pattern that the service has no table for may mean tables that are gone from it."""

    async def held(namespace: str) -> dict[str, Book]:
        if options.purpose is Purpose.INIT:
            return {}
        with workshop(1) as place:
            return await place.blocking(_books, options.target, namespace)

    return await resolve_tables(session, options.namespace, options.tables, options.exclude, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the tables of one run work: the stage's folder, threads for files and for loads, connections."""

    folder: Path
    downloads: Workshop
    loads: Workshop
    sessions: Sessions


async def fetch_table(
    session: Session, options: ReplicateOptions, places: Places, name: str, query: Query, listen: Listener | None = None
) -> tuple[TableResult, datetime]:
    """Bring the files of one table to the stage; return them with the watermark that they lead to.

    Raises:
        DapError: the table, or everything, cannot be had.
    """
    wanted = ExportOptions(
        namespace=options.namespace,
        tables=(name,),
        query=query,
        output=places.folder,
        concurrency=options.concurrency,
        patience=options.patience,
    )
    outcome = await export(session, wanted, listen or (lambda _: None), places.downloads)
    for failure in outcome.failed:
        raise failure.error
    result = outcome.done[0]
    mark = result.at or result.until
    assert mark is not None, "a complete job has a watermark"
    return result, watermark_of(mark)


class Replication:
    """One run at work."""

    def __init__(
        self, session: Session, options: ReplicateOptions, resolved: Resolved, places: Places, listen: Listener
    ) -> None:
        self._session = session
        self._options = options
        self._resolved = resolved
        self._namespace = resolved.namespace
        self._tables = resolved.tables
        self._places = places
        self._listen = listen
        self._endurance = Endurance(session.clock, options.patience, listen)
        self._sandbox = session.sandbox
        self._continued: set[str] = set()
        self.gone: tuple[Book, ...] = ()

    async def run(self) -> tuple[TableLoaded | TableFailed, ...]:
        """Bring every table; the first error that concerns all of them stops the rest."""
        options = self._options
        self._listen(
            SyncBegan(
                namespace=self._namespace,
                tables=self._tables,
                target=options.target.name,
                purpose=options.purpose,
                sandbox=self._sandbox,
            )
        )
        for notice in (self._resolved.notice, options.target.notice):
            if notice:
                self._tell(notice)
        found = await self._endurance.outlast(lambda _: self._begin(), start=True)
        for book in self.gone:
            self._tell(f"{book.table} is no longer offered by the service; it stays in the database {_as_of(book)}.")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._deliver(name, found[name])) for name in self._tables]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tuple(task.result() for task in tasks)

    async def _begin(self) -> dict[str, Found]:
        """Make the books where they are missing, and look what stands for each table."""
        async with self._places.sessions.lend() as target:
            return await self._places.loads.blocking(self._look, target)

    def _look(self, target: TargetSession) -> dict[str, Found]:
        target.prepare(self._namespace, sandbox=self._sandbox)
        options = self._options
        if options.purpose is not Purpose.INIT:
            books = target.books(self._namespace)
            gone = vanished(options.tables, options.exclude, self._resolved.known, books)
            self.gone = tuple(books[table] for table in gone)
        return standings(target, self._namespace, self._tables)

    def _tell(self, message: str) -> None:
        self._listen(Notice(message=message))

    async def _deliver(self, name: str, found: Found) -> TableLoaded | TableFailed:
        try:
            loaded = await self._endurance.outlast(lambda again: self._bring(name, None if again else found), name)
        except DapError as error:
            if concerns_all(error, self._places.folder):
                raise
            if isinstance(error, TableNotFoundError) and (book := found[1]):
                error.hint = f"It stays in the database {_as_of(book)}; `dap dropdb` removes it."
            return await self._failed(name, error)
        except Exception as error:
            log.debug("table %s", name, exc_info=error)
            return await self._failed(name, InternalError(f"{type(error).__name__}: {error}"))
        self._listen(TableMoved(table=name, state=TableState.DONE))
        self._listen(loaded)
        return loaded

    async def _failed(self, name: str, error: DapError) -> TableFailed:
        error.table = error.table or name
        self._listen(TableMoved(table=name, state=TableState.FAILED))
        failure = TableFailed(table=name, error=error)
        self._listen(failure)
        if not isinstance(error, _UNREMARKABLE):
            await self._remember(name, "failed", {"code": error.code, "message": error.message})
        return failure

    async def _remember(self, name: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add to the database's history; when that cannot be, the table's outcome stays what it is."""
        try:
            async with self._places.sessions.lend() as target:
                await self._places.loads.blocking(target.remember, self._namespace, name, event, detail)
        except Exception as error:
            log.debug("no history of table %s", name, exc_info=error)

    async def _bring(self, name: str, found: Found | None) -> TableLoaded:
        """Bring a table from what was found; anew from what the books say now, when it was tried before."""
        options = self._options
        limit = None if options.if_stale is None else self._now() - options.if_stale
        again = found is None
        standing, book = found or await self._found(name)
        way = road(options.purpose, name, standing, book, fresh_until=limit, repair=options.repair, again=again)
        if isinstance(way, Refuse):
            raise way.error
        if way is Road.LEAVE:
            assert book is not None
            return _left(book)
        if book is not None and (warning := overdue(book, self._now())):
            self._tell(warning)
        try:
            loaded = await self._go(name, way, book)
        except DapError as error:
            other = detour(options.purpose, error)
            if other is None:
                raise
            self._tell(f"{name}: {error.message.rstrip('.')}. A fresh snapshot is merged into it.")
            loaded = await self._go(name, other, book)
        if book is not None and (loss := lost(book, loaded.watermark)):
            self._tell(loss)
        return await self._caught_up(loaded) if options.purpose is Purpose.SYNC else loaded

    async def _found(self, name: str) -> Found:
        async with self._places.sessions.lend() as target:
            found = await self._places.loads.blocking(standings, target, self._namespace, (name,))
        return found[name]

    async def _caught_up(self, loaded: TableLoaded) -> TableLoaded:
        """Add the changes since files that were made some time ago.

        The service gives an equal job once more, and a run that was interrupted goes on with the job that it had.
        """
        old = self._now() - loaded.watermark > REFRESH
        may_be = loaded.road in (Road.INITIALISE, Road.REPAIR, Road.REPLACE) or loaded.table in self._continued
        if not may_be or not old:
            return loaded
        _, book = await self._found(loaded.table)
        later = await self._go(loaded.table, Road.CHANGE, book)
        return replace(loaded, watermark=later.watermark, counts=_sum(loaded.counts, later.counts))

    async def _go(self, name: str, way: Road, book: Book | None) -> TableLoaded:
        started = self._session.clock.now()
        result, until = await self._fetch(name, way, book, timedelta())
        if book is not None and way is Road.CHANGE and is_spent(until, book, self._now()):
            stage.discard(result)
            result, until = await self._fetch(name, way, book, timedelta(seconds=1))
        if book is not None and way is Road.CHANGE:
            until = max(until, book.watermark)
            if not result.rows and until == book.watermark and result.schema_version == book.schema.version:
                stage.discard(result)
                return await self._unchanged(book)
        self._listen(TableMoved(table=name, state=TableState.LOADING, job_id=result.job_id))
        parts = stage.parts_of(result)
        table = read_table(
            await schema_of_files(self._session, self._namespace, result, parts, book.schema if book else None)
        )
        load = Load(table=table, parts=parts, watermark=until, options=self._load_options(table, until))
        async with self._places.sessions.lend() as target:
            counts = await self._places.loads.blocking(_apply, target, way, load, book)
        stage.discard(result)
        return TableLoaded(
            table=name,
            road=way,
            counts=counts,
            watermark=until,
            schema_version=table.version,
            seconds=self._session.clock.now() - started,
        )

    async def _fetch(self, name: str, way: Road, book: Book | None, earlier: timedelta) -> tuple[TableResult, datetime]:
        query = SNAPSHOT
        if book is not None and way is Road.CHANGE:
            query = replace(SNAPSHOT, since=watermark_text(book.watermark - earlier))
        known = replace(self._options, namespace=self._namespace)
        return await fetch_table(self._session, known, self._places, name, query, self._hear)

    def _hear(self, event: Event) -> None:
        """Tell of a table's own run what concerns the whole."""
        if isinstance(event, RunBegan) and event.continued is not None:
            self._continued.update(event.tables)
        ends = isinstance(event, TableMoved) and event.state in (TableState.DONE, TableState.FAILED)
        if not ends and not isinstance(event, _EVERYBODYS):
            self._listen(event)

    async def _unchanged(self, book: Book) -> TableLoaded:
        """Leave a table that has no news, but for rows that are too old."""
        await self._remember(book.table, "unchanged", {"watermark": book.watermark.isoformat()})
        table = read_table(book.schema)
        options = self._load_options(table, book.watermark)
        if options.expire is None:
            return _left(book)
        load = Load(table=table, parts=Parts(paths=(), rows=0), watermark=book.watermark, options=options)
        async with self._places.sessions.lend() as target:
            counts = await self._places.loads.blocking(target.expire, load, book)
        return replace(_left(book), counts=counts)

    def _load_options(self, table: Table, until: datetime) -> LoadOptions:
        side = stage.side_file(self._options.stage, self._places.folder, table.name)
        if self._namespace != LOGS:
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

    def _now(self) -> datetime:
        return self._session.data_now()


def _apply(target: TargetSession, way: Road, load: Load, book: Book | None) -> Counts:
    if book is None:
        return target.repair(load) if way is Road.REPAIR else target.initialise(load)
    return target.change(load, book) if way is Road.CHANGE else target.replace(load, book)


def _books(target: Target, namespace: str) -> dict[str, Book]:
    session = target.open()
    try:
        return session.books(namespace)
    finally:
        session.close()


def _as_of(book: Book) -> str:
    return f"as of {watermark_text(book.watermark)}"


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
