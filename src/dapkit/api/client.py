"""The client without `await`: it runs an `AsyncClient` in a separate thread.

It therefore works in scripts, and in notebooks, where an event loop is already running. When an interrupted call
raises, its work has ended.
"""

import atexit
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dapkit.api.async_client import AsyncClient
from dapkit.api.loop_thread import LoopThread
from dapkit.config import arguments
from dapkit.config.settings import ClientOptions
from dapkit.protocol.secrets import hidden

if TYPE_CHECKING:
    from dapkit.api.doctor import DoctorResult
    from dapkit.decode.jsonl import Record
    from dapkit.describe.run import DescribeResult
    from dapkit.export.options import ExportOptions
    from dapkit.export.prune import PruneResult
    from dapkit.export.run_result import RunResult
    from dapkit.export.schemas import SchemasResult
    from dapkit.export.stored_results import FolderResults
    from dapkit.export.verify import VerifyResult
    from dapkit.model import Job, Query, VersionedSchema
    from dapkit.replication.listing import DatabaseListing
    from dapkit.replication.managed_tables import DropResult
    from dapkit.replication.options import SyncOptions
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult

T = TypeVar("T")


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

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call that does not need an open client."""
        if self._thread.running:
            return self._thread.run(call)
        thread = LoopThread()
        thread.start()
        try:
            return thread.run(call)
        finally:
            thread.stop()

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
                an age such as `2d`, which counts from the beginning of the run, or the `Path` of a folder: then each
                table continues from its latest complete result there.
            until: the end, an aware datetime or such a text; by default the latest available.
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
        to = hidden(to)
        return self._thread.run(self._client.sync(namespace, tables, to, options))

    def initdb(
        self, namespace: str, tables: str | Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Load tables into a database for the first time, like `dap initdb`; arguments as in `sync`.

        A table that is already in the database is listed in the result's `failed`.
        """
        to = hidden(to)
        return self._thread.run(self._client.initdb(namespace, tables, to, options))

    def syncdb(
        self, namespace: str, tables: str | Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Update tables in a database, like `dap syncdb`; arguments as in `sync`.

        A table that is not in the database is listed in the result's `failed`.
        """
        to = hidden(to)
        return self._thread.run(self._client.syncdb(namespace, tables, to, options))

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
        to = hidden(to)
        return self._thread.run(self._client.reconcile(namespace, tables, to, options, sync=sync, sample=sample))

    def listdb(
        self,
        namespace: str,
        to: str,
        *,
        omit_not_replicated: bool = False,
        omit_record_count: bool = False,
    ) -> "DatabaseListing":
        """List the tables in a database and the age of their data, like `dap listdb`.

        Args:
            namespace: namespace of the tables.
            to: URL of the database.
            omit_not_replicated: whether to leave out the tables that only the service has. Then the client need not be
                open.
            omit_record_count: whether to leave rows uncounted.

        Raises:
            DapError: the database or the service cannot be used.
        """
        to = hidden(to)
        return self._run(
            self._client.listdb(
                namespace, to, omit_not_replicated=omit_not_replicated, omit_record_count=omit_record_count
            )
        )

    def dropdb(
        self, namespace: str, tables: str | Sequence[str], to: str, *, include_unmanaged: bool = False
    ) -> "DropResult":
        """Drop tables from a database, with their sync state, without asking. The client need not be open.

        If one of the tables must not be dropped, none is.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`; patterns and `all` select only tables that dapkit manages.
            to: URL of the database.
            include_unmanaged: whether to drop tables that are given by name even if dapkit does not manage them.

        Raises:
            NotReplicatedError: there is no database, or a table is not managed.
            DapError: the database cannot be used.
        """
        to = hidden(to)
        return self._run(self._client.dropdb(namespace, tables, to, include_unmanaged=include_unmanaged))

    def verify(self, folder: str | Path, *, remove_damaged: bool = False) -> "VerifyResult":
        """Verify downloaded files against their manifests, like `dap verify`. The client need not be open.

        Args:
            folder: a folder that files were downloaded to; those below it are verified too.
            remove_damaged: whether to delete the files that fail, and their manifest.

        Raises:
            VerificationError: there is no such folder, or it contains nothing that can be verified.
        """
        return self._run(self._client.verify(folder, remove_damaged=remove_damaged))

    def results(self, folder: str | Path = "downloads") -> "FolderResults":
        """Return the results in an output folder, raw and flat, like `dap results`. The client need not be open."""
        return self._run(self._client.results(folder))

    def prune(
        self,
        folder: str | Path,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        tables: str | Sequence[str] = (),
        dry_run: bool = False,
    ) -> "PruneResult":
        """Remove results that are no longer needed, like `dap prune`. The client need not be open.

        Args:
            folder: an output folder.
            keep: how many snapshots of each table are kept; or give `older_than`.
            older_than: remove results that were complete before this age.
            tables: names or patterns; without any, all tables except those of logs, which have to be named.
            dry_run: whether to remove nothing, and return what would be removed.
        """
        return self._run(self._client.prune(folder, keep=keep, older_than=older_than, tables=tables, dry_run=dry_run))

    def doctor(self, folder: str | Path = "downloads") -> "DoctorResult":
        """Check credentials, network, clock and disk, like `dap doctor`. The client need not be open.

        Args:
            folder: the folder that files are going to be downloaded to.
        """
        return self._run(self._client.doctor(folder))

    def download_schema(
        self,
        namespace: str,
        tables: str | Sequence[str],
        output: str | Path = "downloads",
        *,
        exclude: str | Sequence[str] = (),
    ) -> "SchemasResult":
        """Save the current JSON Schemas of tables, like `dap schema`: `<table>_schema_version_<n>.json`.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            output: folder to write to.
            exclude: tables or patterns that are left out.

        Raises:
            DapError: an error that concerns all tables: credentials, account, the folder.
        """
        return self._thread.run(self._client.download_schema(namespace, tables, output, exclude=exclude))

    def describe(
        self, namespace: str, tables: str | Sequence[str], *, exclude: str | Sequence[str] = ()
    ) -> "DescribeResult":
        """Describe tables: columns, types, meanings, keys and relations, like `dap describe`.

        Args:
            namespace: namespace of the tables.
            tables: names, patterns or `all`.
            exclude: tables or patterns that are left out.

        Raises:
            DapError: an error that concerns all tables: credentials, account.
        """
        return self._thread.run(self._client.describe(namespace, tables, exclude=exclude))

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

    def await_job(self, job: "Job | str") -> "Job":
        """Wait until a job is complete or has failed, and return it.

        Args:
            job: the job of `submit`, or its id.

        Raises:
            ExpiredError: the service no longer has the job.
        """
        return self._thread.run(self._client.await_job(job))

    def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object. Who knows such a URL can read the object, for some minutes."""
        return self._thread.run(self._client.sign(object_ids))

    def read(self, url: str) -> Iterator[bytes]:
        """Yield the bytes behind a signed URL, not verified. Raises RequestError if the store rejects it."""
        url = hidden(url)
        return self._thread.iterate(self._client.read(url), 1)


def sync(
    namespace: str,
    tables: str | Sequence[str],
    to: str,
    options: "SyncOptions | None" = None,
    client: ClientOptions | None = None,
) -> "SyncResult":
    """Load tables into a database, or update them, in one call; see `Client.sync`."""
    to = hidden(to)
    if client is not None:
        arguments.require("client", client, ClientOptions, "ClientOptions or None")
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
    to = hidden(to)
    if client is not None:
        arguments.require("client", client, ClientOptions, "ClientOptions or None")
    with Client(client) as dap:
        return dap.reconcile(namespace, tables, to, options, sync=sync, sample=sample)
