"""One complete job, from its object ids to a folder with checked files and a manifest.

    job_<id>/<name as served>    each file, under its final name only when it is checked and flushed
    job_<id>/.<name>.part        a download in flight, or one that was cut and may be continued
    job_<id>/.manifest.json      written last: the folder is whole

A lock on each job keeps other runs from fetching the same one at the same time: they wait, then find it whole.
"""

from datetime import UTC, datetime

from dapkit import __version__
from dapkit.errors import IntegrityError, ManifestError, UnexpectedResponseError
from dapkit.events import Notice, ObjectCompleted, ObjectsListed
from dapkit.export.journal import ObjectCompletedEntry, TableProgress
from dapkit.model import Job, Query
from dapkit.storage.atomic import disk_errors, make_folder, sync_folder
from dapkit.transfer import manifest
from dapkit.transfer.context import Run, run_workers
from dapkit.transfer.integrity import Verification, verify_file
from dapkit.transfer.locking import holding, job_lock
from dapkit.transfer.manifest import Manifest, ManifestObject
from dapkit.transfer.names import distinct_name, job_folder, object_name
from dapkit.transfer.object_download import ObjectDownload, ObjectTask
from dapkit.transfer.signer import Signer


class JobDownload:
    """Brings one complete job into its folder; a second time it goes on from where the first one broke off."""

    def __init__(self, run: Run, table: str, query: Query, job: Job, progress: TableProgress) -> None:
        self._run = run
        self._table = table
        self._query = query
        self.job = job
        self._folder = run.output / job_folder(job.id)
        self._begun = progress.begun
        self._done = _recorded(progress)
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    async def deliver(self) -> tuple[Manifest, bool]:
        """Return the manifest when every object is whole, and whether an earlier run had brought them all.

        Raises:
            ExpiredError: the job or an object is gone; a new job is needed.
            DapError: the table, or the run, cannot go on.
        """
        make_folder(self._folder)
        async with holding(job_lock(self._run.output, self.job.id), self._run.clock, self._busy):
            earlier = await self._adopt()
            if earlier is not None:
                return earlier, True
            await self._fetch_missing()
            return await self._run.blocking(self._write_manifest), False

    def _busy(self, _holder: str) -> None:
        self._run.tell(Notice(message=f"{self._table}: another run is fetching this job; waiting."))

    async def _adopt(self) -> Manifest | None:
        """Take over what an earlier run delivered, when its manifest stands and its files prove themselves.

        Files that do not are forgotten here, and then fetched again.

        Raises:
            UnexpectedResponseError: what stands there is another table's, or the answer to another query.
        """
        try:
            earlier = manifest.read(self._folder)
        except ManifestError as error:
            self._run.tell(Notice(message=f"{self._table}: {error.message}; its files are proven anew."))
            earlier = None
        if earlier is None:
            self._done = {key: item for key, item in self._done.items() if self._on_disk(item)}
            return None
        other = manifest.difference(earlier, self._run.source, self._table, self.job)
        if other is not None:
            raise UnexpectedResponseError(f"The service gave a job that had another result before: {other}")
        self._done = {}
        await run_workers(earlier.objects, self._prove_again, self._run.worker_pool.concurrency)
        if set(self.job.objects) == set(self._done):
            return earlier
        with disk_errors(self._folder):
            (self._folder / manifest.NAME).unlink()
        return None

    def _on_disk(self, item: ManifestObject) -> bool:
        try:
            return (self._folder / item.name).stat().st_size == item.size
        except OSError:
            return False

    async def _prove_again(self, item: ManifestObject) -> None:
        """Count the file among those that are done, if it is what the manifest says. One that cannot be read is not."""
        if not self._on_disk(item):
            return
        try:
            verification = await self._run.blocking(verify_file, self._folder / item.name, self._query.format)
        except (IntegrityError, OSError):
            return
        if verification.sha256 == item.sha256:
            self._done[item.id] = item

    async def _fetch_missing(self) -> None:
        objects = dict.fromkeys(self.job.objects)
        self._done = {key: item for key, item in self._done.items() if key in objects}
        names = {key: begun.name for key, begun in self._begun.items() if key in objects}
        self._names = names | self._names | {key: item.name for key, item in self._done.items()}
        self._taken = {name.casefold() for name in self._names.values()}
        missing = [(index, key) for index, key in enumerate(objects) if key not in self._done]
        self._run.tell(ObjectsListed(table=self._table, objects=len(objects), complete=len(self._done)))
        signer = Signer(self._run, [key for _, key in missing])

        async def fetch(pool: tuple[int, str]) -> None:
            await self._fetch(*pool, signer)

        await run_workers(missing, fetch, min(self._run.worker_pool.concurrency, len(missing)))

    async def _fetch(self, index: int, object_id: str, signer: Signer) -> None:
        """Attempt until the object is whole. A pause between attempts leaves its place to others.

        So does a URL that the service lets us wait for; one that grows old in the queue is replaced in place.
        """
        run = self._run
        fetcher: ObjectDownload | None = None
        while True:
            await signer.url(object_id)
            async with run.worker_pool.downloads:
                while (quiet := run.store_backoff.until - run.clock.now()) > 0:
                    await run.clock.sleep(quiet)
                url = await signer.url(object_id)
                fetcher = fetcher or ObjectDownload(run, self._task(index, object_id, url))
                outcome = await fetcher.attempt(url)
            if isinstance(outcome, Verification):
                signer.done(object_id)
                self._keep(object_id, outcome)
                return
            if outcome.fresh_url:
                signer.spoilt(object_id)
            await run.clock.sleep(outcome.pause)

    def _task(self, index: int, object_id: str, url: str) -> ObjectTask:
        name = self._names.get(object_id)
        if name is None:
            suffix = f".{self._query.format}" + (".gz" if self._query.format.gzipped else "")
            name = distinct_name(object_name(url, index, suffix), index, self._taken)
            self._names[object_id] = name
            self._taken.add(name.casefold())
        return ObjectTask(
            table=self._table,
            job_id=self.job.id,
            object_id=object_id,
            format=self._query.format,
            final=self._folder / name,
            begun=self._begun.get(object_id),
        )

    def _keep(self, object_id: str, verification: Verification) -> None:
        name = self._names[object_id]
        entry = ObjectCompletedEntry(
            time=self._run.clock.now(),
            table=self._table,
            job_id=self.job.id,
            object_id=object_id,
            name=name,
            size=verification.size,
            sha256=verification.sha256,
            rows=verification.rows,
            verified_by=verification.verified_by,
        )
        self._done[object_id] = _item(entry)
        self._run.record(entry)
        self._run.tell(ObjectCompleted(table=self._table, name=name, size=verification.size, rows=verification.rows))

    def _write_manifest(self) -> Manifest:
        run, job, session = self._run, self.job, self._run.session
        items = tuple(self._done[key] for key in job.objects)
        rows = [item.rows for item in items if item.rows is not None]
        whole = Manifest(
            written_by=f"dapkit {__version__}",
            service=session.identity,
            sandbox=run.sandbox,
            scope=session.scope,
            namespace=run.namespace,
            table=self._table,
            format=self._query.format,
            mode=self._query.mode,
            job_id=job.id,
            schema_version=job.schema_version,
            at=job.at,
            since=job.since,
            until=job.until,
            rows=sum(rows) if len(rows) == len(items) else None,
            bytes=sum(item.size for item in items),
            objects=items,
            completed_at=datetime.fromtimestamp(run.clock.now(), UTC).isoformat(timespec="seconds"),
        )
        with disk_errors(self._folder):
            sync_folder(self._folder)
        manifest.write(self._folder, whole)
        return whole


def _recorded(progress: TableProgress) -> dict[str, ManifestObject]:
    return {key: _item(entry) for key, entry in progress.done.items()}


def _item(entry: ObjectCompletedEntry) -> ManifestObject:
    return ManifestObject(
        id=entry.object_id,
        name=entry.name,
        size=entry.size,
        sha256=entry.sha256,
        rows=entry.rows,
        verified_by=entry.verified_by,
    )
