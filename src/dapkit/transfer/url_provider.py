"""Signed URLs for the objects of one job, requested in batches shortly before they are needed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from dapkit.client.session import Session
from dapkit.errors import UnexpectedResponseError

SIGN_AT_ONCE = 32  # URLs in one request
URL_LIFETIME = 600.0  # seconds for which we use a URL; the service's are valid for about 15 minutes


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A signed URL and the time at which it was received."""

    url: str
    received_at: float


class UrlProvider:
    """Returns a valid URL for each object: the same one until it is invalidated or too old."""

    def __init__(self, session: Session, object_ids: Sequence[str]) -> None:
        self._session = session
        self._urls: dict[str, SignedUrl | None] = dict.fromkeys(object_ids)
        # Held while a request is running, so that downloads that start together share one batch instead of sending
        # one request each.
        self._lock = asyncio.Lock()

    async def url(self, object_id: str) -> str:
        """Return a URL for the object. Raises ExpiredError if the service no longer knows the object."""
        async with self._lock:
            signed = self._valid(object_id)
            if signed is None:
                await self._sign(object_id)
                signed = self._urls[object_id]
        assert signed is not None
        return signed.url

    def invalidate(self, object_id: str) -> None:
        """Request a new URL for the object the next time."""
        self._urls[object_id] = None

    def remove(self, object_id: str) -> None:
        """Request no more URLs for the object."""
        del self._urls[object_id]

    def _valid(self, object_id: str) -> SignedUrl | None:
        signed = self._urls[object_id]
        return signed if signed is not None and self._session.clock.now() - signed.received_at <= URL_LIFETIME else None

    async def _sign(self, object_id: str) -> None:
        # The batch is filled with the objects that come next. A larger one would save requests, but the URLs at its
        # end would expire before their objects' turn.
        others = (each for each in self._urls if each != object_id and self._valid(each) is None)
        batch = [object_id, *islice(others, SIGN_AT_ONCE - 1)]
        urls = await self._session.sign(batch)
        now = self._session.clock.now()
        for each in batch:
            if each not in urls:
                raise UnexpectedResponseError(f"The service returned no URL for object {each[:80]}")
            if each in self._urls:  # it may have been completed in the meantime
                self._urls[each] = SignedUrl(urls[each], now)
