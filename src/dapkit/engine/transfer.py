"""One complete job, from its object ids to a folder with checked files and a manifest.

    job_<id>/<name as served>    each file, under its final name only when it is checked and flushed
    job_<id>/.<name>.part        a download in flight, or one that was cut and may be continued
    job_<id>/.manifest.json      written last: the folder is whole

A lock on each job keeps other runs from fetching the same one at the same time: they wait, then find it whole.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime

from dapkit import __version__
from dapkit.engine import manifest
from dapkit.engine.durable import disk_errors, make_folder, sync_folder
from dapkit.engine.events import Notice, ObjectDone, ObjectsKnown
from dapkit.engine.fetch import Fetcher, ObjectTask
from dapkit.engine.integrity import Proof, prove
from dapkit.engine.journal import ObjectDone as ObjectDoneEntry
from dapkit.engine.journal import TableProgress
from dapkit.engine.locking import holding, job_lock
from dapkit.engine.manifest import Manifest, ManifestObject
from dapkit.engine.names import distinct_name, job_folder, object_name
from dapkit.engine.run import Run
from dapkit.engine.signer import Signer
from dapkit.errors import IntegrityError, ManifestError
from dapkit.model import Job, Query


class Transfer:
    """Brings one complete job into its folder."""

    def __init__(self, run: Run, table: str, query: Query, job: Job, progress: TableProgress) -> None:
        self._run = run
        self._table = table
        self._query = query
        self._job = job
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
        async with holding(job_lock(self._run.output, self._job.id), self._run.clock, self._busy):
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
        """
        try:
            earlier = manifest.read(self._folder)
        except ManifestError as error:
            self._run.tell(Notice(message=f"{self._table}: {error.message}; its files are proven anew."))
            earlier = None
        if earlier is None:
            self._done = {key: item for key, item in self._done.items() if self._on_disk(item)}
            return None
        proven = await asyncio.gather(*(self._still_right(item) for item in earlier.objects))
        self._done = {item.id: item for item, right in zip(earlier.objects, proven, strict=True) if right}
        if set(self._job.objects) == set(self._done):
            return earlier
        with disk_errors(self._folder):
            (self._folder / manifest.NAME).unlink()
        return None

    def _on_disk(self, item: ManifestObject) -> bool:
        try:
            return (self._folder / item.name).stat().st_size == item.size
        except OSError:
            return False

    async def _still_right(self, item: ManifestObject) -> bool:
        if not self._on_disk(item):
            return False
        try:
            proof = await self._run.blocking(prove, self._folder / item.name, self._query.format)
        except IntegrityError:
            return False
        return proof.sha256 == item.sha256

    async def _fetch_missing(self) -> None:
        objects = self._job.objects
        self._done = {key: item for key, item in self._done.items() if key in objects}
        self._names = {key: begun.name for key, begun in self._begun.items() if key in objects}
        self._names.update({key: item.name for key, item in self._done.items()})
        self._taken = {name.casefold() for name in self._names.values()}
        missing = deque((index, key) for index, key in enumerate(objects) if key not in self._done)
        self._run.tell(ObjectsKnown(table=self._table, objects=len(objects), whole=len(self._done)))
        signer = Signer(self._run, [key for _, key in missing])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._run.workshop.concurrency, len(missing))):
                    group.create_task(self._work(missing, signer))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self, missing: deque[tuple[int, str]], signer: Signer) -> None:
        while missing:
            index, object_id = missing.popleft()
            await self._fetch(index, object_id, signer)

    async def _fetch(self, index: int, object_id: str, signer: Signer) -> None:
        """Attempt until the object is whole. A pause between attempts leaves its place to others.

        So does a URL that the service lets us wait for; one that grows old in the queue is replaced in place.
        """
        run = self._run
        fetcher: Fetcher | None = None
        while True:
            await signer.url(object_id)
            async with run.workshop.downloads:
                while (quiet := run.silence.until - run.clock.now()) > 0:
                    await run.clock.sleep(quiet)
                url = await signer.url(object_id)
                fetcher = fetcher or Fetcher(run, self._task(index, object_id, url))
                outcome = await fetcher.attempt(url)
            if isinstance(outcome, Proof):
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
            job_id=self._job.id,
            object_id=object_id,
            format=self._query.format,
            final=self._folder / name,
            begun=self._begun.get(object_id),
        )

    def _keep(self, object_id: str, proof: Proof) -> None:
        name = self._names[object_id]
        entry = ObjectDoneEntry(
            time=self._run.clock.now(),
            table=self._table,
            job_id=self._job.id,
            object_id=object_id,
            name=name,
            size=proof.size,
            sha256=proof.sha256,
            rows=proof.rows,
            proven=proof.proven,
        )
        self._done[object_id] = _item(entry)
        self._run.record(entry)
        self._run.tell(ObjectDone(table=self._table, name=name, size=proof.size, rows=proof.rows))

    def _write_manifest(self) -> Manifest:
        run, job, session = self._run, self._job, self._run.session
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


def _item(entry: ObjectDoneEntry) -> ManifestObject:
    return ManifestObject(
        id=entry.object_id,
        name=entry.name,
        size=entry.size,
        sha256=entry.sha256,
        rows=entry.rows,
        proven=entry.proven,
    )
