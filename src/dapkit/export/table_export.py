"""One table, from the first request to a whole folder.

The loop is always the same: decide, act, note what came of it. All rules are in `protocol.job`; this is the part
that acts and records.
"""

import shutil
from pathlib import Path

from dapkit.errors import DapError, ExpiredError, JobFailedError, NotFoundError, TableNotFoundError, UnsafeNameError
from dapkit.events import Retrying, TablePhase, TablePhaseChanged
from dapkit.export.journal import JobAbandonedEntry, TableCompletedEntry, TableProgress, job_entry
from dapkit.locks import FileLock
from dapkit.model import Job, JobStatus
from dapkit.protocol.job import (
    Done,
    Download,
    Downloaded,
    Fail,
    JobNotFound,
    JobRecord,
    JobUpdated,
    Outcome,
    Poll,
    RequestFailed,
    Submit,
    Wait,
    apply,
    decide,
)
from dapkit.results import TableResult
from dapkit.transfer.context import Run
from dapkit.transfer.job_download import JobDownload
from dapkit.transfer.locking import job_lock
from dapkit.transfer.manifest import NAME, Manifest
from dapkit.transfer.names import job_folder


class TableExport:
    """Brings one table to disk."""

    def __init__(self, run: Run, record: JobRecord, progress: TableProgress) -> None:
        self._run = run
        self._record = record
        self._progress = progress
        self._transfer: JobDownload | None = None
        self._phase: TablePhase | None = None
        self._result: TableResult | None = None

    async def deliver(self) -> TableResult:
        """Return when the table is whole. Raises DapError when it, or the run, cannot go on."""
        clock = self._run.clock
        while True:
            match decide(self._record, clock.now()):
                case Wait(until):
                    await clock.sleep(max(until - clock.now(), 0.0))
                case Submit(resubmit):
                    self._moved(TablePhase.QUEUED)
                    self._fold(await self._submit(resubmit=resubmit))
                case Poll(job_id):
                    self._fold(await self._poll(job_id))
                case Download(job):
                    self._moved(TablePhase.DOWNLOADING)
                    self._fold(await self._fetch(job))
                case Fail(error):
                    error.table = error.table or self._record.table
                    raise error
                case Done():
                    assert self._result is not None
                    self._clear_given_up()
                    return self._result

    async def _submit(self, *, resubmit: bool) -> Outcome:
        run, record = self._run, self._record
        try:
            return JobUpdated(await run.session.submit(run.namespace, record.table, record.query, resubmit=resubmit))
        except TableNotFoundError as error:
            error.hint = await run.known.nearest(record.table)
            return RequestFailed(error)
        except DapError as error:
            return RequestFailed(error)

    async def _poll(self, job_id: str) -> Outcome:
        try:
            return JobUpdated(await self._run.session.poll(job_id))
        except NotFoundError:
            return JobNotFound()
        except DapError as error:
            return RequestFailed(error)

    async def _fetch(self, job: Job) -> Outcome:
        record, transfer = self._record, self._transfer
        if transfer is None or transfer.job.id != job.id:
            known = self._progress.job is not None and self._progress.job.id == job.id
            progress = self._progress if known else TableProgress()
            transfer = self._transfer = JobDownload(self._run, record.table, record.query, job, progress)
        try:
            self._run.hold(job.id, record.table)
            manifest, reused = await transfer.deliver()
        except ExpiredError:
            return JobNotFound()
        except DapError as error:
            return RequestFailed(error)
        self._result = table_result(manifest, self._run.output, reused=reused)
        self._run.record(TableCompletedEntry(time=self._run.clock.now(), table=record.table, job_id=job.id))
        return Downloaded()

    def _fold(self, outcome: Outcome) -> None:
        """Take the outcome into the record, and tell and write down what is new in it."""
        run, before, now = self._run, self._record, self._run.clock.now()
        after = self._record = apply(before, outcome, now)
        for lost in after.abandoned_jobs[len(before.abandoned_jobs) :]:
            run.record(JobAbandonedEntry(time=now, table=after.table, job_id=lost))
        if isinstance(outcome, JobNotFound) and after.error is None:
            gone_id = before.job.id if before.job else None
            gone = ExpiredError("The service does not know the job or its objects", table=after.table, job_id=gone_id)
            run.tell(Retrying(table=after.table, error=gone, pause=after.pause))
        if not isinstance(outcome, JobUpdated):
            return
        job = outcome.job
        if before.job is None or (before.job.id, before.job.status) != (job.id, job.status):
            run.record(job_entry(after.table, job, now))
        if job.status is JobStatus.FAILED:
            message = f"The service's job for table {after.table} failed"
            error = JobFailedError(message, table=after.table, job_id=job.id)
            run.tell(Retrying(table=after.table, error=error, pause=after.pause))
        elif not job.status.terminal:
            self._moved(TablePhase.RUNNING)

    def _moved(self, phase: TablePhase) -> None:
        if phase is not self._phase:
            self._phase = phase
            job_id = self._record.job.id if self._record.job else None
            self._run.tell(TablePhaseChanged(table=self._record.table, phase=phase, job_id=job_id))

    def _clear_given_up(self) -> None:
        """Remove what was fetched for jobs that were given up, now that their successor is whole."""
        job = self._record.job
        for lost in set(self._record.abandoned_jobs) - {job.id if job else ""}:
            try:
                folder = self._run.output / job_folder(lost)
            except UnsafeNameError:
                continue  # so it never had one
            if folder.is_dir() and not (folder / NAME).exists():
                _remove_unless_locked(folder, job_lock(self._run.output, lost))


def _remove_unless_locked(folder: Path, lock_path: Path) -> None:
    try:
        with FileLock(lock_path) as lock:
            if lock.acquire():
                shutil.rmtree(folder)
    except OSError:
        return  # left for a person to remove: nothing reads it, since it has no manifest


def table_result(manifest: Manifest, output: Path, *, reused: bool) -> TableResult:
    """Return what a manifest says of its table as a result."""
    return TableResult(
        table=manifest.table,
        job_id=manifest.job_id,
        folder=output / job_folder(manifest.job_id),
        files=len(manifest.objects),
        bytes=manifest.bytes,
        rows=manifest.rows,
        schema_version=manifest.schema_version,
        at=manifest.at,
        since=manifest.since,
        until=manifest.until,
        verified_by=manifest.verified_by,
        reused=reused,
    )
