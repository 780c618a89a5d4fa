"""Connections to a target, lent to one table at a time and kept for the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dapkit.engine.run import Workshop
from dapkit.targets.base import Target, TargetSession

__all__ = ["Sessions"]


class Sessions:
    """As many connections as are needed at once, but no more than the target takes."""

    def __init__(self, target: Target, place: Workshop, most: int) -> None:
        self._target = target
        self._place = place
        self._room = asyncio.Semaphore(min(most, target.most_sessions))
        self._idle: list[TargetSession] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[TargetSession]:
        """Lend a connection; one that an error came from is not used again."""
        async with self._room:
            session = self._idle.pop() if self._idle else await self._place.blocking(self._target.open)
            try:
                yield session
            except BaseException:
                await self._place.blocking(session.close)
                raise
            self._idle.append(session)

    async def close(self) -> None:
        """Close all connections that are not lent."""
        while self._idle:
            await self._place.blocking(self._idle.pop().close)
