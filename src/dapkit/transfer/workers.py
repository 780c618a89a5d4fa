"""Running many things at once: worker threads for calls that block, and groups of tasks that end together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """Threads for work on the disk and the processor, and a limit on simultaneous downloads. Runs may share one."""

    executor: Executor
    downloads: asyncio.Semaphore
    concurrency: int

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call in a worker thread.

        If the caller is cancelled, the cancellation takes effect when the call has ended: until then the thread uses
        the caller's file, and no other code may use it.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self.executor, lambda: call(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await wait_until_done(future)
            if not future.cancelled():
                future.exception()  # retrieved, or asyncio would log that it was never retrieved
            raise


@contextmanager
def worker_pool(concurrency: int) -> Iterator[WorkerPool]:
    """Open a pool for this many simultaneous downloads."""
    # More threads would only compete for the processor.
    with ThreadPoolExecutor(max_workers=min(concurrency, 8), thread_name_prefix="dapkit") as executor:
        yield WorkerPool(executor=executor, downloads=asyncio.Semaphore(concurrency), concurrency=concurrency)


async def wait_until_done(future: "asyncio.Future[Any]") -> None:
    """Wait until the future is done, even if the caller is cancelled in the meantime; then raise the cancellation."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def run_all(work: Iterable[Coroutine[Any, Any, R]]) -> tuple[R, ...]:
    """Run coroutines at once and return their results in order.

    The first error cancels the others and is raised directly, not in a group. All have ended on return.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)


async def run_workers(items: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Process items with this many workers. Whether all succeed or one fails, every worker has ended on return."""
    remaining = iter(items)

    async def worker() -> None:
        for item in remaining:
            await work(item)

    await run_all(worker() for _ in range(workers))
