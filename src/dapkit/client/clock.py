"""Time as a parameter, so that tests run everything that waits in virtual time."""

import asyncio
import time
from typing import Final, Protocol


class Clock(Protocol):
    """A source of time that can also wait."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait. With 0 or less, let other tasks run once and return."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return the machine's time in seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait with asyncio."""
        await asyncio.sleep(max(0.0, seconds))


SYSTEM_CLOCK: Final[Clock] = SystemClock()
