"""Snapshots and increments of many tables into a folder, resuming an earlier run.

Each table is a separate task (`table_export`). The tables share the rate limits (in the session), the download
slots and the disk. One failing table does not stop the others; only errors that affect all of them (credentials,
account, disk) stop the run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from dapkit.client.jobs import FinishedJob
from dapkit.client.session import Session
from dapkit.errors import DapError, JournalError, ManifestError, NoBaselineError
from dapkit.events import JobsPlanned, Listener, Notice, RunStarted, TableCompleted, TablePhase, TablePhaseChanged
from dapkit.export.flat_table import Flattening, flat_watermarks, flattening, state_of_job
from dapkit.export.isolation import isolate
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
from dapkit.export.plan import (
    DownloadTable,
    ResumeRun,
    ReuseTable,
    Step,
    plan_run,
    plan_tables,
    run_key,
    tables_to_reset,
)
from dapkit.export.run_result import RunResult
from dapkit.export.selection import KnownTables, resolve_tables
from dapkit.export.table_export import ExportContext, TableExport, table_result
from dapkit.export.times import fixed
from dapkit.failures import TableFailed
from dapkit.model import FlatFormat, Query
from dapkit.results import TableResult
from dapkit.storage.atomic import make_folder
from dapkit.transfer import manifest
from dapkit.transfer.job_download import export_source, job_folder
from dapkit.transfer.locking import busy_handler, hold_lock
from dapkit.transfer.manifest import ExportSource, Watermarks, latest_watermarks
from dapkit.transfer.resources import DiskSpace, DownloadResources
from dapkit.transfer.workers import WorkerPool, run_all, worker_pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a run would request: its tables, those that are `complete` already, and where increments would start.

    `resumed_age` is the age in seconds of the run that would be resumed, if there is one. Tables `without_baseline`
    would fail, because the folder has no earlier result of them to continue from.
    """

    namespace: str
    query: Query
    tables: tuple[str, ...]
    complete: tuple[str, ...]
    since: Mapping[str, str]
    resumed_age: float | None
    without_baseline: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


async def export(
    session: Session, request: ExportRequest, on_event: Listener, shared: WorkerPool | None = None
) -> RunResult:
    """Export tables to the output folder.

    Returns when every table is complete or failed. May be cancelled at any time; the same call then resumes.

    Args:
        session: with the service.
        request: what to export.
        on_event: called for everything that happens.
        shared: worker threads and download slots, if several exports share them.

    Raises:
        DapError: an error that affects the entire run: credentials, account, the output folder, a lock.
    """
    on_busy = busy_handler(f"The same command is already running in {request.output}", on_event, wait=request.wait)
    runs = request.output / ".dap" / "runs"
    make_folder(request.output)
    key = _run_key(session, request)
    # The lock protects the journal: only one process may append to it or replace it. It is named after the request, so
    # other commands can use the same output folder at the same time.
    async with hold_lock(runs / f"{key}.lock", session.clock, on_busy):
        journal = Journal(runs / f"{key}.jsonl")
        try:
            with ExitStack() as stack:
                pool = shared or stack.enter_context(worker_pool(request.concurrency))
                flat = stack.enter_context(flattening(request.output, request.flat, key, pool, on_event))
                return await _export(session, request, journal, on_event, pool, flat)
        finally:
            journal.close()


async def preview(session: Session, request: ExportRequest) -> Preview:
    """Return what `export` would do now. Requests only the list of tables, and writes nothing."""
    now = session.clock.now()
    path = request.output / ".dap" / "runs" / f"{_run_key(session, request)}.jsonl"
    prepared = await _prepare(session, request, lambda: read_journal(path)[0], now)
    start = prepared.start
    return Preview(
        namespace=start.namespace,
        query=start.query,
        tables=start.tables,
        complete=tuple(step.table for step in prepared.steps if isinstance(step, ReuseTable)),
        since=start.since,
        resumed_age=prepared.age,
        without_baseline=tuple(
            table for table in start.tables if request.since_folder is not None and table not in start.since
        ),
        notices=prepared.notices,
    )


