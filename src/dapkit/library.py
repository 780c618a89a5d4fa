"""dapkit as a library: the commands as methods, and the lower calls below them.

`AsyncClient` is the client; `Client` runs one in a thread of its own, so that it works in scripts and in notebooks,
where an event loop is running already. What is not given is read from the environment, as the command reads it.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from dapkit.client.session import Session
from dapkit.connection import connect
from dapkit.decode.jsonl import Record, records
from dapkit.engine.events import Event, Listener, Notice, RunResult
from dapkit.engine.export import ExportOptions, export
from dapkit.engine.replication.converge import Purpose
from dapkit.engine.replication.replicate import ReplicateOptions, SyncResult, replicate
from dapkit.engine.tables import split_tables
from dapkit.errors import InterruptedRunError, RequestError, UsageError
from dapkit.model import Format, Job, Mode, Query, VersionedSchema
from dapkit.protocol.budget import NO_PACE, PUBLISHED_PACE, Pace
from dapkit.settings import (
    DEFAULT_URL,
    PATIENCE,
    READ_TIMEOUT,
    ConnectionSettings,
    SandboxSettings,
    read_number,
    stage_root,
    user_state_folder,
)
from dapkit.targets.base import LoadOptions
from dapkit.targets.registry import target_of

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)
GRACE: Final = 10.0
"""Seconds that a call which was interrupted has to end: to close its files and to let its locks go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Where to and as whom.

    What is None is taken from the environment (`DAP_API_URL`, `DAP_CLIENT_ID`, `DAP_CLIENT_SECRET`, `DAP_SCOPE`,
    `DAP_PACE`, `DAP_PATIENCE`, `DAP_READ_TIMEOUT`), else it is the command's default. `patience` and `read_timeout`
    are seconds.
    With `sandbox` a sandbox with instant jobs is started inside the process, which needs no address and no
    credentials; `sandbox_home` keeps its clock.
    """

    base_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    pace: str | None = None
    patience: float | None = None
    read_timeout: float | None = None
    ca_file: Path | None = None
    sandbox: bool = False
    sandbox_home: Path | None = None
    sandbox_scale: float = 1.0
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How files are to be delivered: format, layout of nested fields, folder, downloads at once, listener."""

    format: Format | str = Format.JSONL
    mode: Mode | str | None = None
    output: Path | str = "downloads"
    exclude: Sequence[str] = ()
    concurrency: int = 8
    new: bool = False
    listen: Listener = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How a database is made equal: as the options of `dap sync`.

    `stage` is for files on their way (`DAP_STAGE`). `expire_logs`, of 31 days at least and for `canvas_logs` only,
    deletes rows that are older. `wait` waits for another process that does the same.
    """

    exclude: Sequence[str] = ()
    stage: Path | str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    if_stale: timedelta | None = None
    expire_logs: timedelta | None = None
    wait: bool = False
    repair: bool = False
    connections: int = 4
    concurrency: int = 8
    listen: Listener = lambda _: None


def _settings(options: ClientOptions) -> ConnectionSettings:
    environ = options.environ
    scale = read_number(options.sandbox_scale, {}, "sandbox_scale", 1.0, positive=True)
    sandbox = SandboxSettings(home=options.sandbox_home, scale=scale, job_seconds=0.0)
    pace = options.pace or environ.get("DAP_PACE")
    default = NO_PACE if options.sandbox else PUBLISHED_PACE
    return ConnectionSettings(
        base_url=options.base_url or environ.get("DAP_API_URL") or DEFAULT_URL,
        client_id=options.client_id,
        client_secret=options.client_secret,
        client_secret_file=None,
        scope=options.scope or environ.get("DAP_SCOPE"),
        pace=Pace.parse(pace) if pace else default,
        patience=read_number(options.patience, environ, "DAP_PATIENCE", PATIENCE),
        read_timeout=read_number(options.read_timeout, environ, "DAP_READ_TIMEOUT", READ_TIMEOUT, positive=True),
        ca_file=options.ca_file,
        state_folder=user_state_folder(environ),
        sandbox=sandbox if options.sandbox else None,
        environ=environ,
    )


def _chosen(kind: type[Choice], value: str, what: str) -> Choice:
    """Return the member that a word in any case of letters means; raises UsageError when there is none."""
    try:
        return kind(value.lower())
    except ValueError:
        message = f"The {what} {value!r} is not known."
        raise UsageError(message, hint=f"Use one of {', '.join(kind)}.") from None


class AsyncClient:
    """The client.

    Example:
        async with AsyncClient(ClientOptions(sandbox=True)) as dap:
            result = await dap.snapshot("canvas", ["users", "courses"], Delivery(format="parquet"))
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._patience = PATIENCE

    async def __aenter__(self) -> Self:
        settings = _settings(self._options)
        connection = await self._stack.enter_async_context(connect(settings, lambda _: None))
        self._patience = settings.patience
        self._session = connection.session
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._session = None

    @property
    def session(self) -> Session:
        """The open session. Raises UsageError outside `async with`."""
        if self._session is None:
            raise UsageError("The client is not open", hint="Use it as a context manager: with Client(…) as dap: …")
        return self._session

    async def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the namespace's tables."""
        return await self.session.tables(namespace)

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        """Return a table's current schema."""
        return await self.session.schema(namespace, table)

    async def snapshot(
        self, namespace: str, tables: Sequence[str] = ("all",), delivery: Delivery | None = None
    ) -> RunResult:
        """Bring full copies of tables (names, globs, `all`) to a folder; see `engine.export.export`."""
        return await self._export(namespace, tables, delivery or Delivery(), since=None, until=None)

    async def incremental(
        self,
        namespace: str,
        tables: Sequence[str],
        since: str | Path,
        *,
        until: str | None = None,
        delivery: Delivery | None = None,
    ) -> RunResult:
        """Bring changes to a folder. `since` is a time with a zone, verbatim, or the folder of earlier results."""
        return await self._export(namespace, tables, delivery or Delivery(), since=since, until=until)

    async def _export(
        self,
        namespace: str,
        tables: Sequence[str],
        delivery: Delivery,
        *,
        since: str | Path | None,
        until: str | None,
    ) -> RunResult:
        folder = since if isinstance(since, Path) else None
        query = Query(
            format=_chosen(Format, delivery.format, "format"),
            mode=_chosen(Mode, delivery.mode, "mode") if delivery.mode else None,
            since=since if isinstance(since, str) else None,
            until=until,
        )
        options = ExportOptions(
            namespace=namespace,
            tables=split_tables([tables] if isinstance(tables, str) else tables),
            exclude=tuple(delivery.exclude),
            query=query,
            since_folder=folder,
            output=Path(delivery.output),
            concurrency=delivery.concurrency,
            patience=self._patience,
            new=delivery.new,
        )
        notices: list[str] = []

        def listen(event: Event) -> None:
            if isinstance(event, Notice):
                notices.append(event.message)
            delivery.listen(event)

        result = await export(self.session, options, listen)
        return replace(result, notices=tuple(notices))

    async def sync(
        self, namespace: str, tables: Sequence[str], to: str, options: SyncOptions | None = None
    ) -> SyncResult:
        """Make a database equal to the service, whatever state either is in; see `engine.replicate.replicate`.

        Args:
            namespace: where the tables are.
            tables: names, globs or `all`.
            to: the database, such as `duckdb:college.duckdb`.
            options: how it is done.
        """
        chosen = options or SyncOptions()
        wanted = ReplicateOptions(
            purpose=Purpose.SYNC,
            namespace=namespace,
            tables=split_tables([tables] if isinstance(tables, str) else tables),
            exclude=tuple(chosen.exclude),
            target=target_of(to),
            stage=stage_root(chosen.stage, self._options.environ),
            load=chosen.load,
            if_stale=chosen.if_stale,
            expire_logs=chosen.expire_logs,
            wait=chosen.wait,
            repair=chosen.repair,
            connections=chosen.connections,
            concurrency=chosen.concurrency,
            patience=self._patience,
        )
        return await replicate(self.session, wanted, chosen.listen)

    async def records(self, namespace: str, table: str, *, since: str | None = None) -> AsyncGenerator[Record, None]:
        """Yield a table's rows, or with `since` its changes, as records.

        The files are fetched and checked first, in a temporary folder that goes with the iterator.

        Raises:
            DapError: the table cannot be had; nothing was yielded then.
        """
        with tempfile.TemporaryDirectory(prefix="dapkit-") as folder:
            delivery = Delivery(output=folder)
            result = await self._export(namespace, (table,), delivery, since=since, until=None)
            for failure in result.failed:
                raise failure.error
            for whole in result.done:
                for path in sorted(whole.folder.glob("[!.]*")):
                    for record in records(path):
                        yield record

    async def submit(self, namespace: str, table: str, query: Query) -> Job:
        """Ask for a job; an equal one that the service has already is returned instead."""
        return await self.session.submit(namespace, table, query)

    async def poll(self, job_id: str) -> Job:
        """Ask how a job is doing."""
        return await self.session.poll(job_id)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL, good for some minutes, for each object."""
        return await self.session.sign(object_ids)

    async def open(self, url: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes behind a signed URL, unchecked. Raises RequestError when the store refuses it."""
        async with self.session.open(url) as stream:
            if stream.status != 200:
                raise RequestError(f"The store answered {stream.status}", hint="Sign the object again.")
            async for chunk in stream.chunks():
                yield chunk


