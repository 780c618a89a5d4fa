"""Time as something that is passed in, so that whatever waits can be tried in virtual time."""

import asyncio
import time
from typing import Final, Protocol


class Clock(Protocol):
    """What tells the time and lets it pass."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; at once, but not before others had their turn, for none or fewer."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return the machine's time in seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for so many seconds."""
        await asyncio.sleep(max(0.0, seconds))


SYSTEM_CLOCK: Final[Clock] = SystemClock()
