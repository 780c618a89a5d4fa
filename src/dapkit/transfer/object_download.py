"""One object of a job, from its signed URL to a verified file.

An interrupted download is resumed where it stopped, after growing pauses, if the store confirms that the object is
still the same. The retry timeout starts again whenever more of the object arrives. A file that fails a check is
discarded and downloaded again, with a fresh URL. A wrong file never gets the final name.
"""

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dapkit.client.http import HttpStream
from dapkit.errors import (
    DapError,
    IntegrityError,
    NetworkError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from dapkit.events import BytesReceived, Listener, ObjectStarted, Retrying
from dapkit.model import Format
from dapkit.protocol.retry import (
    AttemptHistory,
    FailedAttempt,
    GiveUp,
    Retry,
    RetryPolicy,
    add_failure,
    classify,
    parse_http_date,
    parse_retry_after,
    retry_pause,
)
from dapkit.storage.base import Folder, PartialFile
from dapkit.transfer.integrity import Expected, ObjectCheck, Verification, expected_from_headers, verify_file
from dapkit.transfer.resources import DownloadResources
from dapkit.transfer.workers import wait_until_done

BATCH = 1 << 19  # bytes handed to a worker thread at once
SMALL = 1 << 18  # up to this many bytes, checking and writing costs less than handing them to a worker thread
MIN_RESUMABLE_SIZE = 1 << 20  # smaller objects are downloaded again by a later process rather than continued
MAX_UNANNOUNCED_SIZE = 64 << 30  # a body of unknown length is given up after this many bytes, in case it never ends
MAX_CORRUPT = 5  # times that one object may fail its checks
MAX_REJECTIONS = 8  # times that the store may reject a fresh URL of one object

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_STRONG_ETAG = re.compile(r'"[^"]*"')
_NO_FAILURES = AttemptHistory(service_responded=True, response_understood=True)  # the service signed the URL


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePoint:
    """What a later process needs in order to continue a download.

    Size and strong ETag tell whether the object is still the same. The checksums are those that were sent with the
    complete object: many stores send none with a part of it.
    """

    object_id: str
    name: str
    size: int
    etag: str
    checksums: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTask:
    """One object to download. `name` is the name of its file, `started` what an earlier process reported."""

    table: str
    job_id: str
    object_id: str
    format: Format
    name: str
    started: ResumePoint | None = None


class RejectedUrlError(ServerError):
    """The store does not accept the signed URL, most likely because it has expired."""


@dataclass(frozen=True, slots=True)
class RetryDownload:
    """Try again after a pause in seconds, with a fresh URL or the same one."""

    pause: float
    fresh_url: bool = False


@dataclass(slots=True)
class RetryState:
    """The failures of one object so far. Temporary errors follow the same rules as all other requests."""

    retry_policy: RetryPolicy
    history: AttemptHistory = _NO_FAILURES
    furthest: int = 0
    corrupt: int = 0
    rejected: int = 0

    def progress(self, total: int) -> None:
        """Note that this many bytes of the object have arrived.

        Only new bytes count. Otherwise a store that always breaks off at the same byte would be retried forever.
        """
        if total > self.furthest:
            self.furthest = total
            self.history = _NO_FAILURES
            self.rejected = 0

    def next(self, failure: FailedAttempt, seconds: float, jitter: float) -> RetryDownload | DapError:
        """Return when to try again after an attempt that took this many seconds, or the error if it is final.

        Args:
            failure: of the attempt.
            seconds: that the attempt took.
            jitter: a random number from 0 to 1 that spreads the pauses of many downloads.
        """
        self.history = add_failure(self.history, failure.error, seconds)
        match failure.error:
            case IntegrityError():
                # Damage on the way usually disappears with a new download, damage in the store does not. So a few
                # attempts, counted instead of timed, because every one costs a complete download.
                self.corrupt += 1
                pause = retry_pause(self.corrupt, self.retry_policy.seconds, jitter)
                return RetryDownload(pause, fresh_url=True) if self.corrupt < MAX_CORRUPT else failure.error
            case RejectedUrlError():
                self.rejected += 1
                return self._after_rejection(failure.error, jitter)
        match classify(failure, self.history, self.retry_policy, jitter):
            case Retry(pause):
                if not isinstance(failure.error, RateLimitedError):
                    self._add_pause(pause)
                return RetryDownload(pause)
            case GiveUp(error):
                return error
        return failure.error

    def _after_rejection(self, error: DapError, jitter: float) -> RetryDownload | DapError:
        """Request a fresh URL at once, because the first one has probably expired; then with growing pauses."""
        pause = 0.0 if self.rejected == 1 else retry_pause(self.rejected - 1, self.retry_policy.seconds, jitter)
        if self.rejected >= MAX_REJECTIONS or self.history.seconds + pause > self.retry_policy.seconds:
            return error
        self._add_pause(pause)
        return RetryDownload(pause, fresh_url=True)

    def _add_pause(self, pause: float) -> None:
        self.history = replace(self.history, seconds=self.history.seconds + pause)


class ObjectDownload:
    """Downloads one object, with as many attempts as necessary."""

    def __init__(
        self,
        resources: DownloadResources,
        task: ObjectTask,
        folder: Folder,
        on_event: Listener,
        on_start: Callable[[ResumePoint], None],
    ) -> None:
        self._resources = resources
        self._task = task
        self._folder = folder
        self._emit = on_event
        self._on_start = on_start
        self._part: PartialFile[Verification] = folder.partial(task.name)
        started = task.started
        self._etag = started.etag if started else ""
        self._size = started.size if started else 0
        self._checksums = started.checksums if started else {}
        self._inherited = True  # until an attempt starts at the first byte: a partial file is an earlier process's
        self._reserved = 0
        self._retry = RetryState(RetryPolicy(seconds=resources.retry_timeout))
        self._retry_after: float | None = None

    async def attempt(self, url: str) -> Verification | RetryDownload:
        """Try once. Return the verification of the complete file, or when to try again.

        Raises:
            DapError: the object cannot be downloaded; no file has its final name.
        """
        started_at, self._retry_after = self._resources.clock.now(), None
        try:
            return await self._attempt(url)
        except IntegrityError as error:
            self._resources.stats.refetched += await self._resources.worker_pool.run(self._part.discard)
            self._etag = ""
            return self._after_failure(error, started_at)
        except (NetworkError, RateLimitedError, ServerError) as error:
            return self._after_failure(error, started_at)

    def _after_failure(self, error: DapError, started_at: float) -> RetryDownload:
        now = self._resources.clock.now()
        failure = FailedAttempt(error=error, retry_after=self._retry_after)
        outcome = self._retry.next(failure, now - started_at, random.random())
        for each in (error, outcome):
            if isinstance(each, DapError):
                each.table, each.job_id = self._task.table, self._task.job_id
        if isinstance(outcome, DapError):
            raise outcome
        if isinstance(error, RateLimitedError) and self._retry_after is not None:
            # A 429 with a pause is meant for all requests to the store. Other errors concern this object only.
            self._resources.store_backoff.extend(now + outcome.pause)
        self._emit(Retrying(table=self._task.table, error=error, pause=outcome.pause))
        return outcome

    async def _attempt(self, url: str) -> Verification:
        resources, part = self._resources, self._part
        offset = self._resume_offset()
        # If-Range with the ETag: the store sends the rest only if the object has not changed, otherwise all of it.
        async with resources.session.open(url, offset=offset, etag=self._etag if offset else None) as stream:
            offset = self._body_offset(stream, offset)
            expected = expected_from_headers(stream.headers, stream.status)
            if offset == 0:
                # Before the new ETag is recorded. Otherwise, after a crash in between, bytes of the old object would
                # be taken for the beginning of the new one.
                resources.stats.refetched += part.discard()
                self._inherited = False
            expected = self._record_resume_point(stream.headers, expected, offset)
            if offset == 0 and self._file_exists(expected):
                verification = await resources.worker_pool.run(self._verify_existing, expected)
                if verification is not None:
                    return verification
            self._reserved = max((expected.length or 0) - offset, 0)
            resources.disk_space.reserve(self._reserved)
            try:
                # An inherited part was not flushed by the process that wrote it, so after a power loss it may contain
                # gaps. It is only used if a check covers every byte.
                part.start(ObjectCheck(self._task.format, expected, inherited=self._inherited), offset)
                return await self._receive(stream, offset)
            finally:
                resources.disk_space.release(self._reserved)

    def _resume_offset(self) -> int:
        """Return how many bytes of an earlier attempt to keep.

        Never all of them: a request for zero bytes is an error (416), and the response's headers are needed.
        """
        size = self._part.size()
        return min(size, self._size - 1) if self._etag and size else 0

    def _body_offset(self, stream: HttpStream, offset: int) -> int:
        """Return the position in the object at which the body begins.

        Raises:
            RejectedUrlError, ServerError, RateLimitedError: there is no usable body, but there may be one later.
            UnexpectedResponseError: there is no usable body.
        """
        status = stream.status
        if status == 200:  # the complete object, even if a part was requested
            return 0
        if status == 206 and offset:
            match = _CONTENT_RANGE.fullmatch(stream.headers.get("Content-Range", ""))
            same = stream.headers.get("ETag", self._etag) == self._etag
            if match and same and (int(match[1]), int(match[2])) == (offset, self._size):
                return offset
            self._etag = ""  # start again from the first byte
            raise ServerError("The store sent another range than the one requested")
        if status == 416:
            self._etag = ""
            raise ServerError("The store cannot continue the object (416)")
        if status in (400, 401, 403, 404, 410):
            raise RejectedUrlError(f"The store rejected a signed URL ({status})")
        date = parse_http_date(stream.headers.get("Date"))
        now = self._resources.clock.now() if date is None else date
        self._retry_after = parse_retry_after(stream.headers.get("Retry-After"), now)
        if status == 429:
            raise RateLimitedError("The store received too many requests (429)")
        if status in (408, 409, 425) or status >= 500:
            raise ServerError(f"The store responded with status {status}")
        raise UnexpectedResponseError(
            f"The store responded with status {status} instead of an object", table=self._task.table
        )

    def _record_resume_point(self, headers: Mapping[str, str], expected: Expected, offset: int) -> Expected:
        """Record what lets a later attempt continue, and report it if that is worthwhile for a later process.

        Returns what is expected of the object, including what the store said when it sent the beginning.
        """
        task, size = self._task, expected.length or 0
        etag = headers.get("ETag", "") if size and self._folder.resumable else ""
        if not _STRONG_ETAG.fullmatch(etag):
            etag = ""  # a weak ETag may stay the same although bytes differ
        if offset:
            expected = replace(expected, checksums={**expected.checksums, **self._checksums})
        if etag and size >= MIN_RESUMABLE_SIZE and (etag, size) != (self._etag, self._size):
            self._on_start(
                ResumePoint(
                    object_id=task.object_id, name=task.name, size=size, etag=etag, checksums=expected.checksums
                )
            )
        self._etag, self._size, self._checksums = etag, size, expected.checksums
        self._emit(ObjectStarted(table=task.table, name=task.name, size=expected.length))
        return expected

    def _file_exists(self, expected: Expected) -> bool:
        """Return whether a file of the announced length has the final name, although nothing is recorded about it."""
        try:
            return expected.length is not None and self._folder.size(self._task.name) == expected.length
        except OSError:
            return False

    def _verify_existing(self, expected: Expected) -> Verification | None:
        """Verify the file that has the final name already.

        Nothing tells whether it was flushed, so it is only used if a check covers every byte.
        """
        try:
            verification = verify_file(self._folder, self._task.name, self._task.format, expected)
        except (IntegrityError, OSError):
            return None
        return verification if verification.complete else None

    async def _receive(self, stream: HttpStream, offset: int) -> Verification:
        """Pass the body to the partial file in batches: one is checked and written while the next one arrives."""
        pool, part = self._resources.worker_pool, self._part
        batch: list[bytes] = []
        size, total = 0, offset
        writing: asyncio.Future[None] | None = None
        try:
            async for chunk in stream.chunks():
                batch.append(chunk)
                size += len(chunk)
                if size < BATCH:
                    continue
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(pool.run(part.write, batch))
                total += size
                self._count(size, total)
                batch, size = [], 0
            if writing is not None:
                await writing
            self._count(size, total + size)
            last, batch = batch, []
            if writing is not None or size > SMALL:
                return await pool.run(self._finish, last)
            return await self._finish_small(last)
        except BaseException as error:
            await self._stop(writing, [] if isinstance(error, IntegrityError) else batch)
            if isinstance(error, NetworkError):
                self._count(size, total + size)
            raise

    def _finish(self, chunks: Sequence[bytes]) -> Verification:
        """Verify, flush, rename: in this order, so that the final name only ever means a correct file on disk."""
        verification = self._part.verify(chunks)
        self._part.flush()
        self._commit()
        return verification

    async def _finish_small(self, chunks: Sequence[bytes]) -> Verification:
        """Do the same for a small object: checking and writing it here costs less than handing it to a thread.

        Only the flush waits for the disk, and must not hold up the other downloads.
        """
        verification = self._part.verify(chunks)
        await self._resources.worker_pool.run(self._part.flush)
        self._commit()
        return verification

    def _commit(self) -> None:
        if not self._folder.atomic_replace:
            self._folder.delete(self._task.name)
        self._part.commit()

    async def _stop(self, writing: asyncio.Future[None] | None, batch: Sequence[bytes]) -> None:
        """Wait for the worker thread, and keep what arrived before the connection was lost or the run was stopped.

        What cannot be continued later would only fill the disk, so it is deleted.
        """
        try:
            if writing is not None:
                await wait_until_done(writing)
        finally:
            if not self._etag:
                self._resources.stats.refetched += self._part.discard()
            elif writing is not None and (writing.cancelled() or writing.exception() is not None):
                self._part.close()
            else:
                self._part.suspend(batch)

    def _count(self, count: int, total: int) -> None:
        """Account for bytes that arrived; `total` is the position in the object after them."""
        resources = self._resources
        released = min(count, self._reserved)
        self._reserved -= released
        resources.disk_space.release(released)
        resources.stats.fetched += count
        self._retry.progress(total)
        self._emit(BytesReceived(table=self._task.table, count=count))
        if not self._size and total > MAX_UNANNOUNCED_SIZE:
            raise UnexpectedResponseError(f"An object of unknown length did not end after {total:,} bytes")