async def _export(
    session: Session,
    request: ExportRequest,
    journal: Journal,
    on_event: Listener,
    pool: WorkerPool,
    flat: Flattening | None,
) -> RunResult:
    started_at = session.clock.now()
    prepared = await _prepare(session, request, journal.resume, started_at)
    start = prepared.start
    if prepared.age is None:
        journal.start(start, abandoned=prepared.abandoned)
    for entry in prepared.resets:
        journal.append(entry)
    on_event(
        RunStarted(
            namespace=start.namespace,
            tables=start.tables,
            query=start.query,
            incremental=request.incremental,
            output=request.output,
            resumed_age=prepared.age,
            sandbox=session.sandbox,
        )
    )
    for notice in prepared.notices:
        on_event(Notice(message=notice))
    jobs = sum(isinstance(step, DownloadTable) and step.record.job is None for step in prepared.steps)
    on_event(JobsPlanned(jobs=jobs, per_minute=session.jobs_per_minute))
    context = _context(session, request, start.namespace, journal, on_event, pool, flat)
    outcomes = await _export_all(context, prepared.steps, start)
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, TableResult))
    failed = tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed))
    journal.append(RunEndedEntry(time=session.clock.now(), failed=len(failed)))
    journal.flush()
    return RunResult(
        namespace=start.namespace,
        query=start.query,
        incremental=request.incremental,
        flat=request.flat is not None,
        output=request.output,
        done=done,
        failed=failed,
        fetched=context.resources.stats.fetched,
        refetched=context.resources.stats.refetched,
        seconds=session.clock.now() - started_at,
        sandbox=session.sandbox,
    )


def _context(
    session: Session,
    request: ExportRequest,
    namespace: str,
    journal: Journal,
    on_event: Listener,
    pool: WorkerPool,
    flat: Flattening | None,
) -> ExportContext:
    resources = DownloadResources(
        session=session,
        worker_pool=pool,
        disk_space=DiskSpace(request.output),
        retry_timeout=request.retry_timeout,
    )
    return ExportContext(
        resources=resources,
        namespace=namespace,
        output=flat.raw_output if flat else request.output,
        journal=journal,
        emit=on_event,
        known_tables=KnownTables(session, namespace),
        flattening=flat,
    )


async def _export_all(
    context: ExportContext, steps: Sequence[Step], start: RunStartedEntry
) -> tuple[TableResult | TableFailed, ...]:
    """Export all tables at once; tables without a step have no earlier result to start from."""
    results = await run_all(_export_table(context, step) for step in steps)
    outcomes = {step.table: result for step, result in zip(steps, results, strict=True)}
    source = export_source(context.resources.session, start.namespace, start.query)
    for table in start.tables:
        if table not in outcomes:
            outcomes[table] = _failed(context, TableFailed(table=table, error=_no_baseline(table, source)))
    return tuple(outcomes[table] for table in start.tables)


async def _export_table(context: ExportContext, step: Step) -> TableResult | TableFailed:
    outcome = await isolate(step.table, context.output, _result, context, step)
    if isinstance(outcome, TableFailed):
        return _failed(context, outcome)
    context.emit(TablePhaseChanged(table=step.table, phase=TablePhase.DONE, job_id=outcome.job_id))
    context.emit(TableCompleted(result=outcome))
    return outcome


async def _result(context: ExportContext, step: Step) -> TableResult:
    if isinstance(step, ReuseTable):
        existing = _existing_result(context, step)
        return existing or await TableExport(context, step.record, TableProgress()).run()
    return await TableExport(context, step.record, step.progress).run()


def _existing_result(context: ExportContext, step: ReuseTable) -> TableResult | None:
    """Return the result of a table that is complete according to the journal, if it is still there, unchanged."""
    if context.flattening is not None:
        finished = FinishedJob(namespace=context.namespace, table=step.table, query=step.record.query, job=step.job)
        session, options = context.resources.session, context.flattening.options
        return context.flattening.existing(state_of_job(session, options, context.namespace, finished))
    folder = job_folder(context.output, step.job.id)
    try:
        found = manifest.read(folder)
    except ManifestError:
        return None
    source = export_source(context.resources.session, context.namespace, step.record.query)
    if found is None or manifest.difference(found, source, step.table, step.job) is not None:
        return None
    if not manifest.has_all_files(folder, found):
        return None
    context.claim_job(step.job.id, step.table)
    return table_result(found, context.output, reused=True)


def _failed(context: ExportContext, failure: TableFailed) -> TableFailed:
    table, error = failure.table, failure.error
    now = context.resources.clock.now()
    context.journal.append(TableFailedEntry(time=now, table=table, code=error.code, message=error.message))
    context.emit(TablePhaseChanged(table=table, phase=TablePhase.FAILED))
    context.emit(failure)
    return failure


