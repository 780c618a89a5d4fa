"""Tables of the service into a database, and kept equal there: the work of `initdb`, `syncdb` and `sync`.

Every table is a task of its own: its road is decided (`converge`), its files are brought (`export`, one run a table),
then its change and the record of the change are committed together (`targets`). One table's trouble is its own.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from dapkit.engine.locking import holding
from dapkit.engine.replication import stage
from dapkit.engine.replication.books import standings
from dapkit.engine.replication.converge import LOGS, REFRESH, Purpose, Refuse, Road, detour, is_spent, road
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.replication.versions import schema_of_files
from dapkit.engine.run import Workshop, workshop
from dapkit.engine.tables import Resolved, resolve_tables
from dapkit.errors import DapError, InternalError, LockedError
from dapkit.model import Format, Mode, Query
from dapkit.schema import read_table
from dapkit.targets.base import (
    Book,
    Counts,
    Load,
    LoadOptions,
    Standing,
    Target,
    TargetSession,
    watermark_of,
    watermark_text,
)

__all__ = ["ReplicateOptions", "SyncResult", "replicate"]

log = logging.getLogger(__name__)

SNAPSHOT = Query(format=Format.TSV, mode=Mode.CONDENSED)
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
        connections: how many tables are loaded at once, as far as the target takes them.
        concurrency, patience: of downloads, as `ExportOptions` has them.
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
    connections: int = 4
    concurrency: int = 8
    patience: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """How it ended; `originals` is the folder with the originals of values that were repaired."""

    namespace: str
    target: str
    done: tuple[TableLoaded, ...]
    failed: tuple[TableFailed, ...]
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
    resolved = await resolve_tables(session, options.namespace, options.tables, options.exclude)
    folder = stage.stage_folder(options.stage, options.target.name, resolved.namespace)

    def busy(holder: str) -> None:
        message = f"Another command is bringing {resolved.namespace} into {options.target.name} ({holder})"
        raise LockedError(message)

    async with holding(stage.lock_of(folder), session.clock, busy):
        stage.private(folder)
        stage.abandoned(stage.scratch_folder(options.stage, options.target.name, resolved.namespace))
        with workshop(options.concurrency) as downloads, workshop(options.connections) as loads:
            sessions = Sessions(options.target, loads, options.connections)
            places = Places(folder=folder, downloads=downloads, loads=loads, sessions=sessions)
            try:
                outcomes = await Replication(session, options, resolved, places, listen).run()
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
        originals=stage.originals(options.stage),
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


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
        self._namespace = resolved.namespace
        self._tables = resolved.tables
        self._notice = resolved.notice
        self._places = places
        self._listen = listen
        self._sandbox = session.sandbox
        self._continued: set[str] = set()

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
        if self._notice:
            self._listen(Notice(message=self._notice))
        async with self._places.sessions.lend() as target:
            found = await self._places.loads.blocking(self._look, target)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._deliver(name, *found[name])) for name in self._tables]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tuple(task.result() for task in tasks)

    def _look(self, target: TargetSession) -> dict[str, tuple[Standing, Book | None]]:
        """Make the books where they are missing, and look what stands for each table."""
        target.prepare(self._namespace, sandbox=self._sandbox)
        return standings(target, self._namespace, self._tables)

    async def _deliver(self, name: str, standing: Standing, book: Book | None) -> TableLoaded | TableFailed:
        try:
            loaded = await self._bring(name, standing, book)
        except DapError as error:
            if concerns_all(error, self._places.folder):
                raise
            return self._failed(name, error)
        except Exception as error:
            log.debug("table %s", name, exc_info=error)
            return self._failed(name, InternalError(f"{type(error).__name__}: {error}"))
        self._listen(TableMoved(table=name, state=TableState.DONE))
        self._listen(loaded)
        return loaded

    def _failed(self, name: str, error: DapError) -> TableFailed:
        error.table = error.table or name
        self._listen(TableMoved(table=name, state=TableState.FAILED))
        failure = TableFailed(table=name, error=error)
        self._listen(failure)
        return failure

    async def _bring(self, name: str, standing: Standing, book: Book | None) -> TableLoaded:
        options = self._options
        limit = None if options.if_stale is None else self._now() - options.if_stale
        way = road(options.purpose, name, standing, book, fresh_until=limit, repair=options.repair)
        if isinstance(way, Refuse):
            raise way.error
        if way is Road.LEAVE:
            assert book is not None
            return _left(name, book)
        try:
            loaded = await self._go(name, way, book)
        except DapError as error:
            other = detour(options.purpose, error)
            if other is None:
                raise
            self._listen(Notice(message=f"{name}: {error.message}. A fresh snapshot is merged into it."))
            loaded = await self._go(name, other, book)
        return await self._caught_up(loaded) if options.purpose is Purpose.SYNC else loaded

    async def _caught_up(self, loaded: TableLoaded) -> TableLoaded:
        """Add the changes since files that were made some time ago.

        The service gives an equal job once more, and a run that was interrupted goes on with the job that it had.
        """
        old = self._now() - loaded.watermark > REFRESH
        may_be = loaded.road in (Road.INITIALISE, Road.REPAIR, Road.REPLACE) or loaded.table in self._continued
        if not may_be or not old or self._sandbox:
            return loaded
        async with self._places.sessions.lend() as target:
            books = await self._places.loads.blocking(target.books, self._namespace)
        later = await self._go(loaded.table, Road.CHANGE, books[loaded.table])
        return replace(loaded, watermark=later.watermark, counts=_sum(loaded.counts, later.counts))

    async def _go(self, name: str, way: Road, book: Book | None) -> TableLoaded:
        started = self._session.clock.now()
        result, until = await self._fetch(name, way, book, timedelta())
        if book is not None and way is Road.CHANGE and is_spent(until, book, self._now()) and not self._sandbox:
            stage.discard(result)
            result, until = await self._fetch(name, way, book, timedelta(seconds=1))
        if book is not None and way is Road.CHANGE:
            until = max(until, book.watermark)
            if not result.rows and until == book.watermark and result.schema_version == book.schema.version:
                stage.discard(result)
                return _left(name, book)
        self._listen(TableMoved(table=name, state=TableState.LOADING, job_id=result.job_id))
        parts = stage.parts_of(result)
        schema = await schema_of_files(self._session, self._namespace, result, parts, book.schema if book else None)
        load = Load(table=read_table(schema), parts=parts, watermark=until, options=self._load_options(name))
        async with self._places.sessions.lend() as target:
            counts = await self._places.loads.blocking(_apply, target, way, load, book)
        stage.discard(result)
        return TableLoaded(
            table=name,
            road=way,
            counts=counts,
            watermark=until,
            schema_version=schema.version,
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

    def _load_options(self, name: str) -> LoadOptions:
        side = stage.side_file(self._options.stage, self._places.folder, name)
        return replace(self._options.load, side_file=side, keep_missing=self._namespace == LOGS)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._session.clock.now(), UTC)


def _apply(target: TargetSession, way: Road, load: Load, book: Book | None) -> Counts:
    if book is None:
        return target.repair(load) if way is Road.REPAIR else target.initialise(load)
    return target.change(load, book) if way is Road.CHANGE else target.replace(load, book)


def _left(name: str, book: Book) -> TableLoaded:
    return TableLoaded(
        table=name,
        road=Road.LEAVE,
        counts=Counts(written=0),
        watermark=book.watermark,
        schema_version=book.schema.version,
        seconds=0.0,
    )


def _sum(first: Counts, second: Counts) -> Counts:
    repaired = Counter(first.repaired) + Counter(second.repaired)
    return Counts(written=first.written + second.written, deleted=first.deleted + second.deleted, repaired=repaired)
