"""Whether a database holds exactly what the service holds: the work of `dap reconcile`.

A snapshot is taken (as of T) beside the live table (as of W). What changed from T to W is applied to the snapshot; keys
that changed from W to T are left aside, since the live table cannot have their news yet. Both pass the database's own
conversions; then the database compares them, in a transaction that is undone.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime

from dapkit.client.session import Session
from dapkit.engine.events import Listener, Notice, TableCompared, TableFailed, TableMoved, TableState
from dapkit.engine.export import concerns_all
from dapkit.engine.locking import holding, when_busy
from dapkit.engine.replication import stage
from dapkit.engine.replication.books import chosen_tables, gone_hint, gone_notice, require_database
from dapkit.engine.replication.converge import LOGS
from dapkit.engine.replication.fetching import SNAPSHOT, Places, fetch_table
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.engine.replication.outage import Endurance
from dapkit.engine.replication.replicate import gone_tables, replicate, resolve
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.replication.versions import columns_of, common_table, schema_of_files
from dapkit.engine.run import workshop
from dapkit.engine.tables import Resolved
from dapkit.errors import DapError, InternalError, NotReplicatedError, TableNotFoundError
from dapkit.model import Query, VersionedSchema
from dapkit.schema import read_table
from dapkit.targets.base import Book, Comparison, Load, Parts, Sample, TargetSession, Truth, watermark_text

__all__ = ["ReconcileResult", "reconcile"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """How each table compares, and which could not be compared.

    `gone` holds the lines of tables that were meant and that the service no longer lists: nothing is said of them.
    """

    namespace: str
    target: str
    done: tuple[TableCompared, ...]
    failed: tuple[TableFailed, ...]
    gone: tuple[Book, ...] = ()
    sandbox: bool

    @property
    def equal(self) -> bool:
        """Whether every table was compared and nothing differs."""
        return not self.failed and all(each.comparison.equal for each in self.done)


async def reconcile(
    session: Session, options: ReplicateOptions, listen: Listener, *, sync: bool, sample: float | None = None
) -> ReconcileResult:
    """Compare the tables of the database with the service.

    Args:
        session: with the service.
        options: what is compared with what.
        listen: is told of what happens.
        sync: whether the tables are brought up to date first.
        sample: of how many percent of the rows the values are compared; of all, when it is None. Every run of a table
            that got a new watermark picks other rows; keys are always compared.

    Raises:
        DapError: what concerns the whole: credentials, account, a database that is not there or holds other data.
    """
    failed: dict[str, TableFailed] = {}
    if sync:
        synced = await replicate(session, options, listen)
        failed = {failure.table: failure for failure in synced.failed}
    require_database(options.target)
    resolved = await resolve(session, options)
    options = replace(options, namespace=resolved.namespace)
    folder = stage.scratch_folder(options.stage, options.target.name, options.namespace)
    message = f"Another command is comparing {options.namespace} with {options.target.name}"
    busy = when_busy(message, listen, wait=options.wait)
    with stage.named():
        async with holding(stage.lock_of(folder), session.clock, busy):
            stage.private(folder)
            with workshop(options.concurrency) as downloads, workshop(options.connections) as loads:
                sessions = Sessions(options.target, loads, options.connections)
                places = Places(folder=folder, downloads=downloads, loads=loads, sessions=sessions)
                try:
                    work = Reconciliation(session, options, places, listen, sample)
                    outcomes = await _compare_all(work, await work.books(resolved, tell=not sync), failed)
                finally:
                    await sessions.close()
            stage.clear(folder)
    return ReconcileResult(
        namespace=options.namespace,
        target=options.target.name,
        done=tuple(outcome for outcome in outcomes if isinstance(outcome, TableCompared)),
        failed=tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed)),
        gone=work.gone,
        sandbox=session.sandbox,
    )


async def _compare_all(
    work: "Reconciliation", books: dict[str, Book], failed: dict[str, TableFailed]
) -> tuple[TableCompared | TableFailed, ...]:
    if not (books or work.gone or failed):
        raise NotReplicatedError("There is nothing on the books of this database to compare")
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(work.deliver(book)) for name, book in books.items() if name not in failed}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return (*failed.values(), *(task.result() for task in tasks.values()))


class Reconciliation:
    """One comparison at work."""

    def __init__(
        self, session: Session, options: ReplicateOptions, places: Places, listen: Listener, sample: float | None
    ) -> None:
        self._session = session
        self._options = options
        self._places = places
        self._listen = listen
        self._endurance = Endurance(session.clock, options.patience, listen)
        self._sample = sample
        self.gone: tuple[Book, ...] = ()

    async def books(self, resolved: Resolved, *, tell: bool) -> dict[str, Book]:
        """Return the lines of the tables that are meant and that the service has.

        Args:
            resolved: what the service knows.
            tell: whether what a person should know of that was not told yet.

        Raises:
            NotReplicatedError: a table has no line.
            OriginError: the database holds a sandbox's data and this is the service's, or the other way round.
        """
        books = await self._endurance.outlast(lambda _: self._places.ask(self._look, resolved), start=True)
        if tell:
            notices = [resolved.notice] if resolved.notice else []
            for message in [*notices, *map(gone_notice, self.gone)]:
                self._listen(Notice(message=message))
        return books

    def _look(self, target: TargetSession, resolved: Resolved) -> dict[str, Book]:
        options = self._options
        target.require_origin(sandbox=self._session.sandbox)
        self.gone = gone_tables(target, options, resolved)
        books, gone = target.books(options.namespace), {book.table for book in self.gone}
        tables = chosen_tables(target, options.namespace, options.tables, options.exclude)
        return {table: books[table] for table in tables if table not in gone}

    async def deliver(self, book: Book) -> TableCompared | TableFailed:
        """Compare one table; its trouble is its own."""
        try:
            compared = await self._endurance.outlast(lambda _: self._compare(book), book.table)
        except DapError as error:
            if concerns_all(error, self._places.folder):
                raise
            if isinstance(error, TableNotFoundError):
                error.hint = gone_hint(book)
            return self._failed(book, error)
        except Exception as error:
            log.debug("table %s", book.table, exc_info=error)
            return self._failed(book, InternalError(f"{type(error).__name__}: {error}"))
        self._listen(TableMoved(table=book.table, state=TableState.DONE))
        self._listen(compared)
        return compared

    def _failed(self, book: Book, error: DapError) -> TableFailed:
        error.table = error.table or book.table
        failure = TableFailed(table=book.table, error=error)
        self._listen(TableMoved(table=book.table, state=TableState.FAILED))
        self._listen(failure)
        return failure

    async def _compare(self, book: Book) -> TableCompared:
        snapshot = await self._bring(book, SNAPSHOT)
        changes = stale = None
        if snapshot.watermark < book.watermark:
            span = replace(SNAPSHOT, since=watermark_text(snapshot.watermark), until=watermark_text(book.watermark))
            changes = await self._bring(book, span)
        elif snapshot.watermark > book.watermark:
            span = replace(SNAPSHOT, since=watermark_text(book.watermark), until=watermark_text(snapshot.watermark))
            stale = await self._bring(book, span)
        truth = self._truth(book, snapshot, changes, stale)
        self._listen(TableMoved(table=book.table, state=TableState.LOADING))
        comparison = await self._places.ask(_compare, truth)
        if book.namespace == LOGS:
            comparison = replace(comparison, extra=0, extra_keys=())  # they outlive the service's memory of them
        return TableCompared(table=book.table, comparison=comparison, watermark=book.watermark)

    async def _bring(self, book: Book, query: Query) -> "_Brought":
        """Bring the answer to one query, with the schema that it follows, or a later one."""
        result, watermark = await fetch_table(self._session, self._options, self._places, book.table, query)
        parts, schema = stage.parts_of(result), book.schema
        if result.schema_version is not None and result.schema_version > schema.version:
            schema = await schema_of_files(self._session, book.namespace, result, parts)
        return _Brought(parts=parts, watermark=watermark, schema=schema)

    def _truth(self, book: Book, snapshot: "_Brought", changes: "_Brought | None", stale: "_Brought | None") -> Truth:
        """Return what there is to compare with, all of it as one table."""
        brought = [each for each in (snapshot, changes, stale) if each is not None]
        latest = max((each.schema for each in brought), key=lambda schema: schema.version)
        table, unsaid = common_table(read_table(latest), [columns_of(each.parts) for each in brought])

        def load(each: "_Brought") -> Load:
            return Load(table=table, parts=each.parts, watermark=each.watermark, options=self._options.load)

        return Truth(
            live=book,
            snapshot=load(snapshot),
            changes=load(changes) if changes else None,
            stale=load(stale) if stale else None,
            unsaid=unsaid,
            sample=Sample(percent=self._sample, seed=watermark_text(book.watermark)) if self._sample else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    """The files of one job, the time that they lead to, and a schema that is not older than they are."""

    parts: Parts
    watermark: datetime
    schema: VersionedSchema


def _compare(target: TargetSession, truth: Truth) -> Comparison:
    return target.compare(truth)
