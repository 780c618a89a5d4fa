"""What the tables of one run share: the session, the journal, the listener, room on the network and on the disk."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from dapkit.client.clock import Clock
from dapkit.client.session import Session
from dapkit.engine.events import Event, Listener
from dapkit.engine.journal import AnyEntry, Journal
from dapkit.engine.tables import KnownTables
from dapkit.errors import DiskFullError

P = ParamSpec("P")
R = TypeVar("R")


class Space:
    """Free space less what the downloads in flight have announced and not yet written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._promised = 0

    def promise(self, size: int) -> None:
        """Set `size` bytes aside. Raises DiskFullError when they are not there."""
        free = shutil.disk_usage(self._folder).free
        if size + self._promised > free:
            message = f"{self._folder} has {free:,} bytes free; {size + self._promised:,} are needed next"
            raise DiskFullError(message)
        self._promised += size

    def settle(self, size: int) -> None:
        """Take back a promise, because it was written or will not be."""
        self._promised -= size


@dataclass(slots=True)
class Silence:
    """Until when the object store wants to hear nothing of us, since it said 429."""

    until: float = 0.0

    def demand(self, until: float) -> None:
        """Ask nothing before then; a longer demand stays."""
        self.until = max(self.until, until)


@dataclass(slots=True)
class Tally:
    """Bytes off the network in this run, and those of them that had been fetched before."""

    fetched: int = 0
    refetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
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
            if not working.cancelled():
                await asyncio.wait([working])
                working.exception()  # taken note of: what is cancelled has no use for it
            raise


@contextmanager
def workshop(concurrency: int) -> Iterator[Workshop]:
    """Open a workshop in which so many files are fetched at once."""
    with ThreadPoolExecutor(max_workers=min(concurrency, 8), thread_name_prefix="dapkit") as executor:
        yield Workshop(executor=executor, downloads=asyncio.Semaphore(concurrency), concurrency=concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run at work."""

    session: Session
    clock: Clock
    output: Path
    journal: Journal
    listener: Listener
    workshop: Workshop
    patience: float
    namespace: str
    known: KnownTables
    space: Space
    tally: Tally = field(default_factory=Tally)
    silence: Silence = field(default_factory=Silence)

    @property
    def sandbox(self) -> bool:
        """Whether the data is the sandbox's, and so synthetic."""
        return self.session.sandbox

    def tell(self, event: Event) -> None:
        """Let the listener know."""
        self.listener(event)

    def record(self, entry: AnyEntry) -> None:
        """Append to the journal."""
        self.journal.append(entry)

    async def blocking(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call in a worker thread; see `Workshop.blocking`."""
        return await self.workshop.blocking(call, *args, **kwargs)
