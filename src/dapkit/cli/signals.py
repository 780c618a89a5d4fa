"""Runs a command's coroutine so that Ctrl-C and SIGTERM stop it cleanly and quickly.

The first signal cancels the work, which then has `GRACE` seconds to close its files. After that, or at a second signal,
the process ends at once. That is safe, because files on disk are valid at any moment.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from dapkit.errors import DapError, InterruptedRunError

T = TypeVar("T")
GRACE = 1.8


def run_until_stopped(
    work: Callable[[], Coroutine[Any, Any, T]], *, hint: str, last_words: Callable[[DapError], str]
) -> T:
    """Run the coroutine that `work` makes; `hint` says how to continue after an interruption.

    `last_words` is called if the process has to end without unwinding. It restores the terminal and returns the error
    as it is to be printed.

    Raises:
        InterruptedRunError: a signal stopped it.
    """
    stop = _Stop(hint, last_words)

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        # From here on a signal can cancel the task; one that arrived earlier takes effect at once.
        stop.attach(asyncio.get_running_loop(), task)
        try:
            return await work()
        except asyncio.CancelledError:
            # Only a cancellation that a signal caused is an interruption; others are errors of our own.
            if stop.requested:
                raise InterruptedRunError("Stopped", hint=hint) from None
            raise

    with _handling(stop.handle):
        try:
            return asyncio.run(guarded())
        finally:
            stop.watchdog.cancel()


class _Stop:
    def __init__(self, hint: str, last_words: Callable[[DapError], str]) -> None:
        self.requested = False
        self.watchdog = threading.Timer(GRACE, self._end_now)
        self.watchdog.daemon = True  # it must not keep a finished process alive
        self._hint = hint
        self._last_words = last_words
        self._cancel: Callable[[], object] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
        # Signal handlers run between two bytecodes of any code, so the loop has to be woken up thread-safely.
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.requested:
            task.cancel()

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            self._end_now()
        self.requested = True
        self.watchdog.start()
        if self._cancel is not None:
            self._cancel()

    def _end_now(self) -> None:
        text = self._last_words(InterruptedRunError("Stopped", hint=self._hint))
        # No print: the interpreter may be in the middle of another write to stderr.
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
        os._exit(InterruptedRunError.exit_code)


class _handling:  # noqa: N801, reads as a word at its one use
    """Handle SIGINT and SIGTERM with `handler`; outside the main thread, which alone gets signals, do nothing."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handler = handler
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handler)

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
