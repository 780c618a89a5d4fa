"""dapkit as a library: the commands as methods, and the lower calls below them.

`AsyncClient` is the client; `blocking` has the one without `await`. What is not given is read from the environment, as
the command reads it.
"""

import os
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from dapkit.api.connection import connect
from dapkit.client.session import Session
from dapkit.config.settings import (
    DEFAULT_URL,
    READ_TIMEOUT,
    RETRY_TIMEOUT,
    ConnectionSettings,
    SandboxSettings,
    read_number,
    stage_root,
    user_state_folder,
)
from dapkit.decode.jsonl import Record, records
from dapkit.errors import RequestError, UsageError
from dapkit.events import Event, Listener, Notice
from dapkit.export.run import ExportOptions, export
from dapkit.export.selection import split_tables
from dapkit.model import Format, Job, Mode, Query, VersionedSchema
from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.replication.run import SyncResult, replicate
from dapkit.results import RunResult, SyncCommand
from dapkit.targets.base import LoadOptions
from dapkit.targets.registry import target_of

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Where to and as whom.

    What is None is taken from the environment (`DAP_API_URL`, `DAP_CLIENT_ID`, `DAP_CLIENT_SECRET`, `DAP_SCOPE`,
    `DAP_PACE`, `DAP_RETRY_TIMEOUT`, `DAP_READ_TIMEOUT`), else it is the command's default. `retry_timeout` and
    `read_timeout` are seconds.
    With `sandbox` a sandbox with instant jobs is started inside the process, which needs no address and no
    credentials; `sandbox_home` keeps its clock.
    """

    base_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    pace: str | None = None
    retry_timeout: float | None = None
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
    on_event: Listener = lambda _: None


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
    on_event: Listener = lambda _: None


def _settings(options: ClientOptions) -> ConnectionSettings:
    environ = options.environ
    scale = read_number(options.sandbox_scale, {}, "sandbox_scale", 1.0, positive=True)
    sandbox = SandboxSettings(home=options.sandbox_home, scale=scale, job_seconds=0.0)
    pace = options.pace or environ.get("DAP_PACE")
    default = NO_RATE_LIMIT if options.sandbox else PUBLISHED_RATE_LIMIT
    return ConnectionSettings(
        base_url=options.base_url or environ.get("DAP_API_URL") or DEFAULT_URL,
        client_id=options.client_id,
        client_secret=options.client_secret,
        client_secret_file=None,
        scope=options.scope or environ.get("DAP_SCOPE"),
        pace=RateLimit.parse(pace) if pace else default,
        retry_timeout=read_number(options.retry_timeout, environ, "DAP_RETRY_TIMEOUT", RETRY_TIMEOUT),
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
        self._patience = RETRY_TIMEOUT

    async def __aenter__(self) -> Self:
        settings = _settings(self._options)
        connection = await self._stack.enter_async_context(connect(settings, lambda _: None))
        self._patience = settings.retry_timeout
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
            retry_timeout=self._patience,
            new=delivery.new,
        )
        notices: list[str] = []

        def on_event(event: Event) -> None:
            if isinstance(event, Notice):
                notices.append(event.message)
            delivery.on_event(event)

        result = await export(self.session, options, on_event)
        return replace(result, notices=tuple(notices))

    async def sync(
        self, namespace: str, tables: Sequence[str], to: str, options: SyncOptions | None = None
    ) -> SyncResult:
        """Make a database equal to the service, whatever state either is in; see `engine.replication.replicate`.

        Args:
            namespace: where the tables are.
            tables: names, globs or `all`.
            to: the database, such as `duckdb:college.duckdb`.
            options: how it is done.
        """
        chosen = options or SyncOptions()
        return await replicate(self.session, self._replication(namespace, tables, to, chosen), chosen.on_event)

    async def reconcile(
        self,
        namespace: str,
        tables: Sequence[str],
        to: str,
        options: SyncOptions | None = None,
        *,
        sync: bool = True,
        sample: float | None = None,
    ) -> ReconcileResult:
        """Say whether a database holds exactly what the service holds; see `engine.replication.reconcile.reconcile`.

        Args:
            namespace: where the tables are.
            tables: names, globs or `all`.
            to: the database, such as `duckdb:college.duckdb`.
            options: how it is done, and how the tables are brought up to date.
            sync: whether they are, before they are compared.
            sample: of how many percent of the rows (over 0 to 100) the values are compared; of all, when it is None.
        """
        if sample is not None and not 0 < sample <= 100:
            raise UsageError(f"The sample {sample!r} is no percentage over 0 to 100.")
        chosen = options or SyncOptions()
        wanted = self._replication(namespace, tables, to, chosen)
        return await reconcile(self.session, wanted, chosen.on_event, sync=sync, sample=sample)

    def _replication(self, namespace: str, tables: Sequence[str], to: str, chosen: SyncOptions) -> ReplicateOptions:
        return ReplicateOptions(
            command=SyncCommand.SYNC,
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
            retry_timeout=self._patience,
        )

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