def _no_baseline(table: str, source: ExportSource) -> DapError:
    written = f"{source.format} ({source.mode})"
    return NoBaselineError(f"There is no complete earlier result of table {table} as {written}", table=table)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PreparedRun:
    """What a run is going to do. `age` is that of the run that is resumed, None for a new one."""

    start: RunStartedEntry
    steps: tuple[Step, ...]
    age: float | None = None
    abandoned: tuple[JobAbandonedEntry, ...] = ()
    resets: tuple[TableResetEntry, ...] = ()
    notices: tuple[str, ...] = ()


async def _prepare(
    session: Session, request: ExportRequest, read: Callable[[], RunState | None], now: float
) -> _PreparedRun:
    """Plan a run from the journal and, for a new one, from the service's list of tables. Writes nothing."""
    try:
        state = read()
    except JournalError:
        if not request.new:
            raise
        state = None  # a damaged journal must not prevent a new run
    plan = plan_run(state, now, new=request.new)
    if isinstance(plan, ResumeRun):
        found = Watermarks(by_table={}, notices=())
        if request.since_folder is not None and plan.state.ended:
            start = plan.state.start
            found = _watermarks(session, request, request.since_folder, start.namespace)
        resets = tables_to_reset(plan.state, now, found.by_table)
        state = reduce(advance, resets, plan.state)
        steps = plan_tables(_queries(request, state.start), state, now, retry_timeout=request.retry_timeout)
        return _PreparedRun(start=state.start, steps=steps, age=plan.age, resets=resets, notices=found.notices)
    start, notices = await _new_start(session, request)
    steps = plan_tables(
        _queries(request, start), None, now, retry_timeout=request.retry_timeout, abandoned=plan.abandoned
    )
    abandoned = tuple(
        JobAbandonedEntry(time=start.time, table=table, job_id=job)
        for table, jobs in plan.abandoned.items()
        if table in start.tables
        for job in jobs
    )
    return _PreparedRun(start=start, steps=steps, abandoned=abandoned, notices=notices)


async def _new_start(session: Session, request: ExportRequest) -> tuple[RunStartedEntry, tuple[str, ...]]:
    """Resolve the tables of a new run with the service. Also returns notices for the user."""
    query = request.query
    if not request.from_state:
        query = fixed(query, session.data_now(), sandbox=session.sandbox)
    resolved = await resolve_tables(session, request.namespace, request.tables, request.exclude)
    notices: tuple[str, ...] = (resolved.notice,) if resolved.notice else ()
    times = (("since", request.since, query.since), ("until", request.until, query.until))
    notices += tuple(f"{name} {given} is {time}" for name, given, time in times if given != time)
    since: dict[str, str] = {}
    if request.since_folder is not None:
        found = _watermarks(session, request, request.since_folder, resolved.namespace)
        since = {table: found.by_table[table] for table in resolved.tables if table in found.by_table}
        notices += found.notices
    start = RunStartedEntry(
        time=session.clock.now(),
        service=session.identity,
        scope=session.scope,
        namespace=resolved.namespace,
        tables=resolved.tables,
        query=query,
        since=since,
    )
    return start, notices


def _watermarks(session: Session, request: ExportRequest, folder: Path, namespace: str) -> Watermarks:
    """Return where the increments of tables start, from the earlier results in a folder of the same kind."""
    if request.flat is None:
        return latest_watermarks(folder, export_source(session, namespace, request.query))
    found = flat_watermarks(folder, session, namespace, FlatFormat(request.flat.format))
    return Watermarks(by_table=found, notices=())


def _queries(request: ExportRequest, start: RunStartedEntry) -> dict[str, Query]:
    """Return what is requested of each table. With --since FOLDER, one without an earlier result cannot start."""
    if request.since_folder is None:
        return dict.fromkeys(start.tables, start.query)
    return {table: replace(start.query, since=since) for table, since in start.since.items()}


def _run_key(session: Session, request: ExportRequest) -> str:
    query = request.query  # with a relative time as it was typed, so that the same command resumes tomorrow too
    folder = request.since_folder.resolve() if request.since_folder else None
    parts = (
        sorted(request.tables),
        sorted(request.exclude),
        [query.format, query.mode, query.since, query.until],
        folder,
        *([request.flat] if request.flat else []),
    )
    return run_key(session.identity, session.scope, request.namespace, parts)
