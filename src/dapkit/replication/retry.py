"""Retries while a database is unavailable: restarted, failed over, disconnected, or at its limit of connections.

All work on a table is repeated, on a new connection. If the connection was lost during COMMIT, the
transaction may have been committed or not. So a retry must first read what is in the database.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from dapkit.client.clock import Clock
from dapkit.errors import ConcurrentUpdateError, TargetBusyError, TargetError, TargetUnreachableError
from dapkit.events import Listener, Retrying
from dapkit.protocol.retry import retry_pause

R = TypeVar("R")

INITIAL_TIMEOUT: Final = 20.0
"""Seconds of retries for a database that has never been reached: its address is probably wrong."""


def is_temporary(error: TargetError, *, initial: bool, retried: bool) -> bool:
    """Whether a retry makes sense.

    Args:
        error: the failure.
        initial: whether the database has never been reached in this run.
        retried: whether this is not the first failure.
    """
    match error:
        case TargetUnreachableError():
            # A rejected connection (wrong password) is permanent at the start. Later on it is temporary, because the
            # same credentials were accepted before: a server that is starting up rejects them for a while.
            return error.retryable or not initial
        case TargetBusyError():
            return True
        case ConcurrentUpdateError():
            # On a retry, "another process" is most likely our own connection, which was lost but then committed.
            return retried
    return False


@dataclass(frozen=True, slots=True)
class TargetRetry:
    """How one run retries.

    Attributes:
        clock: the source of time.
        retry_timeout: seconds after the first failure in which a retry may start.
        on_event: is sent a `Retrying` for each retry.
    """

    clock: Clock
    retry_timeout: float
    on_event: Listener

    async def run(self, work: Callable[[bool], Awaitable[R]], table: str | None = None, *, initial: bool = False) -> R:
        """Return the result of `work`, which is repeated while the database is unavailable.

        Args:
            work: is called with whether it has been tried before.
            table: the table that it concerns, if it is only one.
            initial: whether the database has never been reached in this run.

        Raises:
            TargetError: the last failure, if it is permanent or the timeout is over.
        """
        timeout = min(INITIAL_TIMEOUT, self.retry_timeout) if initial else self.retry_timeout
        failures, first_failed_at = 0, 0.0
        while True:
            try:
                return await work(failures > 0)
            except TargetError as error:
                now = self.clock.now()
                first_failed_at = first_failed_at if failures else now
                remaining = first_failed_at + timeout - now
                if remaining <= 0 or not is_temporary(error, initial=initial, retried=failures > 0):
                    raise
                failures += 1
                # Never sleep past the end of the timeout: it ends with an attempt, not with a pause.
                pause = min(remaining, retry_pause(failures, self.retry_timeout, random.random()))
                self.on_event(Retrying(table=table, error=error, pause=pause))
                await self.clock.sleep(pause)
