"""Outlasting a database that is away for a while: restarted, failed over, cut off, crowded.

What was being done is done again on a new connection, until patience is over. A commit whose answer was lost may be
there or not; so whoever tries again begins by looking what stands.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from dapkit.client.clock import Clock
from dapkit.errors import ConcurrentUpdateError, TargetBusyError, TargetError, TargetUnreachableError
from dapkit.events import Listener, Retrying
from dapkit.protocol.retry import retry_pause

__all__ = ["START", "TargetRetry", "may_pass"]

R = TypeVar("R")

START: Final = 20.0
"""Seconds of patience with a database that never answered yet, since its address is probably wrong."""


def may_pass(error: TargetError, *, start: bool, tried: bool) -> bool:
    """Whether trying again makes sense.

    Args:
        error: how it failed.
        start: whether the database never answered yet. Later on, even a refusal to let us in may pass: it let us in.
        tried: whether it failed before, so that somebody else who was quicker is probably our own lost connection.
    """
    match error:
        case TargetUnreachableError():
            return error.retryable or not start
        case TargetBusyError():
            return True
        case ConcurrentUpdateError():
            return tried
    return False


@dataclass(frozen=True, slots=True)
class TargetRetry:
    """How the work of one run outlasts outages.

    Attributes:
        clock: what lets the time pass.
        retry_timeout: seconds after the first failure in which attempts begin.
        on_event: is told of each failure that is borne.
    """

    clock: Clock
    retry_timeout: float
    on_event: Listener

    async def run(self, work: Callable[[bool], Awaitable[R]], table: str | None = None, *, start: bool = False) -> R:
        """Return what comes of a piece of work, which is done again while its database is in trouble.

        Args:
            work: what is to be done; it is told whether it was tried before.
            table: the table that it concerns, if one.
            start: whether the database never answered yet.

        Raises:
            TargetError: the last failure, when it will not pass or patience is over.
        """
        retry_timeout = min(START, self.retry_timeout) if start else self.retry_timeout
        failures, began = 0, 0.0
        while True:
            try:
                return await work(failures > 0)
            except TargetError as error:
                now = self.clock.now()
                began = began if failures else now
                left = began + retry_timeout - now
                if left <= 0 or not may_pass(error, start=start, tried=failures > 0):
                    raise
                failures += 1
                pause = min(left, retry_pause(failures, self.retry_timeout, random.random()))
                self.on_event(Retrying(table=table, error=error, pause=pause))
                await self.clock.sleep(pause)
