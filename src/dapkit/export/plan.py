"""PURE: what to do about each table, from what is requested, what the journal says, and the time.

`plan_run` decides whether an interrupted or partially failed run is resumed or a new one starts. `plan_tables` decides
which tables are complete already, and where each of the others continues.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dapkit.export.journal import RunState, TableProgress, TableResetEntry
from dapkit.model import SANDBOX_SERVICE, Job, JobStatus, Query, epoch_seconds
from dapkit.protocol.job import JobRecord
from dapkit.storage.names import safe_name

RESUME_WITHIN = 20 * 3600.0  # jobs and objects exist for 24 hours; the rest is for downloading them
FRESH_FOR = 4 * 3600.0  # the service's data is refreshed every 4 hours


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRun:
    """Resume the run in the journal, whose last entry is `age` seconds old."""

    age: float
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Start a new run. `abandoned` are the incomplete jobs of the previous one, by table."""

    abandoned: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseTable:
    """The table is complete already. If its files turn out to be missing, start from `record`."""

    table: str
    job: Job
    record: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTable:
    """Download the table, starting from this record. `progress` contains the objects that are complete already."""

    table: str
    record: JobRecord
    progress: TableProgress


Step = ReuseTable | DownloadTable


def run_key(service: str, scope: str | None, namespace: str, request: Iterable[object]) -> str:
    """Return the name of a run's journal and lock. The same command gives the same name."""
    identity = json.dumps([service, scope, namespace, *request], sort_keys=True, default=str)
    return f"{safe_name(namespace, 40)}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def plan_run(state: RunState | None, now: float, *, new: bool = False) -> ResumeRun | StartRun:
    """Decide whether the journal's run is resumed.

    An interrupted or partially failed run is resumed, if its last entry is less than 20 hours old and no `new` run is
    requested. A run in which all tables were completed is not: the user wants current data.
    """
    if state is None:
        return StartRun(abandoned={})
    unfinished = not state.ended or any(progress.completed_at is None for progress in state.tables.values())
    # An entry from the future means that a clock was changed, so the age of the jobs is unknown.
    if unfinished and not new and 0 <= now - state.last_entry_at < RESUME_WITHIN:
        return ResumeRun(age=now - state.last_entry_at, state=state)
    tables = state.tables.items()
    return StartRun(abandoned={table: jobs for table, progress in tables if (jobs := progress.incomplete_jobs)})


def plan_tables(
    queries: Mapping[str, Query],
    state: RunState | None,
    now: float,
    *,
    retry_timeout: float,
    abandoned: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[Step, ...]:
    """Decide for each table whether it is reused or downloaded.

    Args:
        queries: what is requested of each table, in the order of the result.
        state: the run that is resumed, or None for a new one.
        now: seconds since the epoch.
        retry_timeout: for how many seconds a job that fails is submitted again.
        abandoned: for a new run, the incomplete jobs of the previous one, by table.
    """
    steps: list[Step] = []
    for table, query in queries.items():
        progress = state.tables.get(table, TableProgress()) if state else TableProgress()
        lost = (*abandoned.get(table, ()), *progress.abandoned)
        record = JobRecord(table=table, query=query, retry_timeout=retry_timeout, abandoned_jobs=lost)
        if progress.completed_at is None or progress.job is None:
            steps.append(DownloadTable(table=table, record=_resumed(record, progress, now), progress=progress))
        else:
            steps.append(ReuseTable(table=table, job=progress.job, record=record))
    return tuple(steps)


def _resumed(record: JobRecord, progress: TableProgress, now: float) -> JobRecord:
    job = progress.job
    if job is None:
        return record
    if job.status is JobStatus.FAILED:
        return replace(record, failed_jobs=(job.id,))
    # A complete job is judged by the lifetime that it has left now. One in progress is due for a poll, since it was
    # last seen long ago.
    seen_at = now if job.status is JobStatus.COMPLETE else progress.seen_at
    return replace(record, job=job, submitted_at=progress.seen_at, updated_at=seen_at)


def tables_to_reset(state: RunState, now: float, watermarks: Mapping[str, str]) -> tuple[TableResetEntry, ...]:
    """Return which tables are requested again when a run that had ended is resumed.

    These are complete tables that are too old, and failed ones that can start at a later time now: `watermarks`
    contains the latest start of each table. Other failed tables continue where they were.
    """
    if not state.ended:
        return ()
    entries: list[TableResetEntry] = []
    for table, progress in state.tables.items():
        watermark = watermarks.get(table)
        since = watermark if watermark != state.start.since.get(table) else None
        if _is_stale(table, state, now) if progress.completed_at is not None else since is not None:
            entries.append(TableResetEntry(time=now, table=table, since=since))
    return tuple(entries)


def _is_stale(table: str, state: RunState, now: float) -> bool:
    """Return whether the service may have newer data than a complete result.

    An increment can only be stale if it started at an earlier result in a folder, because only then a new one continues
    it. A sandbox has its own data clock, so its results age from the time of their completion.
    """
    progress = state.tables[table]
    assert progress.job is not None
    watermark = progress.job.at_text
    if table in state.start.since and state.start.query.until is None:
        watermark = progress.job.until_text
    if watermark is None:
        return False
    data_time = progress.completed_at or 0.0
    if state.start.service != SANDBOX_SERVICE:
        try:
            data_time = epoch_seconds(watermark)
        except ValueError:
            return True
    return now - data_time > FRESH_FOR
