"""One finished job, from the ids of its objects to a folder of verified files with a manifest.

    job_<id>/<name as served>    a complete file: verified, flushed, renamed
    job_<id>/.<name>.part        a download that is running, or was interrupted and can be continued
    job_<id>/.manifest.json      written last: the folder is complete

This module does not use the journal. What an earlier run recorded is passed in as `KnownObjects`; what should be
recorded is reported to `on_object`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dapkit import __version__
from dapkit.client.jobs import FinishedJob
from dapkit.client.session import Session
from dapkit.errors import IntegrityError, ManifestError, UnexpectedResponseError
from dapkit.events import Listener, Notice, ObjectCompleted, ObjectsListed
from dapkit.model import Mode, Query
from dapkit.storage.base import Folder
from dapkit.storage.local import LocalFolder
from dapkit.storage.names import distinct_name, job_folder_name, object_name
from dapkit.transfer import manifest
from dapkit.transfer.integrity import Verification, verify_file
from dapkit.transfer.locking import hold_lock
from dapkit.transfer.manifest import ExportSource, Manifest, ManifestObject
from dapkit.transfer.object_download import ObjectDownload, ObjectTask, ResumePoint
from dapkit.transfer.resources import DownloadResources
from dapkit.transfer.url_provider import UrlProvider
from dapkit.transfer.workers import run_workers

ObjectListener = Callable[[ResumePoint | ManifestObject], None]
"""Called when a download starts that a later process could continue, and when an object is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownObjects:
    """What earlier calls reported to `on_object` for the same job, by the id of the object."""

    started: Mapping[str, ResumePoint] = field(default_factory=dict)
    completed: Mapping[str, ManifestObject] = field(default_factory=dict)


NOTHING_KNOWN = KnownObjects()


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadedJob:
    """A complete folder. `reused`: everything had already been downloaded."""

    manifest: Manifest
    reused: bool


def job_folder(output: Path, job_id: str) -> LocalFolder:
    """Return the folder of a job in an output folder. Raises UnsafeNameError if the id cannot be part of a name."""
    name = job_folder_name(job_id)
    return LocalFolder(output / name, lock=output / ".dap" / "locks" / f"{name}.lock")


def export_source(session: Session, namespace: str, query: Query) -> ExportSource:
    """Return the source of the rows that a query returns in this session."""
    return ExportSource(
        service=session.identity,
        scope=session.scope,
        namespace=namespace,
        format=query.format,
        mode=query.mode or Mode.EXPANDED,
    )


async def download_job(
    resources: DownloadResources,
    finished: FinishedJob,
    folder: Folder,
    *,
    known: KnownObjects = NOTHING_KNOWN,
    on_event: Listener = lambda _: None,
    on_object: ObjectListener = lambda _: None,
) -> DownloadedJob:
    """Download a finished job into a folder and write the manifest. May be cancelled; the next call resumes.

    Args:
        resources: shared by all downloads of the caller.
        finished: the job, as `client.jobs` returns it.
        folder: where its files are written, for example `job_folder(output, finished.job.id)`.
        known: what earlier calls reported. Without it, files that exist are verified, and partial files are lost.
        on_event: progress for people.
        on_object: what the caller should record in order to resume later.

    Raises:
        ExpiredError: the service no longer knows the job or an object; submit the query again.
        DapError: the job, or any job, cannot be downloaded.
    """
    download = _JobDownload(
        resources=resources,
        finished=finished,
        folder=folder,
        emit=on_event,
        on_object=on_object,
        started=known.started,
        completed=dict(known.completed),
    )
    await resources.worker_pool.run(folder.create)
    if folder.lock is None:
        return await download.run()

    def on_busy(_holder: str) -> None:
        on_event(Notice(message=f"{finished.table}: another run is downloading this job. Waiting for it to finish."))

    # Two runs may need the same job. The second one waits, and then finds a complete folder.
    async with hold_lock(folder.lock, resources.clock, on_busy):
        return await download.run()


