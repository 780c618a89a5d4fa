"""An event loop in a separate thread, for callers without one.

It also works in notebooks, where an event loop is already running in the main thread. When an interrupted call raises,
its work has ended.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, Final, ParamSpec, TypeVar

from dapkit.errors import InterruptedRunError, UsageError

T = TypeVar("T")
P = ParamSpec("P")
GRACE: Final = 10.0
"""Seconds that an interrupted call has to close its files and release its locks."""

OPEN_HINT: Final = "Use it as a context manager (with Client(…) as dap: …), or call open() first."


class LoopThread:
    """Runs coroutines in its thread, from `start` to `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._streams: set[AsyncGenerator[Any, None]] = set()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._loop is not None

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dapkit", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Calls that still run are abandoned: use `end_calls` first."""
        assert self._loop is not None
        assert self._thread is not None
        # `stop` lets callbacks that are already scheduled run first.
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call and return its result. When this raises, the call has ended."""
        loop = self._loop
        if loop is None:
            call.close()
            raise UsageError("The client is not open", hint=OPEN_HINT)
        started: list[asyncio.Task[T]] = []
        outcome: Future[T] = Future()

        def start() -> None:
            task = loop.create_task(call)
            started.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: _pass_on(task, outcome))

        def cancel() -> None:
            for task in started:
                task.cancel()

        try:
            loop.call_soon_threadsafe(start)
            return outcome.result()
        except BaseException:
            # Ctrl-C: the call must not continue in the other thread, so wait until it has released everything.
            if not outcome.done():
                loop.call_soon_threadsafe(cancel)
                wait_for([outcome], GRACE)
            raise

    def end_calls(self) -> None:
        """Cancel the calls that other threads are waiting for, and close what is being iterated over."""
        self.run(self._cancel_others())
        for stream in tuple(self._streams):
            self._close(stream)

    def iterate(self, stream: AsyncGenerator[T, None], batch_size: int) -> Iterator[T]:
        """Yield what the stream yields, which is read in batches. Closing the iterator closes the stream."""
        self._streams.add(stream)
        try:
            while batch := self.run(_next(stream, batch_size)):
                yield from batch
        finally:
            self._close(stream)

    async def _cancel_others(self) -> None:
        others = self._tasks - {asyncio.current_task()}  # without this call itself
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE)

    def _close(self, stream: AsyncGenerator[Any, None]) -> None:
        """Close a stream, unless it was closed with the client."""
        if stream not in self._streams:
            return
        self._streams.discard(stream)
        if threading.current_thread() is not self._thread:
            self.run(stream.aclose())
        elif self._loop is not None:
            # The garbage collector may close the iterator in any thread, and the loop's own must not wait for itself.
            self._loop.create_task(stream.aclose())


def _pass_on(task: "asyncio.Task[T]", outcome: "Future[T]") -> None:
    """Set the outcome that another thread is waiting for."""
    if task.cancelled():
        outcome.set_exception(InterruptedRunError("The client was closed during the call"))
    elif error := task.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


async def _next(rows: AsyncIterator[T], batch_size: int) -> list[T]:
    batch: list[T] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == batch_size:
            break
    return batch


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call that blocks, outside the event loop."""
    from dapkit.transfer.workers import worker_pool  # noqa: PLC0415, importing the client must be cheap

    with worker_pool(1) as workers:
        return await workers.run(call, *args, **kwargs)
