"""What the tables of one run share: the session, the journal, the listener, room on the network and on the disk."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from dapkit.client.clock import Clock
from dapkit.client.session import Session
from dapkit.errors import DiskFullError, UnexpectedResponseError
from dapkit.events import Event, Listener
from dapkit.export.journal import AnyEntry, Journal
from dapkit.export.selection import KnownTables
from dapkit.storage.atomic import disk_errors
from dapkit.transfer.manifest import ExportSource

P = ParamSpec("P")
R = TypeVar("R")


class DiskSpace:
    """Free space less what the downloads in flight have announced and not yet written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._promised = 0

    def reserve(self, size: int) -> None:
        """Set `size` bytes aside. Raises DiskFullError when they are not there."""
        with disk_errors(self._folder):
            free = shutil.disk_usage(self._folder).free
        if size + self._promised > free:
            message = f"{self._folder} has {free:,} bytes free; {size + self._promised:,} are needed next"
            raise DiskFullError(message)
        self._promised += size

    def release(self, size: int) -> None:
        """Take back a promise, because it was written or will not be."""
        self._promised -= size


@dataclass(slots=True)
class StoreBackoff:
    """Until when the object store wants to hear nothing of us, since it said 429."""

    until: float = 0.0

    def demand(self, until: float) -> None:
        """Ask nothing before then; a longer demand stays."""
        self.until = max(self.until, until)


@dataclass(slots=True)
class TransferStats:
    """Bytes off the network in this run, and those of them that had been fetched before."""

    fetched: int = 0
    refetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """Worker threads and places on the network; several runs may share one."""

    executor: Executor
    downloads: asyncio.Semaphore
    concurrency: int

    async def blocking(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that blocks on the disk or the processor in a worker thread.

        Whoever is cancelled meanwhile is so only when the call has ended: until then its file is the thread's.
        """
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self.executor, lambda: call(*args, **kwargs))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await settled(working)
            if not working.cancelled():
                working.exception()  # taken note of: what is cancelled has no use for it
            raise


@contextmanager
def worker_pool(concurrency: int) -> Iterator[WorkerPool]:
    """Open a workshop in which so many files are fetched at once."""
    with ThreadPoolExecutor(max_workers=min(concurrency, 8), thread_name_prefix="dapkit") as executor:
        yield WorkerPool(executor=executor, downloads=asyncio.Semaphore(concurrency), concurrency=concurrency)


async def settled(future: "asyncio.Future[Any]") -> None:
    """Wait until the future is done, however often whoever waits is cancelled meanwhile; raise that afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def run_workers(items: Iterable[R], work: Callable[[R], Awaitable[None]], workers: int) -> None:
    """Work on all items with so many workers; whether all is done or one fails, every worker has ended on return."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run at work."""

    session: Session
    clock: Clock
    output: Path
    journal: Journal
    listener: Listener
    worker_pool: WorkerPool
    retry_timeout: float
    source: ExportSource
    known: KnownTables
    space: DiskSpace
    stats: TransferStats = field(default_factory=TransferStats)
    held: dict[str, str] = field(default_factory=dict)
    store_backoff: StoreBackoff = field(default_factory=StoreBackoff)

    @property
    def sandbox(self) -> bool:
        """Whether the data is the sandbox's, and so synthetic."""
        return self.session.sandbox

    @property
    def namespace(self) -> str:
        """Where its tables are."""
        return self.source.namespace

    def hold(self, job_id: str, table: str) -> None:
        """Note whose result a job is. Raises UnexpectedResponseError when it is another table's already."""
        holder = self.held.setdefault(job_id, table)
        if holder != table:
            raise UnexpectedResponseError(
                f"The service gave the job of table {holder} for table {table} too ({job_id})"
            )

    def tell(self, event: Event) -> None:
        """Let the listener know."""
        self.listener(event)

    def record(self, entry: AnyEntry) -> None:
        """Append to the journal."""
        self.journal.append(entry)

    async def blocking(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call in a worker thread; see `WorkerPool.blocking`."""
        return await self.worker_pool.blocking(call, *args, **kwargs)
