"""The rate limiter: each request waits until its endpoint's budget allows it, across all tables and processes.

Requests to one endpoint are sent in the order in which they were made, resubmissions after first submissions. All
processes of one client record their requests in a file of the user's state folder. The file helps, but is not required:
if it cannot be read, written or locked, each process keeps to the budget separately.
"""

import asyncio
import hashlib
import heapq
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from dapkit.client.clock import Clock
from dapkit.locks import FileLock
from dapkit.protocol.budget import (
    Budget,
    RateLimit,
    RequestSlot,
    add_request,
    apply_rate_limit,
    complete_request,
    merge,
    next_request_time,
    remove_expired,
)
from dapkit.protocol.error_response import Endpoint

_LOG: Final = logging.getLogger(__name__)

# A wait is computed from requests that may still be in flight in other processes. Their responses come earlier than
# assumed, so the file is read again after this many seconds.
_REFRESH_INTERVAL: Final = 30.0

# A process holds the lock for a millisecond. One that was suspended with it may hold it for hours: after a second in
# all, continue without the file.
_LOCK_ATTEMPTS: Final = 100
_LOCK_PAUSE: Final = 0.01
_VERSION: Final = 1

_NOTICEABLE_WAIT: Final = 2.0
"""Seconds from which a wait for the rate limit is reported."""

WaitListener = Callable[[Endpoint, int], None]
"""Called when a request waits noticeably for the first time: with its endpoint, and the limit per minute."""

QueuePosition = tuple[bool, int]
"""A request's position in its endpoint's queue: whether it is a resubmission, then its number."""


class _FileContent(msgspec.Struct):
    version: int
    endpoints: dict[str, Budget]


class RateLimitFile:
    """The file in which all processes of one client record their requests of the last minutes.

    Its lock is held from reading until writing, so that no two processes take the same slot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    @classmethod
    def of_client(cls, state_folder: Path, base_url: str, client_id: str) -> "RateLimitFile":
        """Return the file of a client. Its name, a hash, reveals neither the service nor the client."""
        name = hashlib.sha256(f"{base_url}\n{client_id}".encode()).hexdigest()[:32]
        return cls(state_folder / "pace" / f"{name}.json")

    def acquire(self) -> bool:
        """Try once to lock the file. Raises OSError if there can be no such file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self._lock.acquire()

    def release(self) -> None:
        """Unlock the file."""
        self._lock.release()

    def read(self) -> dict[str, Budget]:
        """Return the recorded budgets; a missing or invalid file, or one of another version, counts as empty."""
        try:
            content = msgspec.json.decode(self.path.read_bytes(), type=_FileContent)
        except (OSError, msgspec.DecodeError, RecursionError):
            return {}
        return content.endpoints if content.version == _VERSION else {}

    def write(self, endpoints: Mapping[str, Budget]) -> None:
        """Replace the recorded budgets. Raises OSError."""
        new = self.path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(_FileContent(_VERSION, dict(endpoints))))
        new.replace(self.path)


@dataclass(slots=True)
class EndpointQueue:
    """The requests to one endpoint.

    Attributes:
        limit: requests per minute, None if unlimited.
        waiting: the positions of waiting requests, a heap.
        own: what this process has used.
        known: what all processes have used, as last read.
        changed: set, and then replaced, whenever a waiting request may have become ready.
    """

    endpoint: Endpoint
    limit: int | None
    waiting: list[QueuePosition] = field(default_factory=list)
    own: Budget = field(default_factory=Budget)
    known: Budget = field(default_factory=Budget)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self) -> None:
        """Wake all waiting requests, so that they check again."""
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(slots=True)
class Permit:
    """A request that may be sent now."""

    slot: RequestSlot
    pause: float | None = None

    def rate_limited(self, pause: float) -> None:
        """Note that the response was a 429, after which nothing may be sent for so many seconds."""
        self.pause = pause


