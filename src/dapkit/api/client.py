"""The client without `await`: it runs an `AsyncClient` in a separate thread.

It therefore works in scripts, and in notebooks, where an event loop is already running. When an interrupted call
raises, its work has ended.
"""

import atexit
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dapkit.api.async_client import AsyncClient
from dapkit.api.loop_thread import LoopThread
from dapkit.config.settings import ClientOptions

if TYPE_CHECKING:
    from dapkit.decode.jsonl import Record
    from dapkit.export.options import ExportOptions
    from dapkit.model import Job, Query, VersionedSchema
    from dapkit.replication.options import SyncOptions
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult
    from dapkit.results import RunResult


class Client:
    """The client for scripts and notebooks.

    Use it as a context manager, or call `open` and `close`. Options that are not set are read from the environment, as
    the command reads them.

    Args:
        options: which service to use, and how.

    Raises:
        UsageError: an argument is invalid; so do all methods.

    Example:
        with Client(ClientOptions(sandbox=True)) as dap:
            result = dap.snapshot("canvas", ["users", "courses"], ExportOptions(format="parquet"))
            result.raise_for_failed()
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._client = AsyncClient(options)
        self._thread = LoopThread()

    def open(self) -> Self:
        """Connect, and return the client. A client that is open stays as it is; one that was closed opens again.

        Raises:
            CredentialsError: the client id or the secret is missing or invalid.
        """
        if self._thread.running:
            return self
        self._thread.start()
        try:
            self._thread.run(self._client.open())
        except BaseException:
            self._thread.stop()
            raise
        atexit.register(self.close)  # a notebook that ends without `close` leaves no temporary files
        return self

    def close(self) -> None:
        """End calls in other threads and close all connections. A client that is not open stays as it is."""
        if not self._thread.running:
            return
        atexit.unregister(self.close)
        try:
            self._thread.end_calls()
            self._thread.run(self._client.close())
        finally:
            self._thread.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables."""
        return self._thread.run(self._client.tables(namespace))

    def schema(self, namespace: str, table: str) -> "VersionedSchema":
        """Return a table's current JSON Schema and its version."""
        return self._thread.run(self._client.schema(namespace, table))

    def snapshot(
        self, namespace: str, tables: str | Sequence[str] = "all", options: "ExportOptions | None" = None
    ) -> "RunResult":
        """Download full copies of tables into a folder, like `dap snapshot`.

        A table that fails is listed in the result's `failed`; the others are complete.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            options: format, folder and more.

        Raises:
            DapError: an error that concerns all tables: credentials, account, the folder.
        """
        return self._thread.run(self._client.snapshot(namespace, tables, options))

    def incremental(
        self,
        namespace: str,
        tables: str | Sequence[str],
        since: datetime | str | Path,
        *,
        until: datetime | str | None = None,
        options: "ExportOptions | None" = None,
    ) -> "RunResult":
        """Download the changes of tables since a time into a folder, like `dap incremental`.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            since: an aware datetime, a text that is a time with a zone (such as the `watermark` of an earlier result),
                or the `Path` of a folder: then each table continues from its latest complete result there.
            until: the end, an aware datetime or a text that is a time with a zone; by default the latest available.
            options: format, folder and more.

        Raises:
            DapError: an error that concerns all tables: credentials, account, the folder.
        """
        return self._thread.run(self._client.incremental(namespace, tables, since, until=until, options=options))

    def sync(
        self, namespace: str, tables: str | Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Load tables into a database, or update those that are already there, like `dap sync`.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            to: URL of the database, such as `duckdb:college.duckdb`.
            options: how to load the tables.

        Raises:
            DapError: an error that concerns all tables: credentials, account, the database.
        """
        return self._thread.run(self._client.sync(namespace, tables, to, options))

    def reconcile(
        self,
        namespace: str,
        tables: str | Sequence[str],
        to: str,
        options: "SyncOptions | None" = None,
        *,
        sync: bool = True,
        sample: float | None = None,
    ) -> "ReconcileResult":
        """Check whether a database holds exactly the data that the service holds, like `dap reconcile`.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            to: URL of the database.
            options: how to update the tables first.
            sync: whether to update the tables first.
            sample: percentage of the rows whose values are compared (over 0, up to 100); all rows if None.

        Raises:
            DapError: an error that concerns all tables: credentials, account, the database.
        """
        return self._thread.run(self._client.reconcile(namespace, tables, to, options, sync=sync, sample=sample))

    def records(
        self,
        namespace: str,
        table: str,
        *,
        since: datetime | str | Path | None = None,
        until: datetime | str | None = None,
    ) -> "Iterator[Record]":
        """Yield a table's rows, or with `since` its changes, as records.

        The complete table is downloaded and verified first, in a temporary folder that is removed with the iterator.

        Args:
            namespace: namespace of the table.
            table: its name.
            since: as in `incremental`; None for all rows.
            until: as in `incremental`.

        Raises:
            DapError: the table cannot be downloaded; no record has been yielded then.
        """
        return self._thread.iterate(self._client.records(namespace, table, since=since, until=until), 1000)

    def submit(self, namespace: str, table: str, query: "Query") -> "Job":
        """Submit a job; if the service already has an identical one, that job is returned."""
        return self._thread.run(self._client.submit(namespace, table, query))

    def poll(self, job_id: str) -> "Job":
        """Return the current state of a job. Raises ExpiredError if the service no longer has it."""
        return self._thread.run(self._client.poll(job_id))

    def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object. Who knows such a URL can read the object, for some minutes."""
        return self._thread.run(self._client.sign(object_ids))

    def read(self, url: str) -> Iterator[bytes]:
        """Yield the bytes behind a signed URL, not verified. Raises RequestError if the store rejects it."""
        return self._thread.iterate(self._client.read(url), 1)


def sync(
    namespace: str,
    tables: str | Sequence[str],
    to: str,
    options: "SyncOptions | None" = None,
    client: ClientOptions | None = None,
) -> "SyncResult":
    """Load tables into a database, or update them, in one call; see `Client.sync`."""
    with Client(client) as dap:
        return dap.sync(namespace, tables, to, options)


def reconcile(
    namespace: str,
    tables: str | Sequence[str],
    to: str,
    options: "SyncOptions | None" = None,
    client: ClientOptions | None = None,
    *,
    sync: bool = True,
    sample: float | None = None,
) -> "ReconcileResult":
    """Compare a database with the service in one call; see `Client.reconcile`."""
    with Client(client) as dap:
        return dap.reconcile(namespace, tables, to, options, sync=sync, sample=sample)
