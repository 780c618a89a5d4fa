"""The token of a session: one login at a time, whoever needs it."""

import asyncio
from collections.abc import Awaitable, Callable

from dapkit.client.clock import Clock
from dapkit.protocol.token import Token


class TokenProvider:
    """Keeps the token, and gets a new one before the old one is too old.

    Args:
        log_in: gets a new token, with whatever patience that takes.
        clock: the time.
    """

    def __init__(self, log_in: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._log_in = log_in
        self._clock = clock
        self._token: Token | None = None
        self._renewal: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """Return a token that will live for a while; who asks during a login shares its outcome."""
        if self._token is not None and not self._token.stale(self._clock.now()):
            return self._token
        return await self.fresh()

    async def fresh(self) -> Token:
        """Return the token of the login under way, or of a new one."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._finished)
        return await asyncio.shield(self._renewal)

    def reject(self, token: Token) -> None:
        """Forget a token that the service did not accept, unless it was replaced already."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        """Give up a login under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renew(self) -> Token:
        self._token = await self._log_in()
        return self._token

    def _finished(self, renewal: asyncio.Task[Token]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            # whoever waited has the error already; if all of them were cancelled, nobody misses it
            renewal.exception()
