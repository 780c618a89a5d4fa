"""Connections to a target, lent to one table at a time and kept for the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dapkit.errors import TargetBusyError, TargetUnreachableError
from dapkit.targets.base import Target, TargetSession
from dapkit.transfer.workers import WorkerPool

__all__ = ["ConnectionPool"]


class ConnectionPool:
    """As many connections as are needed at once, but no more than the target takes."""

    def __init__(self, target: Target, pool: WorkerPool, most: int) -> None:
        self._target = target
        self._place = pool
        self._room = asyncio.Semaphore(min(most, target.max_connections))
        self._idle: list[TargetSession] = []
        self._lent = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[TargetSession]:
        """Lend a connection; one that an error came from is not used again."""
        session = await self._taken()
        self._lent += 1
        try:
            yield session
        except BaseException as error:
            self._lent -= 1
            await self._place.run(session.close)
            if isinstance(error, TargetUnreachableError):
                await self.close()  # what made this one break has probably broken those that are idle
            raise
        else:
            self._lent -= 1
            self._idle.append(session)
        finally:
            self._room.release()

    async def _taken(self) -> TargetSession:
        """Return an idle connection, or a new one. Where the database takes no more, those that are there are shared.

        The place of a connection that it did not take stays taken: fewer tables are loaded at once from then on.
        """
        while True:
            await self._room.acquire()
            try:
                while not self._idle:
                    await self._place.run(self._open)
                return self._idle.pop()
            except TargetBusyError:
                if not (self._lent or self._idle):
                    self._room.release()
                    raise
            except BaseException:
                self._room.release()
                raise

    def _open(self) -> None:
        """Open a connection, idle at first, so that it is closed even if who wanted it is cancelled meanwhile."""
        self._idle.append(self._target.open())

    async def close(self) -> None:
        """Close all connections that are not lent."""
        while self._idle:
            await self._place.run(self._idle.pop().close)
