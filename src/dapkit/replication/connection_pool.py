"""A pool of connections to a target, each used by one table at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dapkit.errors import TargetBusyError, TargetUnreachableError
from dapkit.targets.base import Target, TargetSession
from dapkit.transfer.workers import WorkerPool


class ConnectionPool:
    """Opens connections when they are needed, up to a limit, and keeps them for the next table.

    Args:
        target: where to connect to.
        workers: the threads in which connections are opened and closed.
        limit: maximum number of connections; the target may allow fewer.
    """

    def __init__(self, target: Target, workers: WorkerPool, limit: int) -> None:
        self._target = target
        self._workers = workers
        self._slots = asyncio.Semaphore(min(limit, target.capabilities.connections))
        self._idle: list[TargetSession] = []
        self._in_use = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[TargetSession]:
        """Wait for a connection and use it. After an exception, it is closed and not used again."""
        session = await self._take()
        self._in_use += 1
        try:
            yield session
        except BaseException as error:
            self._in_use -= 1
            await self._workers.run(session.close)
            if isinstance(error, TargetUnreachableError):
                await self.close()  # a restart of the server breaks the idle connections too
            raise
        else:
            self._in_use -= 1
            self._idle.append(session)
        finally:
            self._slots.release()

    async def _take(self) -> TargetSession:
        """Return an idle connection or a new one.

        If the server allows no more connections, wait for one of ours. The slot of the connection that it did not
        allow is not released: from then on, fewer tables are loaded at the same time.
        """
        while True:
            await self._slots.acquire()
            try:
                while not self._idle:
                    await self._workers.run(self._open)
                return self._idle.pop()
            except TargetBusyError:
                if not (self._in_use or self._idle):
                    self._slots.release()
                    raise
            except BaseException:
                self._slots.release()
                raise

    def _open(self) -> None:
        # First among the idle ones: if the task that requested it is cancelled in the meantime, `close` still finds it.
        self._idle.append(self._target.open())

    async def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            await self._workers.run(self._idle.pop().close)