class Client:
    """The client without `await`: an `AsyncClient` in a thread of its own.

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
                self._give_up(stream)
            self._wait(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call in the client's thread comes to; one that is interrupted has ended when this raises."""
        loop = self._loop
        if loop is None:
            call.close()
            raise UsageError("The client is not open", hint="Use it as a context manager: with Client(…) as dap: …")
        begun: list[asyncio.Task[T]] = []
        answer: Future[T] = Future()

        def begin() -> None:
            task = loop.create_task(call)
            begun.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: _pass_on(task, answer))

        def cancel() -> None:
            for task in begun:
                task.cancel()

        try:
            loop.call_soon_threadsafe(begin)
            return answer.result()
        except BaseException:
            if not answer.done():
                loop.call_soon_threadsafe(cancel)
                wait_for([answer], GRACE)
            raise

    async def _end_calls(self) -> None:
        """End what other threads still wait for."""
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE)

    def _stop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def _iterate(self, stream: AsyncGenerator[T, None], most: int) -> Iterator[T]:
        self._streams.add(stream)
        try:
            while batch := self._wait(_next(stream, most)):
                yield from batch
        finally:
            self._give_up(stream)

    def _give_up(self, stream: AsyncGenerator[Any, None]) -> None:
        """Close a stream, which may have been closed with the client already."""
        if stream not in self._streams:
            return
        self._streams.discard(stream)
        if threading.current_thread() is not self._thread:
            self._wait(stream.aclose())
        elif self._loop is not None:  # the garbage collector may call from any thread, and this one must not wait
            self._loop.create_task(stream.aclose())

    def tables(self, namespace: str) -> tuple[str, ...]:
        """See `AsyncClient.tables`."""
        return self._wait(self._client.tables(namespace))

    def schema(self, namespace: str, table: str) -> VersionedSchema:
        """See `AsyncClient.schema`."""
        return self._wait(self._client.schema(namespace, table))

    def snapshot(self, namespace: str, tables: Sequence[str] = ("all",), delivery: Delivery | None = None) -> RunResult:
        """See `AsyncClient.snapshot`."""
        return self._wait(self._client.snapshot(namespace, tables, delivery))

    def incremental(
        self,
        namespace: str,
        tables: Sequence[str],
        since: str | Path,
        *,
        until: str | None = None,
        delivery: Delivery | None = None,
    ) -> RunResult:
        """See `AsyncClient.incremental`."""
        return self._wait(self._client.incremental(namespace, tables, since, until=until, delivery=delivery))

    def sync(self, namespace: str, tables: Sequence[str], to: str, options: SyncOptions | None = None) -> SyncResult:
        """See `AsyncClient.sync`."""
        return self._wait(self._client.sync(namespace, tables, to, options))

    def records(self, namespace: str, table: str, *, since: str | None = None) -> Iterator[Record]:
        """See `AsyncClient.records`."""
        return self._iterate(self._client.records(namespace, table, since=since), 1000)

    def submit(self, namespace: str, table: str, query: Query) -> Job:
        """See `AsyncClient.submit`."""
        return self._wait(self._client.submit(namespace, table, query))

    def poll(self, job_id: str) -> Job:
        """See `AsyncClient.poll`."""
        return self._wait(self._client.poll(job_id))

    def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """See `AsyncClient.sign`."""
        return self._wait(self._client.sign(object_ids))

    def open(self, url: str) -> Iterator[bytes]:
        """See `AsyncClient.open`."""
        return self._iterate(self._client.open(url), 1)


def _pass_on(task: "asyncio.Task[T]", answer: "Future[T]") -> None:
    """Tell the thread that waits what its call came to."""
    if task.cancelled():
        answer.set_exception(InterruptedRunError("The client was closed meanwhile."))
    elif error := task.exception():
        answer.set_exception(error)
    else:
        answer.set_result(task.result())


async def _next(rows: AsyncIterator[T], most: int) -> list[T]:
    batch: list[T] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == most:
            break
    return batch


def sync(
    namespace: str,
    tables: Sequence[str],
    to: str,
    options: SyncOptions | None = None,
    client: ClientOptions | None = None,
) -> SyncResult:
    """Make a database equal to the service in one call; see `AsyncClient.sync`."""
    with Client(client) as dap:
        return dap.sync(namespace, tables, to, options)
