"""Signed URLs of one job's objects, asked for in batches just before they are used."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.engine.run import Run
from dapkit.errors import UnexpectedAnswerError

SIGN_AT_ONCE = 32  # URLs asked for in one request
URL_LIFE = 600.0  # seconds for which a signed URL is used; the service's lives about 15 minutes


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed URL and when it was got."""

    url: str
    time: float


class Signer:
    """Gives each object a URL that is good for some minutes, and each URL out once."""

    def __init__(self, run: Run, object_ids: Sequence[str]) -> None:
        self._run = run
        self._waiting = deque(object_ids)
        self._signed: dict[str, Signed] = {}
        self._lock = asyncio.Lock()

    async def url(self, object_id: str) -> str:
        """Return a URL for the object. Raises ExpiredError when the service does not know it any more."""
        async with self._lock:
            signed = self._signed.pop(object_id, None)
            if signed is None or self._run.clock.now() - signed.time > URL_LIFE:
                await self._sign(object_id)
                signed = self._signed.pop(object_id)
        return signed.url

    async def _sign(self, object_id: str) -> None:
        batch = [object_id]
        while self._waiting and len(batch) < SIGN_AT_ONCE:
            other = self._waiting.popleft()
            if other != object_id:
                batch.append(other)
        urls = await self._run.session.sign(batch)
        now = self._run.clock.now()
        for each in batch:
            if each not in urls:
                raise UnexpectedAnswerError(f"The service signed no URL for object {each[:80]}")
            self._signed[each] = Signed(urls[each], now)
