"""Tables of the service into a database, and kept equal there: the work of `initdb`, `syncdb` and `sync`.

Every table is a task of its own: its road is decided (`converge`), its files are brought (`export`, one run a table),
then its change and the record of the change are committed together (`targets`). One table's trouble is its own.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from dapkit.client.session import Session
from dapkit.engine.events import (
    Listener,
    Notice,
    SyncBegan,
    TableFailed,
    TableLoaded,
    TableMoved,
    TableState,
)
from dapkit.engine.export import concerns_all
from dapkit.engine.locking import holding, when_busy
from dapkit.engine.replication import stage
from dapkit.engine.replication.books import gone_hint, gone_notice, standings
from dapkit.engine.replication.bringing import Bringing, Found
from dapkit.engine.replication.converge import Purpose
from dapkit.engine.replication.fetching import Places
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.engine.replication.outage import Endurance
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.run import workshop
from dapkit.engine.tables import Resolved, resolve_tables, vanished
from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    InternalError,
    NotReplicatedError,
    TableNotFoundError,
    UnreachableTargetError,
)
from dapkit.targets.base import Book, Target, TargetSession

__all__ = ["SyncResult", "gone_tables", "replicate", "resolve"]

log = logging.getLogger(__name__)

_UNREMARKABLE = (AlreadyReplicatedError, NotReplicatedError, UnreachableTargetError)
"""Failures that are not written into the database: the command was not for this table, or nothing can be written."""


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
    with stage.named():
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


class Replication:
    """One run at work."""

    def __init__(
        self, session: Session, options: ReplicateOptions, resolved: Resolved, places: Places, listen: Listener
    ) -> None:
        self._session = session
        self._options = replace(options, namespace=resolved.namespace)
        self._resolved = resolved
        self._places = places
        self._listen = listen
        self._endurance = Endurance(session.clock, options.patience, listen)
        self.gone: tuple[Book, ...] = ()

    async def run(self) -> tuple[TableLoaded | TableFailed, ...]:
        """Bring every table; the first error that concerns all of them stops the rest."""
        options = self._options
        self._listen(
            SyncBegan(
                namespace=options.namespace,
                tables=self._resolved.tables,
                target=options.target.name,
                purpose=options.purpose,
                sandbox=self._session.sandbox,
            )
        )
        for notice in (self._resolved.notice, options.target.notice):
            if notice:
                self._tell(notice)
        found = await self._endurance.outlast(lambda _: self._begin(), start=True)
        for book in self.gone:
            self._tell(gone_notice(book))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._deliver(name, found[name])) for name in self._resolved.tables]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tuple(task.result() for task in tasks)

    async def _begin(self) -> dict[str, Found]:
        """Make the books where they are missing, and look what stands for each table."""
        return await self._places.ask(self._look)

    def _look(self, target: TargetSession) -> dict[str, Found]:
        options, namespace = self._options, self._options.namespace
        target.prepare(namespace, sandbox=self._session.sandbox)
        self.gone = gone_tables(target, options, self._resolved)
        return standings(target, namespace, self._resolved.tables)

    def _tell(self, message: str) -> None:
        self._listen(Notice(message=message))

    async def _deliver(self, name: str, found: Found) -> TableLoaded | TableFailed:
        table = Bringing(name, self._session, self._options, self._places, self._listen)
        try:
            loaded = await self._endurance.outlast(lambda again: table.run(None if again else found), name)
        except DapError as error:
            if concerns_all(error, self._places.folder):
                raise
            if isinstance(error, TableNotFoundError) and (book := found[1]):
                error.hint = gone_hint(book)
            return await self._failed(table, error)
        except Exception as error:
            log.debug("table %s", name, exc_info=error)
            return await self._failed(table, InternalError(f"{type(error).__name__}: {error}"))
        self._listen(TableMoved(table=name, state=TableState.DONE))
        self._listen(loaded)
        return loaded

    async def _failed(self, table: Bringing, error: DapError) -> TableFailed:
        error.table = error.table or table.name
        self._listen(TableMoved(table=table.name, state=TableState.FAILED))
        failure = TableFailed(table=table.name, error=error)
        self._listen(failure)
        if not isinstance(error, _UNREMARKABLE):
            await table.remember("failed", {"code": error.code, "message": error.message})
        return failure


def gone_tables(target: TargetSession, options: ReplicateOptions, resolved: Resolved) -> tuple[Book, ...]:
    """Return the lines of tables that a pattern means and the service no longer lists. Blocks."""
    if options.purpose is Purpose.INIT:
        return ()
    books = target.books(resolved.namespace)
    return tuple(books[table] for table in vanished(options.tables, options.exclude, resolved.known, books))


def _books(target: Target, namespace: str) -> dict[str, Book]:
    session = (target.stand_in or target).open()
    try:
        return session.books(namespace)
    finally:
        session.close()
