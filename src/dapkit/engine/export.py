"""Snapshots and increments of many tables at once, into a folder, from wherever an earlier run stopped.

Every table is a task of its own (`delivery`). They share the request budgets (in the session), the download slots
and the disk. One table's trouble is its own; only what concerns everybody (credentials, account, disk) stops the run.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from dapkit.client.session import Session
from dapkit.engine import manifest
from dapkit.engine.delivery import Delivery, table_result
from dapkit.engine.durable import make_folder, takes_files
from dapkit.engine.events import (
    Listener,
    Notice,
    RunBegan,
    RunResult,
    TableDone,
    TableFailed,
    TableMoved,
    TableResult,
    TableState,
)
from dapkit.engine.journal import (
    JobGivenUp,
    Journal,
    RunBegun,
    RunEnded,
    RunState,
    TableAgain,
    TableBroke,
    TableProgress,
    advance,
)
from dapkit.engine.journal import read as read_journal
from dapkit.engine.locking import holding, when_busy
from dapkit.engine.manifest import Origin, Watermarks, latest_watermarks
from dapkit.engine.names import job_folder
from dapkit.engine.plan import Begin, Continue, Keep, Step, plan_run, plan_tables, reopened, run_key
from dapkit.engine.run import Run, Space, Workshop, workshop
from dapkit.engine.tables import KnownTables, resolve_tables
from dapkit.errors import (
    AccountError,
    CredentialsError,
    DapError,
    DiskFullError,
    ForbiddenError,
    InternalError,
    JournalError,
    ManifestError,
    NoEarlierResultError,
    OutputError,
)
from dapkit.model import Mode, Query

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is wanted.

    `tables` holds names, globs or `all`. With `since_folder` each table's increment starts where its latest whole
    result in that folder ends. `patience` is in seconds: how long failures that may pass are borne.
    """

    namespace: str
    tables: tuple[str, ...]
    query: Query
    output: Path
    exclude: tuple[str, ...] = ()
    since_folder: Path | None = None
    concurrency: int = 8
    patience: float = 900.0
    new: bool = False
    wait: bool = False

    @property
    def incremental(self) -> bool:
        """Whether changes are asked for instead of full copies."""
        return self.query.incremental or self.since_folder is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a run would ask for: its tables, of which `whole` are kept, and where their increments start."""

    namespace: str
    query: Query
    tables: tuple[str, ...]
    whole: tuple[str, ...]
    since: Mapping[str, str]
    continued: float | None


async def export(
    session: Session, options: ExportOptions, listen: Listener, shared: Workshop | None = None
) -> RunResult:
    """Bring the tables' files to the output folder.

    Returns when every table is whole or has failed for good. May be cancelled at any time; the same call then goes
    on from there. Several exports at once may work in one `shared` workshop.

    Raises:
        DapError: what concerns the whole run: credentials, account, the output folder, a lock.
    """
    busy = when_busy(f"The same command is already running in {options.output}", listen, wait=options.wait)
    runs = options.output / ".dap" / "runs"
    make_folder(options.output)
    key = _run_key(session, options)
    async with holding(runs / f"{key}.lock", session.clock, busy):
        journal = Journal(runs / f"{key}.jsonl")
        try:
            with nullcontext(shared) if shared else workshop(options.concurrency) as place:
                return await _export(session, options, journal, listen, place)
        finally:
            journal.close()


async def preview(session: Session, options: ExportOptions) -> Preview:
    """Say what `export` would do now. Asks the service for nothing but its list of tables, and writes nothing."""
    now = session.clock.now()
    path = options.output / ".dap" / "runs" / f"{_run_key(session, options)}.jsonl"
    chosen = _set_out(session, options, _recorded(options, lambda: read_journal(path)[0]), now).chosen
    begun, _ = await _what(session, options, chosen)
    steps = _steps(options, chosen, begun, now)
    return Preview(
        namespace=begun.namespace,
        query=begun.query,
        tables=begun.tables,
        whole=tuple(step.table for step in steps if isinstance(step, Keep)),
        since=begun.since,
        continued=chosen.age if isinstance(chosen, Continue) else None,
    )


async def _export(
    session: Session, options: ExportOptions, journal: Journal, listen: Listener, place: Workshop
) -> RunResult:
    started = session.clock.now()
    start = _set_out(session, options, _recorded(options, journal.resume), started)
    chosen = start.chosen
    begun, notices = await _what(session, options, chosen)
    if isinstance(chosen, Begin):
        journal.begin(begun, given_up=_leftovers(chosen, begun))
    for entry in start.again:
        journal.append(entry)
    listen(
        RunBegan(
            namespace=begun.namespace,
            tables=begun.tables,
            query=begun.query,
            incremental=options.incremental,
            output=options.output,
            continued=chosen.age if isinstance(chosen, Continue) else None,
            sandbox=session.sandbox,
        )
    )
    for notice in (*start.notices, *notices):
        listen(Notice(message=notice))
    run = Run(
        session=session,
        clock=session.clock,
        output=options.output,
        journal=journal,
        listener=listen,
        workshop=place,
        patience=options.patience,
        origin=_origin(session, begun.namespace, begun.query),
        known=KnownTables(session, begun.namespace),
        space=Space(options.output),
    )
    outcomes = await _deliver_all(run, _steps(options, chosen, begun, started), begun)
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, TableResult))
    failed = tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed))
    journal.append(RunEnded(time=session.clock.now(), failed=len(failed)))
    journal.sync()
    return RunResult(
        namespace=begun.namespace,
        query=begun.query,
        incremental=options.incremental,
        output=options.output,
        done=done,
        failed=failed,
        fetched=run.tally.fetched,
        refetched=run.tally.refetched,
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


async def _deliver_all(run: Run, steps: Sequence[Step], begun: RunBegun) -> tuple[TableResult | TableFailed, ...]:
    """Deliver every table at once; the first error that concerns all of them stops the rest."""
    unknown_start = tuple(table for table in begun.tables if all(step.table != table for step in steps))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {step.table: group.create_task(_deliver(run, step)) for step in steps}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    missing = {table: _failed(run, table, _no_earlier_result(table, run.origin)) for table in unknown_start}
    return tuple(missing.get(table) or tasks[table].result() for table in begun.tables)


async def _deliver(run: Run, step: Step) -> TableResult | TableFailed:
    try:
        result = _kept(run, step) if isinstance(step, Keep) else None
        if result is None:
            progress = TableProgress() if isinstance(step, Keep) else step.progress
            result = await Delivery(run, step.record, progress).deliver()
    except DapError as error:
        if concerns_all(error, run.output):
            raise
        return _failed(run, step.table, error)
    except Exception as error:
        log.debug("table %s", step.table, exc_info=error)
        return _failed(run, step.table, InternalError(f"{type(error).__name__}: {error}"))
    run.tell(TableMoved(table=step.table, state=TableState.DONE, job_id=result.job_id))
    run.tell(TableDone(result=result))
    return result


def _kept(run: Run, step: Keep) -> TableResult | None:
    """Return the result of a table that the journal calls whole, if it is still there and nothing else."""
    folder = run.output / job_folder(step.job.id)
    try:
        whole = manifest.read(folder)
    except ManifestError:
        return None
    if whole is None or manifest.difference(whole, run.origin, step.table, step.job) is not None:
        return None
    if not manifest.present(folder, whole):
        return None
    run.hold(step.job.id, step.table)
    return table_result(whole, run.output, reused=True)


def _failed(run: Run, table: str, error: DapError) -> TableFailed:
    error.table = error.table or table
    run.record(TableBroke(time=run.clock.now(), table=table, code=error.code, message=error.message))
    run.tell(TableMoved(table=table, state=TableState.FAILED))
    failure = TableFailed(table=table, error=error)
    run.tell(failure)
    return failure


def concerns_all(error: DapError, output: Path) -> bool:
    """Whether an error would meet every other table too."""
    match error:
        case ForbiddenError() | ManifestError():
            return False
        case CredentialsError() | AccountError() | DiskFullError() | JournalError():
            return True
        case OutputError():  # something may stand in the way of one table's files only
            return not takes_files(output)
    return False


def _no_earlier_result(table: str, origin: Origin) -> DapError:
    written = f"{origin.format} ({origin.mode})"
    return NoEarlierResultError(
        f"There is no whole earlier result of table {table} as {written} to go on from", table=table
    )


def _origin(session: Session, namespace: str, query: Query) -> Origin:
    return Origin(
        service=session.identity,
        scope=session.scope,
        namespace=namespace,
        format=query.format,
        mode=query.mode or Mode.EXPANDED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """How a run sets out: what it is, the tables of an ended one that are asked anew, and notices for a person."""

    chosen: Begin | Continue
    again: tuple[TableAgain, ...] = ()
    notices: tuple[str, ...] = ()


def _recorded(options: ExportOptions, read: Callable[[], RunState | None]) -> RunState | None:
    """Return what the journal says; one that is damaged does not stand in the way of beginning anew."""
    try:
        return read()
    except JournalError:
        if options.new:
            return None
        raise


def _set_out(session: Session, options: ExportOptions, state: RunState | None, now: float) -> _Start:
    chosen = plan_run(state, now, anew=options.new)
    if isinstance(chosen, Begin):
        return _Start(chosen=chosen)
    begun, found = chosen.state.begun, Watermarks(marks={}, notices=())
    if options.since_folder is not None and chosen.state.ended:
        found = latest_watermarks(options.since_folder, _origin(session, begun.namespace, begun.query))
    again = reopened(chosen.state, now, found.marks)
    continued = replace(chosen, state=reduce(advance, again, chosen.state))
    return _Start(chosen=continued, again=again, notices=found.notices)


async def _what(session: Session, options: ExportOptions, chosen: Begin | Continue) -> tuple[RunBegun, tuple[str, ...]]:
    """Return what the run is about, as the journal has it or resolved against the service now, and notices."""
    if isinstance(chosen, Continue):
        return chosen.state.begun, ()
    resolved = await resolve_tables(session, options.namespace, options.tables, options.exclude)
    notices: tuple[str, ...] = (resolved.notice,) if resolved.notice else ()
    since: dict[str, str] = {}
    if options.since_folder is not None:
        found = latest_watermarks(options.since_folder, _origin(session, resolved.namespace, options.query))
        since = {table: found.marks[table] for table in resolved.tables if table in found.marks}
        notices += found.notices
    begun = RunBegun(
        time=session.clock.now(),
        service=session.identity,
        scope=session.scope,
        namespace=resolved.namespace,
        tables=resolved.tables,
        query=options.query,
        since=since,
    )
    return begun, notices


def _steps(options: ExportOptions, chosen: Begin | Continue, begun: RunBegun, now: float) -> tuple[Step, ...]:
    """Plan every table that has a starting point."""
    queries: dict[str, Query] = dict.fromkeys(begun.tables, begun.query)
    if options.since_folder is not None:
        queries = {table: replace(begun.query, since=mark) for table, mark in begun.since.items()}
    state = chosen.state if isinstance(chosen, Continue) else None
    given_up = chosen.leftovers if isinstance(chosen, Begin) else {}
    return plan_tables(queries, state, now, patience=options.patience, given_up=given_up)


def _leftovers(chosen: Begin, begun: RunBegun) -> list[JobGivenUp]:
    return [
        JobGivenUp(time=begun.time, table=table, job_id=job)
        for table, jobs in chosen.leftovers.items()
        if table in begun.tables
        for job in jobs
    ]


def _run_key(session: Session, options: ExportOptions) -> str:
    query = options.query
    folder = options.since_folder.resolve() if options.since_folder else None
    asked = (
        sorted(options.tables),
        sorted(options.exclude),
        [query.format, query.mode, query.since, query.until],
        folder,
    )
    return run_key(session.identity, session.scope, options.namespace, asked)
