"""One object of a job, from its signed URL to a checked file under its final name.

What breaks is tried again from where it stands (by Range, when the store proves that the object is the same), with
growing pauses; patience is counted from the last byte that came. What fails a check is discarded and fetched anew,
with a fresh URL. Nothing wrong ever bears the final name.
"""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dapkit.client.http import HttpStream
from dapkit.errors import (
    DapError,
    IntegrityError,
    NetworkError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from dapkit.events import BytesReceived, ObjectStarted, Retrying
from dapkit.export.journal import ObjectStartedEntry
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
from dapkit.storage.partial_file import PartialFile
from dapkit.transfer.context import Run, settled
from dapkit.transfer.integrity import Expected, Verification, expected_from_headers, verify_file

BATCH = 1 << 19  # bytes handed to a worker thread at once
SMALL = 1 << 18  # bytes that are sooner checked and written where they arrive than handed to a worker thread
WORTH_RESUMING = 1 << 20  # a smaller object is fetched anew rather than continued by a later process
MOST_UNANNOUNCED = 64 << 30  # a body of unknown length ends here, lest it never ends
MOST_CORRUPT = 5  # times that one object may fail its checks
MOST_REFUSALS = 8  # times that the store may refuse a fresh URL of one object

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_STRONG_ETAG = re.compile(r'"[^"]*"')
_UNTROUBLED = AttemptHistory(
    service_responded=True, response_understood=True
)  # the service did answer: it signed the URL


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTask:
    """One object to be fetched. `begun` is what an earlier process noted of it, `final` its place on disk."""

    table: str
    job_id: str
    object_id: str
    format: Format
    final: Path
    begun: ObjectStartedEntry | None = None


class RefusedUrlError(ServerError):
    """The store does not accept the signed URL: it has expired, most likely."""


@dataclass(frozen=True, slots=True)
class RetryDownload:
    """Try again after a pause in seconds, with a fresh URL or the same."""

    pause: float
    fresh_url: bool = False


@dataclass(slots=True)
class RetryState:
    """What one object went through: what may pass is judged as it is for every other request."""

    retry_timeout: RetryPolicy
    trail: AttemptHistory = _UNTROUBLED
    furthest: int = 0
    corrupt: int = 0
    refused: int = 0

    def reached(self, total: int) -> None:
        """So many bytes of the object came; when it was never further, patience and pauses begin anew."""
        if total > self.furthest:
            self.furthest = total
            self.trail = _UNTROUBLED
            self.refused = 0

    def next(self, failure: FailedAttempt, seconds: float, chance: float) -> RetryDownload | DapError:
        """Return when to try again after an attempt of so many seconds, or the error that is final."""
        self.trail = add_failure(self.trail, failure.error, seconds)
        match failure.error:
            case IntegrityError():
                self.corrupt += 1
                pause = retry_pause(self.corrupt, self.retry_timeout.seconds, chance)
                return RetryDownload(pause, fresh_url=True) if self.corrupt < MOST_CORRUPT else failure.error
            case RefusedUrlError():
                self.refused += 1
                return self._refused(failure.error, chance)
        match classify(failure, self.trail, self.retry_timeout, chance):
            case Retry(pause):
                if not isinstance(failure.error, RateLimitedError):
                    self._spend(pause)
                return RetryDownload(pause)
            case GiveUp(error):
                return error
        return failure.error

    def _refused(self, error: DapError, chance: float) -> RetryDownload | DapError:
        """Ask for a fresh URL at once, for the first had expired most likely; then with growing pauses."""
        pause = 0.0 if self.refused == 1 else retry_pause(self.refused - 1, self.retry_timeout.seconds, chance)
        if self.refused >= MOST_REFUSALS or self.trail.seconds + pause > self.retry_timeout.seconds:
            return error
        self._spend(pause)
        return RetryDownload(pause, fresh_url=True)

    def _spend(self, pause: float) -> None:
        self.trail = replace(self.trail, seconds=self.trail.seconds + pause)


class ObjectDownload:
    """Fetches one object with as many attempts as it takes."""

    def __init__(self, run: Run, task: ObjectTask) -> None:
        self._run = run
        self._task = task
        self._part = PartialFile(task.final, task.format)
        self._etag = task.begun.etag if task.begun else ""
        self._size = task.begun.size if task.begun else 0
        self._checksums = task.begun.checksums if task.begun else {}
        self._promised = 0
        self._trouble = RetryState(RetryPolicy(seconds=run.retry_timeout))
        self._demand: float | None = None

    async def attempt(self, url: str) -> Verification | RetryDownload:
        """Try once; return the proof, or when to try again.

        Raises:
            DapError: the object cannot be had; its file does not exist under the final name.
        """
        began, self._demand = self._run.clock.now(), None
        try:
            return await self._attempt(url)
        except IntegrityError as error:
            self._run.stats.refetched += await self._run.blocking(self._part.discard)
            self._etag = ""
            return self._again(error, began)
        except (NetworkError, RateLimitedError, ServerError) as error:
            return self._again(error, began)

    def _again(self, error: DapError, began: float) -> RetryDownload:
        run, now = self._run, self._run.clock.now()
        failure = FailedAttempt(error=error, retry_after=self._demand)
        error.table = self._task.table
        error.job_id = self._task.job_id
        again = self._trouble.next(failure, now - began, random.random())
        if isinstance(again, DapError):
            again.table, again.job_id = error.table, error.job_id
            raise again
        if isinstance(error, RateLimitedError) and self._demand is not None:
            run.store_backoff.demand(now + again.pause)
        run.tell(Retrying(table=self._task.table, error=error, pause=again.pause))
        return again

    async def _attempt(self, url: str) -> Verification:
        run = self._run
        offset = self._offset()
        async with run.session.open(url, offset=offset, etag=self._etag if offset else None) as stream:
            offset = self._accept(stream, offset)
            expected = expected_from_headers(stream.headers, stream.status)
            if offset == 0:
                # Before anything is noted: bytes of another attempt must never pass for bytes of this one.
                run.stats.refetched += self._part.discard()
            expected = self._note(stream.headers, expected, offset)
            if offset == 0 and self._stands(expected):
                present = await run.blocking(self._present, expected)
                if present is not None:
                    return present
            self._promised = max((expected.length or 0) - offset, 0)
            run.space.reserve(self._promised)
            try:
                self._part.begin(expected, offset)
                return await self._pour(stream, offset)
            finally:
                run.space.release(self._promised)

    def _offset(self) -> int:
        """How many bytes of an earlier attempt can be built on: never all, so that the store is heard once more."""
        have = self._part.size()
        return min(have, self._size - 1) if self._etag and have else 0

    def _accept(self, stream: HttpStream, offset: int) -> int:
        """Return the offset at which the body begins.

        Raises:
            RefusedUrlError, ServerError, RateLimitedError: there is none, but may be another time.
            UnexpectedResponseError: there is none.
        """
        status = stream.status
        if status == 200:
            return 0
        if status == 206 and offset:
            match = _CONTENT_RANGE.fullmatch(stream.headers.get("Content-Range", ""))
            same = stream.headers.get("ETag", self._etag) == self._etag
            if match and same and (int(match[1]), int(match[2])) == (offset, self._size):
                return offset
            self._etag = ""
            raise ServerError("The store answered with another range than the one asked for")
        if status == 416:
            self._etag = ""
            raise ServerError("The store cannot continue the object (416)")
        if status in (400, 401, 403, 404, 410):
            raise RefusedUrlError(f"The store refused a signed URL ({status})")
        date = parse_http_date(stream.headers.get("Date"))
        self._demand = parse_retry_after(
            stream.headers.get("Retry-After"), self._run.clock.now() if date is None else date
        )
        if status == 429:
            raise RateLimitedError("The store was asked too often (429)")
        if status in (408, 409, 425) or status >= 500:
            raise ServerError(f"The store answered {status}")
        raise UnexpectedResponseError(f"The store answered {status} instead of an object", table=self._task.table)

    def _note(self, headers: Mapping[str, str], expected: Expected, offset: int) -> Expected:
        """Remember, here and in the journal, what lets a later attempt continue this download.

        Returns what is expected of the object, with what the store said of it when it gave the beginning.
        """
        size = expected.length or 0
        etag = headers.get("ETag", "") if size else ""
        if not _STRONG_ETAG.fullmatch(etag):
            etag = ""
        if offset:
            expected = replace(expected, checksums={**expected.checksums, **self._checksums})
        if etag and size >= WORTH_RESUMING and (etag, size) != (self._etag, self._size):
            task = self._task
            self._run.record(
                ObjectStartedEntry(
                    time=self._run.clock.now(),
                    table=task.table,
                    job_id=task.job_id,
                    object_id=task.object_id,
                    name=task.final.name,
                    size=size,
                    etag=etag,
                    checksums=expected.checksums,
                )
            )
        self._etag, self._size, self._checksums = etag, size, expected.checksums
        self._run.tell(ObjectStarted(table=self._task.table, name=self._task.final.name, size=expected.length))
        return expected

    def _stands(self, expected: Expected) -> bool:
        """Whether a file of the announced length stands under the final name, without a record of ours."""
        final = self._task.final
        try:
            return expected.length is not None and final.stat().st_size == expected.length and final.is_file()
        except OSError:
            return False

    def _present(self, expected: Expected) -> Verification | None:
        """Prove the file that stands under the final name against what the store says of the object.

        We did not note to have flushed it, so it may have holes: it is good only where such would have been found.
        """
        try:
            verification = verify_file(self._task.final, self._task.format, expected)
        except (IntegrityError, OSError):
            return None
        return verification if verification.complete else None

    async def _pour(self, stream: HttpStream, offset: int) -> Verification:
        """Hand the body to the part file in batches, the next arriving while the last is checked and written."""
        run, part = self._run, self._part
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
                writing = asyncio.ensure_future(run.blocking(part.write, batch))
                total += size
                self._came(size, total)
                batch, size = [], 0
            if writing is not None:
                await writing
            self._came(size, total + size)
            last, batch = batch, []
            if writing is not None or size > SMALL:
                return await run.blocking(part.finish, last)
            return await self._finish_here(last)
        except BaseException as error:
            await self._stop(writing, [] if isinstance(error, IntegrityError) else batch)
            if isinstance(error, NetworkError):
                self._came(size, total + size)
            raise

    async def _finish_here(self, chunks: Sequence[bytes]) -> Verification:
        """Finish a small object on the spot; only the flush waits for the disk, and so does not hold up the rest."""
        verification = self._part.verify_file(chunks)
        await self._run.blocking(self._part.flush)
        self._part.place()
        return verification

    async def _stop(self, writing: asyncio.Future[None] | None, batch: Sequence[bytes]) -> None:
        """Let the worker thread end, and save what came before the connection was lost or the run was stopped.

        What the store gives no means to continue would only fill the disk: it goes.
        """
        try:
            if writing is not None:
                await settled(writing)
        finally:
            if not self._etag:
                self._run.stats.refetched += self._part.discard()
            elif writing is not None and (writing.cancelled() or writing.exception() is not None):
                self._part.close()
            else:
                self._part.pause(batch)

    def _came(self, count: int, total: int) -> None:
        run = self._run
        written = min(count, self._promised)
        self._promised -= written
        run.space.release(written)
        run.stats.fetched += count
        self._trouble.reached(total)
        run.tell(BytesReceived(table=self._task.table, count=count))
        if not self._size and total > MOST_UNANNOUNCED:
            raise UnexpectedResponseError(f"An object of unknown length did not end after {total:,} bytes")
