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
from dapkit.errors import (
    AccountError,
    CredentialsError,
    DapError,
    DiskFullError,
    ForbiddenError,
    InternalError,
    JournalError,
    ManifestError,
    NoBaselineError,
    OutputError,
)
from dapkit.events import Listener, Notice, RunStarted, TableCompleted, TablePhase, TablePhaseChanged
from dapkit.export.journal import (
    JobAbandonedEntry,
    Journal,
    RunEndedEntry,
    RunStartedEntry,
    RunState,
    TableFailedEntry,
    TableProgress,
    TableResetEntry,
    advance,
)
from dapkit.export.journal import read as read_journal
from dapkit.export.options import ExportRequest
from dapkit.export.plan import ResumeRun, ReuseTable, StartRun, Step, plan_run, plan_tables, reopened, run_key
from dapkit.export.selection import KnownTables, resolve_tables
from dapkit.export.table_export import TableExport, table_result
from dapkit.model import Mode, Query
from dapkit.results import RunResult, TableFailed, TableResult
from dapkit.storage.atomic import make_folder, takes_files
from dapkit.transfer import manifest
from dapkit.transfer.context import DiskSpace, Run, WorkerPool, worker_pool
from dapkit.transfer.locking import holding, when_busy
from dapkit.transfer.manifest import ExportSource, Watermarks, latest_watermarks
from dapkit.transfer.names import job_folder

log = logging.getLogger(__name__)


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
    session: Session, options: ExportRequest, on_event: Listener, shared: WorkerPool | None = None
) -> RunResult:
    """Bring the tables' files to the output folder.

    Returns when every table is whole or has failed for good. May be cancelled at any time; the same call then goes
    on from there. Several exports at once may work in one `shared` workshop.

    Raises:
        DapError: what concerns the whole run: credentials, account, the output folder, a lock.
    """
    busy = when_busy(f"The same command is already running in {options.output}", on_event, wait=options.wait)
    runs = options.output / ".dap" / "runs"
    make_folder(options.output)
    key = _run_key(session, options)
    async with holding(runs / f"{key}.lock", session.clock, busy):
        journal = Journal(runs / f"{key}.jsonl")
        try:
            with nullcontext(shared) if shared else worker_pool(options.concurrency) as pool:
                return await _export(session, options, journal, on_event, pool)
        finally:
            journal.close()


async def preview(session: Session, options: ExportRequest) -> Preview:
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
        whole=tuple(step.table for step in steps if isinstance(step, ReuseTable)),
        since=begun.since,
        continued=chosen.age if isinstance(chosen, ResumeRun) else None,
    )


async def _export(
    session: Session, options: ExportRequest, journal: Journal, on_event: Listener, pool: WorkerPool
) -> RunResult:
    started = session.clock.now()
    start = _set_out(session, options, _recorded(options, journal.resume), started)
    chosen = start.chosen
    begun, notices = await _what(session, options, chosen)
    if isinstance(chosen, StartRun):
        journal.begin(begun, given_up=_leftovers(chosen, begun))
    for entry in start.again:
        journal.append(entry)
    on_event(
        RunStarted(
            namespace=begun.namespace,
            tables=begun.tables,
            query=begun.query,
            incremental=options.incremental,
            output=options.output,
            continued=chosen.age if isinstance(chosen, ResumeRun) else None,
            sandbox=session.sandbox,
        )
    )
    for notice in (*start.notices, *notices):
        on_event(Notice(message=notice))
    run = Run(
        session=session,
        clock=session.clock,
        output=options.output,
        journal=journal,
        listener=on_event,
        worker_pool=pool,
        retry_timeout=options.retry_timeout,
        source=_origin(session, begun.namespace, begun.query),
        known=KnownTables(session, begun.namespace),
        space=DiskSpace(options.output),
    )
    outcomes = await _deliver_all(run, _steps(options, chosen, begun, started), begun)
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, TableResult))
    failed = tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed))
    journal.append(RunEndedEntry(time=session.clock.now(), failed=len(failed)))
    journal.sync()
    return RunResult(
        namespace=begun.namespace,
        query=begun.query,
        incremental=options.incremental,
        output=options.output,
        done=done,
        failed=failed,
        fetched=run.stats.fetched,
        refetched=run.stats.refetched,
        seconds=session.clock.now() - started,
        sandbox=session.sandbox,
    )


async def _deliver_all(
    run: Run, steps: Sequence[Step], begun: RunStartedEntry
) -> tuple[TableResult | TableFailed, ...]:
    """Deliver every table at once; the first error that concerns all of them stops the rest."""
    unknown_start = tuple(table for table in begun.tables if all(step.table != table for step in steps))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {step.table: group.create_task(_deliver(run, step)) for step in steps}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    missing = {table: _failed(run, table, _no_earlier_result(table, run.source)) for table in unknown_start}
    return tuple(missing.get(table) or tasks[table].result() for table in begun.tables)


async def _deliver(run: Run, step: Step) -> TableResult | TableFailed:
    try:
        result = _kept(run, step) if isinstance(step, ReuseTable) else None
        if result is None:
            progress = TableProgress() if isinstance(step, ReuseTable) else step.progress
            result = await TableExport(run, step.record, progress).deliver()
    except DapError as error:
        if is_fatal(error, run.output):
            raise
        return _failed(run, step.table, error)
    except Exception as error:
        log.debug("table %s", step.table, exc_info=error)
        return _failed(run, step.table, InternalError(f"{type(error).__name__}: {error}"))
    run.tell(TablePhaseChanged(table=step.table, phase=TablePhase.DONE, job_id=result.job_id))
    run.tell(TableCompleted(result=result))
    return result


