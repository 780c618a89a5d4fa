"""dapkit as a library: the commands as methods, and the lower calls below them.

`AsyncClient` is the client; `Client` runs one in a thread of its own, so that it works in scripts and in notebooks,
where an event loop is running already. Environment variables are read as the command reads them.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from dapkit.client.session import Session
from dapkit.connection import connect
from dapkit.decode.jsonl import Record, records
from dapkit.engine.events import Listener, RunResult
from dapkit.engine.export import ExportOptions, export
from dapkit.errors import RequestError, UsageError
from dapkit.model import Format, Job, Mode, Query, VersionedSchema
from dapkit.protocol.budget import NO_PACE, PUBLISHED_PACE, Pace
from dapkit.settings import DEFAULT_URL, ConnectionSettings, SandboxSettings, user_state_folder

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Where to and as whom.

    What is None is taken from the environment (`DAP_API_URL`, `DAP_CLIENT_ID`, `DAP_CLIENT_SECRET`, `DAP_SCOPE`,
    `DAP_PACE`).
    With `sandbox` a sandbox with instant jobs is started inside the process and needs none of them; `sandbox_home`
    keeps its clock.
    """

    base_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    pace: str | None = None
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


def _settings(options: ClientOptions) -> ConnectionSettings:
    environ = options.environ
    sandbox = SandboxSettings(home=options.sandbox_home, scale=options.sandbox_scale, job_seconds=0.0)
    pace = options.pace or environ.get("DAP_PACE")
    default = NO_PACE if options.sandbox else PUBLISHED_PACE
    return ConnectionSettings(
        base_url=options.base_url or environ.get("DAP_API_URL") or DEFAULT_URL,
        client_id=options.client_id,
        client_secret=options.client_secret,
        client_secret_file=None,
        scope=options.scope or environ.get("DAP_SCOPE"),
        pace=Pace.parse(pace) if pace else default,
        ca_file=options.ca_file,
        state_folder=user_state_folder(environ),
        sandbox=sandbox if options.sandbox else None,
        environ=environ,
    )


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

    async def __aenter__(self) -> Self:
        connection = await self._stack.enter_async_context(connect(_settings(self._options), lambda _: None))
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
            format=Format(delivery.format),
            mode=Mode(delivery.mode) if delivery.mode else None,
            since=since if isinstance(since, str) else None,
            until=until,
        )
        options = ExportOptions(
            namespace=namespace,
            tables=tuple(tables),
            exclude=tuple(delivery.exclude),
            query=query,
            since_folder=folder,
            output=Path(delivery.output),
            concurrency=delivery.concurrency,
            new=delivery.new,
        )
        return await export(self.session, options, delivery.listen)

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
            self._wait(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            call.close()
            raise UsageError("The client is not open", hint="Use it as a context manager: with Client(…) as dap: …")
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _stop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

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

    def records(self, namespace: str, table: str, *, since: str | None = None) -> Iterator[Record]:
        """See `AsyncClient.records`."""
        rows = self._client.records(namespace, table, since=since)
        try:
            while True:
                batch = self._wait(_next(rows, 1000))
                if not batch:
                    return
                yield from batch
        finally:
            self._wait(rows.aclose())

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
        """Yield the bytes behind a signed URL, unchecked."""
        chunks = self._client.open(url)
        try:
            while piece := self._wait(_next(chunks, 1)):
                yield from piece
        finally:
            self._wait(chunks.aclose())


async def _next(rows: AsyncIterator[T], most: int) -> list[T]:
    batch: list[T] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == most:
            break
    return batch
