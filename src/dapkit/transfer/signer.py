"""Signed URLs of one job's objects, asked for in batches just before they are used."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from dapkit.errors import UnexpectedResponseError
from dapkit.transfer.context import Run

SIGN_AT_ONCE = 32  # URLs asked for in one request
URL_LIFE = 600.0  # seconds for which a signed URL is used; the service's lives about 15 minutes


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed URL and when it was got."""

    url: str
    time: float


class Signer:
    """Gives each object a URL that is good for some minutes: the same one again, until it is spoilt or too old."""

    def __init__(self, run: Run, object_ids: Sequence[str]) -> None:
        self._run = run
        self._wanted: dict[str, Signed | None] = dict.fromkeys(object_ids)
        self._lock = asyncio.Lock()

    async def url(self, object_id: str) -> str:
        """Return a URL for the object. Raises ExpiredError when the service does not know it any more."""
        async with self._lock:
            signed = self._young(object_id)
            if signed is None:
                await self._sign(object_id)
                signed = self._wanted[object_id]
        assert signed is not None
        return signed.url

    def spoilt(self, object_id: str) -> None:
        """Take another URL for the object the next time."""
        self._wanted[object_id] = None

    def done(self, object_id: str) -> None:
        """Forget the object: it is whole."""
        del self._wanted[object_id]

    def _young(self, object_id: str) -> Signed | None:
        signed = self._wanted[object_id]
        return signed if signed is not None and self._run.clock.now() - signed.time <= URL_LIFE else None

    async def _sign(self, object_id: str) -> None:
        others = (each for each in self._wanted if each != object_id and self._young(each) is None)
        batch = [object_id, *islice(others, SIGN_AT_ONCE - 1)]
        urls = await self._run.session.sign(batch)
        now = self._run.clock.now()
        for each in batch:
            if each not in urls:
                raise UnexpectedResponseError(f"The service signed no URL for object {each[:80]}")
            if each in self._wanted:
                self._wanted[each] = Signed(urls[each], now)
