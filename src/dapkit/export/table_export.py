"""One table, from the first request to a complete folder, recorded in the journal.

`client.jobs` gets the job, `transfer` downloads it. This module connects the two, and turns what they report into
journal entries and events.
"""

import shutil
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path

from dapkit.client.jobs import FinishedJob, finished_job, wait_for_job
from dapkit.errors import (
    DapError,
    ExpiredError,
    JobFailedError,
    TableNotFoundError,
    UnexpectedResponseError,
    UnsafeNameError,
)
from dapkit.events import Listener, Notice, Retrying, TablePhase, TablePhaseChanged
from dapkit.export.flat_table import FlatTable, Flattening, remove_raw, state_of_job
from dapkit.export.journal import (
    JobAbandonedEntry,
    Journal,
    TableCompletedEntry,
    TableProgress,
    job_entry,
    object_entry,
)
from dapkit.export.schemas import schema_of_job
from dapkit.export.selection import KnownTables
from dapkit.locks import FileLock
from dapkit.model import JobStatus, VersionedSchema, optional_utc_time
from dapkit.protocol.job import Downloaded, JobNotFound, JobRecord, JobUpdated, Outcome, RequestFailed, apply
from dapkit.results import TableResult
from dapkit.storage.local import LocalFolder
from dapkit.transfer.job_download import KnownObjects, download_job, job_folder
from dapkit.transfer.locking import hold_lock
from dapkit.transfer.manifest import NAME, Manifest, ManifestObject
from dapkit.transfer.object_download import ResumePoint
from dapkit.transfer.resources import DownloadResources


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportContext:
    """What the tables of one run share. `job_owners` is the table of each job id.

    `output` is where the raw files go. With `flattening`, each table becomes a flat file.
    """

    resources: DownloadResources
    namespace: str
    output: Path
    journal: Journal
    emit: Listener
    known_tables: KnownTables
    flattening: Flattening | None = None
    job_owners: dict[str, str] = field(default_factory=dict)

    def claim_job(self, job_id: str, table: str) -> None:
        """Note that a job belongs to a table. Raises UnexpectedResponseError if it belongs to another one already.

        Otherwise a service that confuses its jobs could make one table's rows pass for another's.
        """
        owner = self.job_owners.setdefault(job_id, table)
        if owner != table:
            raise UnexpectedResponseError(f"The service returned job {job_id} of table {owner} for table {table} too")


