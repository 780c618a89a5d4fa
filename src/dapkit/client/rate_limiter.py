"""The limiter: lets each request go when its endpoint's budget allows, over all tables and all our processes.

Requests of one endpoint go in the order in which they came, with repeated submissions behind first ones. What
the processes of one client have spent lies in a file of the user's state folder, held for the moment of
reading and writing it. The file is a help, not a condition: when it cannot be read, written or locked, each
process keeps to the budget by itself.
"""

import asyncio
import hashlib
import heapq
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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
    answered,
    merged,
    narrowed,
    next_free,
    pruned,
    taken,
)
from dapkit.protocol.error_response import Endpoint

_LOG: Final = logging.getLogger(__name__)
_LOOK_AGAIN: Final = 30.0
"""Seconds after which the shared file is read again, since other processes may have had their answers."""

_LOCK_TRIES: Final = 100
_LOCK_PAUSE: Final = 0.01
_VERSION: Final = 1

Order = tuple[bool, int]
"""The place of a request in its lane: first submissions before repeated ones, then as they came."""


class _Ledger(msgspec.Struct):
    """What the file holds."""

    version: int
    lanes: dict[str, Budget]


class RateLimitFile:
    """The file in which all processes of one client write down their requests of the last minute."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    @classmethod
    def of_client(cls, state_folder: Path, base_url: str, client_id: str) -> "RateLimitFile":
        """Return the file of a client; its name tells nothing of either."""
        name = hashlib.sha256(f"{base_url}\n{client_id}".encode()).hexdigest()[:32]
        return cls(state_folder / "pace" / f"{name}.json")

    def acquire(self) -> bool:
        """Try once to get hold of the file. Raises OSError when there can be none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self._lock.acquire()

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()

    def read(self) -> dict[str, Budget]:
        """Return what is written; a file that is absent, torn or of another version counts as empty."""
        try:
            ledger = msgspec.json.decode(self.path.read_bytes(), type=_Ledger)
        except (OSError, msgspec.DecodeError, RecursionError):
            return {}
        return ledger.lanes if ledger.version == _VERSION else {}

    def write(self, lanes: Mapping[str, Budget]) -> None:
        """Replace what is written. Raises OSError."""
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(_Ledger(_VERSION, dict(lanes))))
        fresh.replace(self.path)


@dataclass(slots=True)
class EndpointQueue:
    """One endpoint: who waits, and what this process has spent."""

    limit: int | None
    waiting: list[Order] = field(default_factory=list)
    mine: Budget = field(default_factory=Budget)
    seen: Budget = field(default_factory=Budget)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def stir(self) -> None:
        """Let everybody who waits look again."""
        self.changed.set()
        self.changed = asyncio.Event()


class Permit:
    """A request that may go now, and what its answer said of the pace."""

    def __init__(self, slot: RequestSlot) -> None:
        self.slot = slot
        self.demanded: float | None = None

    def refused(self, pause: float) -> None:
        """Note that the answer was a 429 after which nothing may be sent for so many seconds."""
        self.demanded = pause