class RateLimiter:
    """Lets each request wait for its permit.

    Args:
        rate_limit: the allowed rates.
        clock: the source of time.
        file: where all processes record their requests; None to share nothing.
        on_wait: called for each endpoint whose requests have to wait.
    """

    def __init__(
        self,
        rate_limit: RateLimit,
        clock: Clock,
        file: RateLimitFile | None = None,
        on_wait: WaitListener = lambda _endpoint, _limit: None,
    ) -> None:
        self._on_wait = on_wait
        self._waits: set[Endpoint] = set()
        self._clock = clock
        self._file = file
        self._process = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._queues = {each: EndpointQueue(each, rate_limit.requests_per_minute(each)) for each in Endpoint}

    def queue_position(self, *, resubmit: bool = False) -> QueuePosition:
        """Return a position in the queue, which a request keeps over all its attempts."""
        return (resubmit, next(self._numbers))

    @asynccontextmanager
    async def permit(self, endpoint: Endpoint, position: QueuePosition) -> AsyncIterator[Permit]:
        """Wait until the request may be sent. Leave the context when its response was received, or never will be."""
        queue = self._queues[endpoint]
        permit = Permit(await self._wait_for_slot(queue, position))
        try:
            yield permit
        finally:
            self._complete(queue, permit)

    async def _wait_for_slot(self, queue: EndpointQueue, position: QueuePosition) -> RequestSlot:
        heapq.heappush(queue.waiting, position)
        try:
            while True:
                ready_at = None
                # Only the first in the queue looks at the budget; the others wait for it to leave.
                if queue.waiting[0] == position:
                    outcome = await self._take_slot(queue, position)
                    if isinstance(outcome, RequestSlot):
                        return outcome
                    ready_at = outcome
                    self._report_wait(queue, ready_at)
                await self._wait_for_change(queue, ready_at)
        finally:
            queue.waiting.remove(position)
            heapq.heapify(queue.waiting)
            queue.notify()

    def _report_wait(self, queue: EndpointQueue, until: float) -> None:
        is_long = until - self._clock.now() >= _NOTICEABLE_WAIT
        if is_long and queue.limit is not None and queue.endpoint not in self._waits:
            self._waits.add(queue.endpoint)
            self._on_wait(queue.endpoint, queue.limit)

    async def _take_slot(self, queue: EndpointQueue, position: QueuePosition) -> RequestSlot | float:
        """Return the slot that was taken, or the time of the next try."""
        shared = queue.limit is not None and await self._lock_file()
        with self._released_file(shared=shared):
            now = self._clock.now()
            if queue.waiting[0] != position:
                return now  # a request with an earlier position arrived while we waited for the lock
            queue.known = self._used(queue, now, shared=shared)
            ready_at = next_request_time(queue.known, queue.limit, now)
            if ready_at > now:
                return min(ready_at, now + _REFRESH_INTERVAL) if self._file is not None else ready_at
            slot = RequestSlot(id=f"{self._process}-{next(self._numbers)}", sent_at=now)
            queue.own = add_request(queue.own, slot)
            queue.known = add_request(queue.known, slot)
            if shared:
                self._write(queue)
            return slot

    def _complete(self, queue: EndpointQueue, permit: Permit) -> None:
        """Record that the response was received. If another process has the file, the next permit writes it."""
        now = self._clock.now()
        shared = queue.limit is not None and self._try_lock_file()
        with self._released_file(shared=shared):
            if permit.pause is not None:
                used = self._used(queue, now, shared=shared)
                limited = apply_rate_limit(used, permit.slot, queue.limit, now, permit.pause)
                queue.own = replace(limited, slots=queue.own.slots)
            queue.own = complete_request(queue.own, permit.slot, queue.limit, now)
            queue.known = self._used(queue, now, shared=shared)
            if shared:
                self._write(queue)
        queue.notify()

    def _used(self, queue: EndpointQueue, now: float, *, shared: bool) -> Budget:
        """Return what all processes have used, as far as this one knows.

        Without a limit there is nothing to share: only our own requests in flight count.
        """
        queue.own = remove_expired(queue.own, now)
        if queue.limit is None:
            return queue.own
        others = queue.known
        if shared and self._file is not None:
            others = self._file.read().get(queue.endpoint.value, Budget())
        return remove_expired(merge((others, queue.own)), now)

    async def _wait_for_change(self, queue: EndpointQueue, until: float | None) -> None:
        """Wait until the queue changes, or until a time if one is given."""
        changed = queue.changed
        if until is None:
            await changed.wait()
            return
        waits = {
            asyncio.ensure_future(changed.wait()),
            asyncio.ensure_future(self._clock.sleep(until - self._clock.now())),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _lock_file(self) -> bool:
        for _ in range(_LOCK_ATTEMPTS):
            if self._try_lock_file():
                return True
            if self._file is None:
                return False
            await self._clock.sleep(_LOCK_PAUSE)
        return False

    def _try_lock_file(self) -> bool:
        try:
            return self._file is not None and self._file.acquire()
        except OSError as error:
            self._stop_sharing(error)
            return False

    @contextmanager
    def _released_file(self, *, shared: bool) -> Iterator[None]:
        """Release the file's lock at the end, if it is held."""
        try:
            yield
        finally:
            if shared and self._file is not None:
                self._file.release()

    def _write(self, queue: EndpointQueue) -> None:
        if self._file is None:
            return
        try:
            self._file.write({**self._file.read(), queue.endpoint.value: queue.known})
        except OSError as error:
            self._file.release()
            self._stop_sharing(error)

    def _stop_sharing(self, error: OSError) -> None:
        _LOG.debug("the rate limit is not shared with other processes: %s", error.strerror)
        self._file = None