class TableExport:
    """Exports one table."""

    def __init__(self, context: ExportContext, record: JobRecord, progress: TableProgress) -> None:
        self._context = context
        self._record = record
        self._progress = progress
        self._phase: TablePhase | None = None

    async def run(self) -> TableResult:
        """Return when the table is complete. Raises DapError if the table, or the run, cannot continue."""
        context = self._context
        while True:
            try:
                self._record = await wait_for_job(
                    context.resources.session,
                    context.namespace,
                    self._record,
                    on_submit=lambda: self._set_phase(TablePhase.QUEUED),
                    on_outcome=self._on_outcome,
                )
            except TableNotFoundError as error:
                error.hint = await context.known_tables.nearest(self._record.table)
                raise
            self._set_phase(TablePhase.DOWNLOADING)
            result: TableResult | None = None
            outcome: Outcome
            try:
                result = await self._download()
                outcome = Downloaded()
            except ExpiredError:
                outcome = JobNotFound()
            except DapError as error:
                outcome = RequestFailed(error)
            after = apply(self._record, outcome, context.resources.clock.now())
            self._on_outcome(self._record, outcome, after)
            if result is not None:
                self._delete_abandoned()
                return result

    async def _download(self) -> TableResult:
        context = self._context
        finished = finished_job(context.namespace, self._record)
        job, table = finished.job, finished.table
        context.claim_job(job.id, table)
        if context.flattening is None:
            return await self._download_raw(finished, None)
        # Two runs may want the same flat file: the second one waits, since the first removes the raw files at the end.
        async with hold_lock(context.flattening.lock(context.namespace, table), context.resources.clock, self._on_busy):
            return await self._download_flat(finished, context.flattening)

    def _on_busy(self, _holder: str) -> None:
        message = f"{self._record.table}: another run is writing its flat table. Waiting for it to finish."
        self._context.emit(Notice(message=message))

    async def _download_flat(self, finished: FinishedJob, flattening: Flattening) -> TableResult:
        context, job, table = self._context, finished.job, finished.table
        session = context.resources.session
        state = state_of_job(session, flattening.options, context.namespace, finished)
        existing = flattening.existing(state)
        if existing is not None:
            await self._remove_raw(flattening, job.id)  # a run that was killed may have left them
            context.journal.append(TableCompletedEntry(time=context.resources.clock.now(), table=table, job_id=job.id))
            return existing
        folder = job_folder(context.output, job.id).path

        def schema() -> Awaitable[VersionedSchema]:
            return schema_of_job(session, context.namespace, table, job.schema_version)

        flat = FlatTable(flattening, state, schema, folder, job.objects)
        try:
            return await self._download_raw(finished, flat)
        finally:
            await flat.cancel()

    async def _remove_raw(self, flattening: Flattening, job_id: str) -> None:
        """Delete the raw files of a job whose flat file is complete, unless they are to be kept."""
        if not flattening.options.keep_raw:
            folder = job_folder(self._context.output, job_id).path
            await self._context.resources.worker_pool.run(remove_raw, folder)

    async def _download_raw(self, finished: FinishedJob, flat: FlatTable | None) -> TableResult:
        context, job, table = self._context, finished.job, finished.table
        if self._progress.job is None or self._progress.job.id != job.id:
            self._progress = TableProgress(job=job)
        progress = self._progress

        def on_object(item: ResumePoint | ManifestObject) -> None:
            # Kept here, too: the service may forget a job for a moment, and the next attempt continues from here.
            if isinstance(item, ManifestObject):
                progress.completed[item.id] = item
                if flat is not None:
                    flat.add(item)
            else:
                progress.started[item.object_id] = item
            context.journal.append(object_entry(table, job.id, item, context.resources.clock.now()))

        downloaded = await download_job(
            context.resources,
            finished,
            job_folder(context.output, job.id),
            known=KnownObjects(started=progress.started, completed=progress.completed),
            on_event=context.emit,
            on_object=on_object,
        )
        result = table_result(downloaded.manifest, context.output, reused=downloaded.reused)
        if flat is not None:
            result = await flat.finish(downloaded.manifest)
            # Before the journal says that the table is complete: the next run then knows what is left to do.
            assert context.flattening is not None
            await self._remove_raw(context.flattening, job.id)
        # After the manifest: a crash in between only costs a verification of the files.
        context.journal.append(TableCompletedEntry(time=context.resources.clock.now(), table=table, job_id=job.id))
        return result

    def _on_outcome(self, before: JobRecord, outcome: Outcome, after: JobRecord) -> None:
        """Record and report what a request or a download changed."""
        self._record = after
        context, now = self._context, self._context.resources.clock.now()
        for job_id in after.abandoned_jobs[len(before.abandoned_jobs) :]:
            context.journal.append(JobAbandonedEntry(time=now, table=after.table, job_id=job_id))
        if isinstance(outcome, JobNotFound) and after.error is None:
            expired_id = before.job.id if before.job else None
            message = "The service no longer knows the job or its objects"
            error = ExpiredError(message, table=after.table, job_id=expired_id)
            context.emit(Retrying(table=after.table, error=error, pause=after.pause))
        if not isinstance(outcome, JobUpdated):
            return
        job = outcome.job
        if before.job is None or (before.job.id, before.job.status) != (job.id, job.status):
            context.journal.append(job_entry(after.table, job, now))
        if job.status is JobStatus.FAILED:
            message = f"The service's job for table {after.table} failed"
            failure = JobFailedError(message, table=after.table, job_id=job.id)
            context.emit(Retrying(table=after.table, error=failure, pause=after.pause))
        elif not job.status.terminal:
            self._set_phase(TablePhase.RUNNING)

    def _set_phase(self, phase: TablePhase) -> None:
        if phase is not self._phase:
            self._phase = phase
            job_id = self._record.job.id if self._record.job else None
            self._context.emit(TablePhaseChanged(table=self._record.table, phase=phase, job_id=job_id))

    def _delete_abandoned(self) -> None:
        """Delete the files of jobs that were given up, now that their successor is complete."""
        job = self._record.job
        for job_id in set(self._record.abandoned_jobs) - {job.id if job else ""}:
            try:
                folder = job_folder(self._context.output, job_id)
            except UnsafeNameError:
                continue  # it never had a folder
            flattening = self._context.flattening
            is_result = flattening is None or flattening.options.keep_raw
            if folder.path.is_dir() and not (is_result and (folder.path / NAME).exists()):
                _delete_unless_locked(folder)


def _delete_unless_locked(folder: LocalFolder) -> None:
    assert folder.lock is not None
    try:
        # Another run may be downloading this very job: then the folder is not ours to delete.
        with FileLock(folder.lock) as lock:
            if lock.acquire():
                shutil.rmtree(folder.path)
    except OSError:
        return  # nothing reads the folder, since it has no manifest


def table_result(manifest: Manifest, output: Path, *, reused: bool) -> TableResult:
    """Return what a manifest says about its table as a result."""
    folder = job_folder(output, manifest.job_id).path
    assert manifest.watermark is not None, "a complete job has a watermark"
    return TableResult(
        table=manifest.table,
        job_id=manifest.job_id,
        folder=folder,
        files=tuple(folder / item.name for item in manifest.objects),
        bytes=manifest.bytes,
        rows=manifest.rows,
        schema_version=manifest.schema_version,
        watermark=manifest.watermark,
        at=optional_utc_time(manifest.at),
        since=optional_utc_time(manifest.since),
        until=optional_utc_time(manifest.until),
        verified_by=manifest.verified_by,
        reused=reused,
    )