class RateLimiter:
    """Gives each request its turn.

    Args:
        pace: how fast.
        clock: the time.
        file: where the requests of all processes are written down; None for a pace that is not shared.
    """

    def __init__(self, pace: RateLimit, clock: Clock, file: RateLimitFile | None = None) -> None:
        self._clock = clock
        self._file = file
        self._name = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._lanes = {endpoint: EndpointQueue(pace.limit(endpoint)) for endpoint in Endpoint}

    def order(self, *, again: bool = False) -> Order:
        """Return a place in the lane: a request keeps the same one over all its attempts."""
        return (again, next(self._numbers))

    @asynccontextmanager
    async def turn(self, endpoint: Endpoint, order: Order) -> AsyncIterator[Permit]:
        """Wait until the request may go; leaving the context means that its answer came, or never will."""
        lane = self._lanes[endpoint]
        turn = Permit(await self._take(endpoint, lane, order))
        try:
            yield turn
        finally:
            self._settle(endpoint, lane, turn)

    async def _take(self, endpoint: Endpoint, lane: EndpointQueue, order: Order) -> RequestSlot:
        heapq.heappush(lane.waiting, order)
        try:
            while True:
                free = None
                if lane.waiting[0] == order:
                    outcome = await self._try(endpoint, lane, order)
                    if isinstance(outcome, RequestSlot):
                        return outcome
                    free = outcome
                await self._wait(lane, free)
        finally:
            lane.waiting.remove(order)
            heapq.heapify(lane.waiting)
            lane.stir()

    async def _try(self, endpoint: Endpoint, lane: EndpointQueue, order: Order) -> RequestSlot | float:
        """Return the slot that was taken, or when to try again."""
        shared = lane.limit is not None and await self._acquire()
        try:
            now = self._clock.now()
            if lane.waiting[0] != order:
                return now
            lane.seen = self._merged(endpoint, lane, now, shared=shared)
            free = next_free(lane.seen, lane.limit, now)
            if free > now:
                return min(free, now + _LOOK_AGAIN) if self._file is not None else free
            slot = RequestSlot(id=f"{self._name}-{next(self._numbers)}", taken=now)
            lane.mine = taken(lane.mine, slot)
            lane.seen = taken(lane.seen, slot)
            if shared:
                self._write(endpoint, lane.seen)
            return slot
        finally:
            if shared and self._file is not None:
                self._file.release()

    def _settle(self, endpoint: Endpoint, lane: EndpointQueue, turn: Permit) -> None:
        """Write down that the answer came. If the file is busy, the next turn writes it."""
        now = self._clock.now()
        shared = lane.limit is not None and self._acquire_at_once()
        try:
            if turn.demanded is not None:
                known = self._merged(endpoint, lane, now, shared=shared)
                told = narrowed(known, turn.slot, lane.limit, now, turn.demanded)
                lane.mine = replace(told, slots=lane.mine.slots)
            lane.mine = answered(lane.mine, turn.slot, lane.limit, now)
            lane.seen = self._merged(endpoint, lane, now, shared=shared)
            if shared:
                self._write(endpoint, lane.seen)
        finally:
            if shared and self._file is not None:
                self._file.release()
            lane.stir()

    def _merged(self, endpoint: Endpoint, lane: EndpointQueue, now: float, *, shared: bool) -> Budget:
        """Return what all processes have spent, as far as it is known; our own requests are known best.

        Without a limit there is nothing to share: what is on its way of ours is all that counts.
        """
        lane.mine = pruned(lane.mine, now)
        if lane.limit is None:
            return lane.mine
        others = lane.seen
        if shared and self._file is not None:
            others = self._file.read().get(endpoint.value, Budget())
        return pruned(merged((others, lane.mine)), now)

    async def _wait(self, lane: EndpointQueue, until: float | None) -> None:
        """Wait for a change of the lane, or for a time."""
        changed = lane.changed
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

    async def _acquire(self) -> bool:
        """Get hold of the file, or give it up after a second: its holder may have been stopped."""
        for _ in range(_LOCK_TRIES):
            if self._acquire_at_once():
                return True
            if self._file is None:
                return False
            await self._clock.sleep(_LOCK_PAUSE)
        return False

    def _acquire_at_once(self) -> bool:
        try:
            return self._file is not None and self._file.acquire()
        except OSError as error:
            self._unshare(error)
            return False

    def _write(self, endpoint: Endpoint, budget: Budget) -> None:
        if self._file is None:
            return
        try:
            self._file.write({**self._file.read(), endpoint.value: budget})
        except OSError as error:
            self._file.release()
            self._unshare(error)

    def _unshare(self, error: OSError) -> None:
        """Go on alone: the budget is then this process's own."""
        _LOG.debug("the pace is not shared with other processes: %s", error.strerror)
        self._file = None