@dataclass(slots=True, kw_only=True)
class _JobDownload:
    """One call of `download_job`. `taken` are the casefolded names of its files."""

    resources: DownloadResources
    finished: FinishedJob
    folder: Folder
    emit: Listener
    on_object: ObjectListener
    started: Mapping[str, ResumePoint]
    completed: dict[str, ManifestObject]
    names: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    async def run(self) -> DownloadedJob:
        earlier = await self._reuse()
        if earlier is not None:
            return DownloadedJob(manifest=earlier, reused=True)
        await self._download_missing()
        complete = self._manifest()
        await self.resources.worker_pool.run(self._write_manifest, complete)
        return DownloadedJob(manifest=complete, reused=False)

    async def _reuse(self) -> Manifest | None:
        """Return the manifest of an earlier run if all its files are intact; otherwise keep the intact files.

        Raises:
            UnexpectedResponseError: the folder contains the result of another table or query.
        """
        try:
            earlier = manifest.read(self.folder)
        except ManifestError as error:
            self.emit(Notice(message=f"{self.finished.table}: {error.message}. Its files are verified again."))
            earlier = None
        if earlier is None:
            # The run was interrupted, and these files were verified and renamed in it. Their size tells whether they
            # are still there; reading all of them again would make resuming slow.
            self.completed = {key: item for key, item in self.completed.items() if manifest.has_file(self.folder, item)}
            return None
        source = export_source(self.resources.session, self.finished.namespace, self.finished.query)
        other = manifest.difference(earlier, source, self.finished.table, self.finished.job)
        if other is not None:
            raise UnexpectedResponseError(f"The service returned a job that had another result before: {other}")
        self.completed = {}
        await run_workers(earlier.objects, self._verify_again, self.resources.worker_pool.concurrency)
        if set(self.finished.job.objects) == set(self.completed):
            return earlier
        # A manifest promises complete files, so it must be deleted before the first file is replaced.
        self.folder.delete(manifest.NAME)
        return None

    async def _verify_again(self, item: ManifestObject) -> None:
        """Keep the file if it still matches the manifest. Otherwise, or if unreadable, it is downloaded again."""
        if not manifest.has_file(self.folder, item):
            return
        verify, query = self.resources.worker_pool.run, self.finished.query
        try:
            verification = await verify(verify_file, self.folder, item.name, query.format)
        except (IntegrityError, OSError):
            return
        if verification.sha256 == item.sha256:
            self.completed[item.id] = item

    async def _download_missing(self) -> None:
        objects = dict.fromkeys(self.finished.job.objects)
        self.completed = {key: item for key, item in self.completed.items() if key in objects}
        names = {key: started.name for key, started in self.started.items() if key in objects}
        self.names = names | {key: item.name for key, item in self.completed.items()}
        self.taken = {name.casefold() for name in self.names.values()}
        missing = [(index, key) for index, key in enumerate(objects) if key not in self.completed]
        self.emit(ObjectsListed(table=self.finished.table, objects=len(objects), complete=len(self.completed)))
        urls = UrlProvider(self.resources.session, [key for _, key in missing])

        async def download(item: tuple[int, str]) -> None:
            await self._download(*item, urls)

        await run_workers(missing, download, min(self.resources.worker_pool.concurrency, len(missing)))

    async def _download(self, index: int, object_id: str, urls: UrlProvider) -> None:
        """Try until the object is complete. Pauses, and waiting for a URL, leave the download slot to other objects."""
        resources, clock = self.resources, self.resources.clock
        download: ObjectDownload | None = None
        while True:
            await urls.url(object_id)
            async with resources.worker_pool.downloads:
                while (pause := resources.store_backoff.until - clock.now()) > 0:
                    await clock.sleep(pause)
                # Requested a second time: the URL may have become too old while the download waited for its turn.
                url = await urls.url(object_id)
                download = download or self._object_download(index, object_id, url)
                outcome = await download.attempt(url)
            if isinstance(outcome, Verification):
                urls.remove(object_id)
                self._complete(object_id, outcome)
                return
            if outcome.fresh_url:
                urls.invalidate(object_id)
            await clock.sleep(outcome.pause)

    def _object_download(self, index: int, object_id: str, url: str) -> ObjectDownload:
        query = self.finished.query
        name = self.names.get(object_id)
        if name is None:
            suffix = f".{query.format}" + (".gz" if query.format.gzipped else "")
            name = distinct_name(object_name(url, index, suffix), index, self.taken)
            self.names[object_id] = name
            self.taken.add(name.casefold())
        task = ObjectTask(
            table=self.finished.table,
            job_id=self.finished.job.id,
            object_id=object_id,
            format=query.format,
            name=name,
            started=self.started.get(object_id),
        )
        return ObjectDownload(self.resources, task, self.folder, self.emit, self.on_object)

    def _complete(self, object_id: str, verification: Verification) -> None:
        item = ManifestObject(
            id=object_id,
            name=self.names[object_id],
            size=verification.size,
            sha256=verification.sha256,
            rows=verification.rows,
            verified_by=verification.verified_by,
        )
        self.completed[object_id] = item
        self.on_object(item)
        self.emit(ObjectCompleted(table=self.finished.table, name=item.name, size=item.size, rows=item.rows))

    def _manifest(self) -> Manifest:
        finished, job, session = self.finished, self.finished.job, self.resources.session
        items = tuple(self.completed[key] for key in job.objects)
        rows = [item.rows for item in items if item.rows is not None]
        return Manifest(
            written_by=f"dapkit {__version__}",
            service=session.identity,
            sandbox=session.sandbox,
            scope=session.scope,
            namespace=finished.namespace,
            table=finished.table,
            format=finished.query.format,
            mode=finished.query.mode,
            job_id=job.id,
            schema_version=job.schema_version,
            at=job.at_text,
            since=job.since_text,
            until=job.until_text,
            rows=sum(rows) if len(rows) == len(items) else None,
            bytes=sum(item.size for item in items),
            objects=items,
            completed_at=datetime.fromtimestamp(self.resources.clock.now(), UTC).isoformat(timespec="seconds"),
        )

    def _write_manifest(self, complete: Manifest) -> None:
        # The names of the files must be on disk before the manifest. Otherwise a power loss could leave a manifest
        # next to files whose rename was lost. One flush for the folder is enough, instead of one for each file.
        self.folder.flush()
        manifest.write(self.folder, complete)
