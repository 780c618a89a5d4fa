"""The token of a session, shared by all requests and renewed by one login at a time."""

import asyncio
from collections.abc import Awaitable, Callable

from dapkit.client.clock import Clock
from dapkit.protocol.token import Token


class TokenProvider:
    """Keeps a token and renews it before it expires.

    Args:
        log_in: logs in, with its own retries, and returns the new token.
        clock: the source of time.
    """

    def __init__(self, log_in: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._log_in = log_in
        self._clock = clock
        self._token: Token | None = None
        self._login: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """Return a token that is valid for a while, after a login if necessary."""
        if self._token is not None and not self._token.is_stale(self._clock.now()):
            return self._token
        return await self.renew()

    async def renew(self) -> Token:
        """Return the token of a new login, or of the one that is already running.

        Hundreds of requests may notice at the same time that a token has expired; they share one login and its outcome.
        """
        if self._login is None:
            self._login = asyncio.create_task(self._store_token())
            self._login.add_done_callback(self._login_done)
        # Shield the login: cancelling one of the requests that wait for it must not cancel it for the others.
        return await asyncio.shield(self._login)

    def discard(self, token: Token) -> None:
        """Forget a token that the service rejected, unless it has already been replaced."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        """Cancel a running login."""
        if self._login is not None:
            self._login.cancel()
            await asyncio.wait([self._login])

    async def _store_token(self) -> Token:
        self._token = await self._log_in()
        return self._token

    def _login_done(self, task: asyncio.Task[Token]) -> None:
        self._login = None
        if not task.cancelled():
            # Retrieve the exception, or asyncio logs it when all tasks that waited for it were cancelled.
            task.exception()
