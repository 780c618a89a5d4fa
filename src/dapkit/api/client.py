"""The client without `await`: it runs an `AsyncClient` in a separate thread.

It therefore works in scripts, and in notebooks, where an event loop is already running. When an interrupted call
raises, its work has ended.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from dapkit.api.async_client import AsyncClient
from dapkit.config.settings import ClientOptions
from dapkit.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from dapkit.decode.jsonl import Record
    from dapkit.export.options import ExportOptions
    from dapkit.model import Job, Query, VersionedSchema
    from dapkit.replication.options import SyncOptions
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult
    from dapkit.results import RunResult

T = TypeVar("T")
GRACE: Final = 10.0
"""Seconds that an interrupted call has to close its files and release its locks."""


class Client:
    """The client for scripts and notebooks. Use it as a context manager.

    The methods are those of `AsyncClient`, without `await`.

    Example:
        with Client(ClientOptions(sandbox=True)) as dap:
            for record in dap.records("canvas", "users"): ...
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._client = AsyncClient(options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._streams: set[AsyncGenerator[Any, None]] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dapkit", daemon=True)
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait(self._end_calls())
            for stream in tuple(self._streams):
                self._close(stream)
            self._wait(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call in the client's thread and return its result. When this raises, the call has ended."""
        loop = self._loop
        if loop is None:
            call.close()
            raise UsageError("The client is not open", hint="Use it as a context manager: with Client(…) as dap: …")
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

    async def _end_calls(self) -> None:
        """Cancel the calls that other threads are waiting for."""
        others = self._tasks - {asyncio.current_task()}  # without this call itself
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE)

    def _stop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        # `stop` lets callbacks that are already scheduled run first.
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def _iterate(self, stream: AsyncGenerator[T, None], batch_size: int) -> Iterator[T]:
        self._streams.add(stream)
        try:
            while batch := self._wait(_next(stream, batch_size)):
                yield from batch
        finally:
            self._close(stream)

    def _close(self, stream: AsyncGenerator[Any, None]) -> None:
        """Close a stream, unless it was closed with the client."""
        if stream not in self._streams:
            return
        self._streams.discard(stream)
        if threading.current_thread() is not self._thread:
            self._wait(stream.aclose())
        elif self._loop is not None:
            # The garbage collector may close the iterator in any thread, and the client's own must not wait for itself.
            self._loop.create_task(stream.aclose())

    def tables(self, namespace: str) -> tuple[str, ...]:
        """See `AsyncClient.tables`."""
        return self._wait(self._client.tables(namespace))

    def schema(self, namespace: str, table: str) -> "VersionedSchema":
        """See `AsyncClient.schema`."""
        return self._wait(self._client.schema(namespace, table))

    def snapshot(
        self, namespace: str, tables: Sequence[str] = ("all",), options: "ExportOptions | None" = None
    ) -> "RunResult":
        """See `AsyncClient.snapshot`."""
        return self._wait(self._client.snapshot(namespace, tables, options))

    def incremental(
        self,
        namespace: str,
        tables: Sequence[str],
        since: str | Path,
        *,
        until: str | None = None,
        options: "ExportOptions | None" = None,
    ) -> "RunResult":
        """See `AsyncClient.incremental`."""
        return self._wait(self._client.incremental(namespace, tables, since, until=until, options=options))

    def sync(
        self, namespace: str, tables: Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """See `AsyncClient.sync`."""
        return self._wait(self._client.sync(namespace, tables, to, options))

    def reconcile(
        self,
        namespace: str,
        tables: Sequence[str],
        to: str,
        options: "SyncOptions | None" = None,
        *,
        sync: bool = True,
        sample: float | None = None,
    ) -> "ReconcileResult":
        """See `AsyncClient.reconcile`."""
        return self._wait(self._client.reconcile(namespace, tables, to, options, sync=sync, sample=sample))

    def records(self, namespace: str, table: str, *, since: str | None = None) -> "Iterator[Record]":
        """See `AsyncClient.records`."""
        return self._iterate(self._client.records(namespace, table, since=since), 1000)

    def submit(self, namespace: str, table: str, query: "Query") -> "Job":
        """See `AsyncClient.submit`."""
        return self._wait(self._client.submit(namespace, table, query))

    def poll(self, job_id: str) -> "Job":
        """See `AsyncClient.poll`."""
        return self._wait(self._client.poll(job_id))

    def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """See `AsyncClient.sign`."""
        return self._wait(self._client.sign(object_ids))

    def open(self, url: str) -> Iterator[bytes]:
        """See `AsyncClient.open`."""
        return self._iterate(self._client.open(url), 1)


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


def sync(
    namespace: str,
    tables: Sequence[str],
    to: str,
    options: "SyncOptions | None" = None,
    client: ClientOptions | None = None,
) -> "SyncResult":
    """Load tables into a database, or update them, in one call; see `AsyncClient.sync`."""
    with Client(client) as dap:
        return dap.sync(namespace, tables, to, options)


def reconcile(
    namespace: str,
    tables: Sequence[str],
    to: str,
    options: "SyncOptions | None" = None,
    client: ClientOptions | None = None,
    *,
    sync: bool = True,
    sample: float | None = None,
) -> "ReconcileResult":
    """Compare a database with the service in one call; see `AsyncClient.reconcile`."""
    with Client(client) as dap:
        return dap.reconcile(namespace, tables, to, options, sync=sync, sample=sample)