def _kept(run: Run, step: ReuseTable) -> TableResult | None:
    """Return the result of a table that the journal calls whole, if it is still there and nothing else."""
    folder = run.output / job_folder(step.job.id)
    try:
        whole = manifest.read(folder)
    except ManifestError:
        return None
    if whole is None or manifest.difference(whole, run.source, step.table, step.job) is not None:
        return None
    if not manifest.present(folder, whole):
        return None
    run.hold(step.job.id, step.table)
    return table_result(whole, run.output, reused=True)


def _failed(run: Run, table: str, error: DapError) -> TableFailed:
    error.table = error.table or table
    run.record(TableFailedEntry(time=run.clock.now(), table=table, code=error.code, message=error.message))
    run.tell(TablePhaseChanged(table=table, phase=TablePhase.FAILED))
    failure = TableFailed(table=table, error=error)
    run.tell(failure)
    return failure


def is_fatal(error: DapError, output: Path) -> bool:
    """Whether an error would meet every other table too."""
    match error:
        case ForbiddenError() | ManifestError():
            return False
        case CredentialsError() | AccountError() | DiskFullError() | JournalError():
            return True
        case OutputError():  # something may stand in the way of one table's files only
            return not takes_files(output)
    return False


def _no_earlier_result(table: str, source: ExportSource) -> DapError:
    written = f"{source.format} ({source.mode})"
    return NoBaselineError(f"There is no whole earlier result of table {table} as {written} to go on from", table=table)


def _origin(session: Session, namespace: str, query: Query) -> ExportSource:
    return ExportSource(
        service=session.identity,
        scope=session.scope,
        namespace=namespace,
        format=query.format,
        mode=query.mode or Mode.EXPANDED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """How a run sets out: what it is, the tables of an ended one that are asked anew, and notices for a person."""

    chosen: StartRun | ResumeRun
    again: tuple[TableResetEntry, ...] = ()
    notices: tuple[str, ...] = ()


def _recorded(options: ExportRequest, read: Callable[[], RunState | None]) -> RunState | None:
    """Return what the journal says; one that is damaged does not stand in the way of beginning anew."""
    try:
        return read()
    except JournalError:
        if options.new:
            return None
        raise


def _set_out(session: Session, options: ExportRequest, state: RunState | None, now: float) -> _Start:
    chosen = plan_run(state, now, anew=options.new)
    if isinstance(chosen, StartRun):
        return _Start(chosen=chosen)
    begun, found = chosen.state.begun, Watermarks(marks={}, notices=())
    if options.since_folder is not None and chosen.state.ended:
        found = latest_watermarks(options.since_folder, _origin(session, begun.namespace, begun.query))
    again = reopened(chosen.state, now, found.marks)
    continued = replace(chosen, state=reduce(advance, again, chosen.state))
    return _Start(chosen=continued, again=again, notices=found.notices)


async def _what(
    session: Session, options: ExportRequest, chosen: StartRun | ResumeRun
) -> tuple[RunStartedEntry, tuple[str, ...]]:
    """Return what the run is about, as the journal has it or resolved against the service now, and notices."""
    if isinstance(chosen, ResumeRun):
        return chosen.state.begun, ()
    resolved = await resolve_tables(session, options.namespace, options.tables, options.exclude)
    notices: tuple[str, ...] = (resolved.notice,) if resolved.notice else ()
    since: dict[str, str] = {}
    if options.since_folder is not None:
        found = latest_watermarks(options.since_folder, _origin(session, resolved.namespace, options.query))
        since = {table: found.marks[table] for table in resolved.tables if table in found.marks}
        notices += found.notices
    begun = RunStartedEntry(
        time=session.clock.now(),
        service=session.identity,
        scope=session.scope,
        namespace=resolved.namespace,
        tables=resolved.tables,
        query=options.query,
        since=since,
    )
    return begun, notices


def _steps(
    options: ExportRequest, chosen: StartRun | ResumeRun, begun: RunStartedEntry, now: float
) -> tuple[Step, ...]:
    """Plan every table that has a starting point."""
    queries: dict[str, Query] = dict.fromkeys(begun.tables, begun.query)
    if options.since_folder is not None:
        queries = {table: replace(begun.query, since=mark) for table, mark in begun.since.items()}
    state = chosen.state if isinstance(chosen, ResumeRun) else None
    given_up = chosen.leftovers if isinstance(chosen, StartRun) else {}
    return plan_tables(queries, state, now, retry_timeout=options.retry_timeout, given_up=given_up)


def _leftovers(chosen: StartRun, begun: RunStartedEntry) -> list[JobAbandonedEntry]:
    return [
        JobAbandonedEntry(time=begun.time, table=table, job_id=job)
        for table, jobs in chosen.leftovers.items()
        if table in begun.tables
        for job in jobs
    ]


def _run_key(session: Session, options: ExportRequest) -> str:
    query = options.query
    folder = options.since_folder.resolve() if options.since_folder else None
    asked = (
        sorted(options.tables),
        sorted(options.exclude),
        [query.format, query.mode, query.since, query.until],
        folder,
    )
    return run_key(session.identity, session.scope, options.namespace, asked)
