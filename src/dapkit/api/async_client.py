"""The commands as methods, and the low-level calls below them.

Importing this module is cheap: each method imports what it needs (the HTTP library, databases, the sandbox).
"""

import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dapkit.config.settings import ClientOptions, library_settings, staging_root
from dapkit.errors import RequestError, UsageError
from dapkit.events import Event, Listener, Notice

if TYPE_CHECKING:
    from dapkit.client.session import Session
    from dapkit.decode.jsonl import Record
    from dapkit.export.options import ExportOptions
    from dapkit.model import Job, Query, VersionedSchema
    from dapkit.replication.options import SyncOptions, SyncRequest
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult
    from dapkit.results import RunResult


class AsyncClient:
    """The client for programs with an event loop. Use it as a context manager.

    Options that are not set are read from the environment, as the command reads them.

    Example:
        async with AsyncClient(ClientOptions(sandbox=True)) as dap:
            result = await dap.snapshot("canvas", ["users", "courses"], ExportOptions(format="parquet"))
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self._settings = self._options
        self._stack = AsyncExitStack()
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        from dapkit.api.connection import connect  # noqa: PLC0415, see the module

        settings = library_settings(self._options)
        connection = await self._stack.enter_async_context(connect(settings, settings.on_event))
        self._settings, self._session = settings, connection.session
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._session = None

    @property
    def session(self) -> "Session":
        """The open session. Raises UsageError outside `async with`."""
        if self._session is None:
            raise UsageError("The client is not open", hint="Use it as a context manager: with Client(…) as dap: …")
        return self._session

    async def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the namespace's tables."""
        return await self.session.tables(namespace)

    async def schema(self, namespace: str, table: str) -> "VersionedSchema":
        """Return a table's current JSON Schema and its version."""
        return await self.session.schema(namespace, table)

    async def snapshot(
        self, namespace: str, tables: Sequence[str] = ("all",), options: "ExportOptions | None" = None
    ) -> "RunResult":
        """Download full copies of tables into a folder. `tables` are names, patterns or `all`."""
        return await self._export(namespace, tables, options)

    async def incremental(
        self,
        namespace: str,
        tables: Sequence[str],
        since: str | Path,
        *,
        until: str | None = None,
        options: "ExportOptions | None" = None,
    ) -> "RunResult":
        """Download changes into a folder. `since` is a time with a zone (text), or the folder of earlier results."""
        start = {"since_folder" if isinstance(since, Path) else "since": since}
        return await self._export(namespace, tables, options, until=until, **start)

    async def _export(
        self, namespace: str, tables: Sequence[str], options: "ExportOptions | None", **more: Any
    ) -> "RunResult":
        from dapkit.export.options import ExportOptions, ExportRequest  # noqa: PLC0415, see the module
        from dapkit.export.run import export  # noqa: PLC0415, see the module

        given = _values(options or ExportOptions())
        request = ExportRequest(
            namespace=namespace,
            tables=_names(tables),
            retry_timeout=self._settings.retry_timeout,
            **{**given, "output": Path(given["output"])},
            **more,
        )
        notices: list[str] = []
        result = await export(self.session, request, _keeping_notices(self._options.on_event, notices))
        return replace(result, notices=tuple(notices))

    async def sync(
        self, namespace: str, tables: Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Load tables into a database, or update those that are already there.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            to: URL of the database, such as `duckdb:college.duckdb`.
            options: how to load the tables.
        """
        from dapkit.replication.run import replicate  # noqa: PLC0415, see the module

        return await replicate(self.session, self._sync(namespace, tables, to, options), self._options.on_event)

    async def reconcile(
        self,
        namespace: str,
        tables: Sequence[str],
        to: str,
        options: "SyncOptions | None" = None,
        *,
        sync: bool = True,
        sample: float | None = None,
    ) -> "ReconcileResult":
        """Check whether a database holds exactly the data that the service holds.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            to: URL of the database.
            options: how to update the tables first.
            sync: whether to update the tables first.
            sample: percentage of the rows whose values are compared (over 0, up to 100); all rows if None.

        Raises:
            UsageError: the sample is not such a percentage.
        """
        from dapkit.replication.reconcile import reconcile  # noqa: PLC0415, see the module

        if sample is not None and not 0 < sample <= 100:
            raise UsageError(f"The sample must be a percentage greater than 0 and at most 100, not {sample!r}")
        request = self._sync(namespace, tables, to, options)
        return await reconcile(self.session, request, self._options.on_event, sync=sync, sample=sample)

    def _sync(self, namespace: str, tables: Sequence[str], to: str, options: "SyncOptions | None") -> "SyncRequest":
        from dapkit.replication.options import SyncOptions, SyncRequest  # noqa: PLC0415, see the module
        from dapkit.results import SyncCommand  # noqa: PLC0415, see the module
        from dapkit.targets.registry import target_of  # noqa: PLC0415, see the module

        given = _values(options or SyncOptions())
        return SyncRequest(
            command=SyncCommand.SYNC,
            namespace=namespace,
            tables=_names(tables),
            target=target_of(to),
            retry_timeout=self._settings.retry_timeout,
            **{**given, "stage": staging_root(given["stage"])},
        )

    async def records(self, namespace: str, table: str, *, since: str | None = None) -> "AsyncGenerator[Record, None]":
        """Yield a table's rows, or with `since` its changes, as records.

        The complete table is downloaded and verified first, in a temporary folder that is removed with the iterator.

        Raises:
            DapError: the table cannot be downloaded; no record has been yielded then.
        """
        from dapkit.decode.jsonl import records  # noqa: PLC0415, see the module
        from dapkit.export.options import ExportOptions  # noqa: PLC0415, see the module

        with tempfile.TemporaryDirectory(prefix="dapkit-") as folder:
            result = await self._export(namespace, (table,), ExportOptions(output=folder), since=since)
            for failure in result.failed:
                raise failure.error
            for complete in result.done:
                for path in sorted(complete.folder.glob("[!.]*")):
                    for record in records(path):
                        yield record

    async def submit(self, namespace: str, table: str, query: "Query") -> "Job":
        """Submit a job; if the service already has an identical one, that job is returned."""
        return await self.session.submit(namespace, table, query)

    async def poll(self, job_id: str) -> "Job":
        """Return the current state of a job."""
        return await self.session.poll(job_id)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object; it is valid for some minutes."""
        return await self.session.sign(object_ids)

    async def open(self, url: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes behind a signed URL, not verified. Raises RequestError if the store rejects it."""
        async with self.session.open(url) as stream:
            if stream.status != 200:
                raise RequestError(f"The object store responded with status {stream.status}", hint="Sign it again.")
            async for chunk in stream.chunks():
                yield chunk


def _values(options: "ExportOptions | SyncOptions") -> dict[str, Any]:
    return {each.name: getattr(options, each.name) for each in fields(options)}


def _names(tables: Sequence[str]) -> tuple[str, ...]:
    from dapkit.export.selection import split_tables  # noqa: PLC0415, see the module

    return split_tables([tables] if isinstance(tables, str) else tables)


def _keeping_notices(on_event: Listener, notices: list[str]) -> Callable[[Event], None]:
    """Return a listener that also adds notices to the list."""

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.message)
        on_event(event)

    return listen
