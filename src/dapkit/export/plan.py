"""PURE: what to do about each table, from what is wanted, what the journal says, and the time.

First the run: is there an interrupted or partly failed one to go on with, or does a new one begin? Then the tables:
which are kept as they are, and with what record does each of the others set out?
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dapkit.export.journal import RunState, TableProgress, TableResetEntry
from dapkit.model import SANDBOX_SERVICE, Job, JobStatus, Query, epoch_seconds
from dapkit.protocol.job import JobRecord
from dapkit.transfer.names import harmless

CONTINUE_WITHIN = 20 * 3600.0  # jobs and objects live 24 hours; the rest is for bringing them here
FRESH_FOR = 4 * 3600.0  # the service's data is refreshed every 4 hours


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRun:
    """Go on with the run in the journal, whose last line is `age` seconds old."""

    age: float
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Begin a new run; `leftovers` are the unfinished jobs of the earlier one, by table."""

    leftovers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseTable:
    """The table is whole already."""

    table: str
    job: Job
    record: JobRecord  # to set out with when its files turn out to be gone


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTable:
    """The table is to be brought, from this record on; `progress` holds the objects that are here already."""

    table: str
    record: JobRecord
    progress: TableProgress


Step = ReuseTable | DownloadTable


def run_key(service: str, scope: str | None, namespace: str, asked: Iterable[object]) -> str:
    """Return the name under which a run's journal and lock are kept; the same command gives the same name."""
    identity = json.dumps([service, scope, namespace, *asked], sort_keys=True, default=str)
    return f"{harmless(namespace, 40)}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def plan_run(state: RunState | None, now: float, *, anew: bool = False) -> ResumeRun | StartRun:
    """Decide whether the journal's run is continued.

    An interrupted run and a partly failed one are, while their last record is under 20 hours old and nobody wants to
    begin anew; a run that ended with every table whole is left alone.
    """
    if state is None:
        return StartRun(leftovers={})
    unfinished = not state.ended or any(progress.completed_at is None for progress in state.tables.values())
    if unfinished and not anew and 0 <= now - state.last < CONTINUE_WITHIN:
        return ResumeRun(age=now - state.last, state=state)
    tables = state.tables.items()
    return StartRun(leftovers={table: progress.abandoned for table, progress in tables if progress.abandoned})


def plan_tables(
    queries: Mapping[str, Query],
    state: RunState | None,
    now: float,
    *,
    retry_timeout: float,
    given_up: Mapping[str, tuple[str, ...]],
) -> tuple[Step, ...]:
    """Decide for each table whether it is kept or taken.

    Args:
        queries: what is asked of each table, in the order wanted.
        state: the run that is continued, or None for a new one.
        now: seconds since the epoch.
        retry_timeout: seconds for which a job that fails is asked for again.
        given_up: for a new run, the unfinished jobs of the one before it, by table.
    """
    steps: list[Step] = []
    for table, query in queries.items():
        progress = state.tables.get(table, TableProgress()) if state else TableProgress()
        lost = (*given_up.get(table, ()), *progress.given_up)
        record = JobRecord(table=table, query=query, retry_timeout=retry_timeout, abandoned_jobs=lost)
        if progress.completed_at is None or progress.job is None:
            steps.append(DownloadTable(table=table, record=_set_out(record, progress, now), progress=progress))
        else:
            steps.append(ReuseTable(table=table, job=progress.job, record=record))
    return tuple(steps)


def _set_out(record: JobRecord, progress: TableProgress, now: float) -> JobRecord:
    job = progress.job
    if job is None:
        return record
    if job.status is JobStatus.FAILED:
        return replace(record, failed_jobs=(job.id,))
    # A complete job is judged by what it has left now; one under way is due for a poll since it was last seen.
    seen_at = now if job.status is JobStatus.COMPLETE else progress.seen_at
    return replace(record, job=job, submitted_at=progress.seen_at, updated_at=seen_at)


def reopened(state: RunState, now: float, marks: Mapping[str, str]) -> tuple[TableResetEntry, ...]:
    """Return which tables are asked anew when a run that ended is continued.

    Those whose result is too old, and those that failed and can by now start from later than then: `marks` holds the
    latest starting points. The others that failed go on from where they were.
    """
    if not state.ended:
        return ()
    entries: list[TableResetEntry] = []
    for table, progress in state.tables.items():
        mark = marks.get(table)
        since = mark if mark != state.begun.since.get(table) else None
        if _stale(table, state, now) if progress.completed_at is not None else since is not None:
            entries.append(TableResetEntry(time=now, table=table, since=since))
    return tuple(entries)


def _stale(table: str, state: RunState, now: float) -> bool:
    """Whether a whole result is older than the service's newest data may be.

    An increment is so only where it began from an earlier result in a folder, and can go on from itself. A sandbox has
    a data clock of its own, so there the age is counted from when the table was whole.
    """
    progress = state.tables[table]
    assert progress.job is not None
    mark = progress.job.at
    if table in state.begun.since and state.begun.query.until is None:
        mark = progress.job.until
    if mark is None:
        return False
    taken = progress.completed_at or 0.0
    if state.begun.service != SANDBOX_SERVICE:
        try:
            taken = epoch_seconds(mark)
        except ValueError:
            return True
    return now - taken > FRESH_FOR
