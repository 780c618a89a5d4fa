"""An event loop with virtual time: sleeping costs nothing, and an hour passes at once.

If nothing is ready, time jumps to the next timer. Calls in an executor run at once, in place, so that time does
not pass. Waiting without any timer is a deadlock and raises an error.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = 1_700_000_000.0


class _JumpingSelector(selectors.DefaultSelector):
    """Advances the loop's time by a timeout instead of waiting."""

    def __init__(self, clock: "VirtualClock") -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("deadlock in virtual time: nothing is ready and no timer is set")
        self._clock.elapsed += max(timeout, 0.0)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time."""

    def __init__(self, clock: "VirtualClock") -> None:
        self._clock = clock
        super().__init__(_JumpingSelector(clock))

    def time(self) -> float:
        return self._clock.elapsed

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (handed to who awaits it, as an executor does)
            future.set_exception(error)
        return future


class VirtualClock:
    """The clock of the code under test and of its loops, shared by all loops that a test runs."""

    def __init__(self, elapsed: float = 0.0) -> None:
        self.elapsed = elapsed

    def now(self) -> float:
        return START + self.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
