"""The commands as methods, and the low-level calls below them.

Importing this module is cheap: each method imports what it needs (the HTTP library, databases, the sandbox).
"""

import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from dapkit.api.loop_thread import OPEN_HINT, in_thread
from dapkit.api.notices import keep_notices
from dapkit.config import arguments
from dapkit.config.settings import ClientOptions, library_settings
from dapkit.errors import UsageError
from dapkit.events import Listener, Notice, RunEnded
from dapkit.protocol.secrets import hidden

if TYPE_CHECKING:
    from dapkit.api.doctor import DoctorResult
    from dapkit.client.session import Session
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
    from dapkit.replication.options import SyncOptions, SyncRequest
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult

NOTHING: Final[Mapping[str, Any]] = {}


class AsyncClient:
    """The client for programs with an event loop.

    Use it as a context manager, or call `open` and `close`. Options that are not set are read from the environment, as
    the command reads them.

    Args:
        options: which service to use, and how.

    Raises:
        UsageError: an argument is invalid; so do all methods.

    Example:
        async with AsyncClient(ClientOptions(sandbox=True)) as dap:
            result = await dap.snapshot("canvas", ["users", "courses"], ExportOptions(format="parquet"))
            result.raise_for_failed()
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        given = ClientOptions() if options is None else options
        self._options = arguments.require("options", given, ClientOptions, "ClientOptions or None")
        self._settings = self._options
        self._stack = AsyncExitStack()
        self._session: Session | None = None

    async def open(self) -> Self:
        """Connect, and return the client. A client that is open stays as it is; one that was closed opens again.

        Raises:
            CredentialsError: the client id or the secret is missing or invalid.
        """
        from dapkit.api.connection import connect  # noqa: PLC0415, see the module

        if self._session is None:
            settings = library_settings(self._options)
            connection = await self._stack.enter_async_context(connect(settings, settings.on_event))
            self._settings, self._session = settings, connection.session
        return self

    async def close(self) -> None:
        """Close all connections. A client that is not open stays as it is."""
        self._session = None
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def session(self) -> "Session":
        """The open session. Raises UsageError if the client is not open."""
        if self._session is None:
            raise UsageError("The client is not open", hint=OPEN_HINT)
        return self._session

    async def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables."""
        return await self.session.tables(arguments.text("namespace", namespace))

    async def schema(self, namespace: str, table: str) -> "VersionedSchema":
        """Return a table's current JSON Schema and its version."""
        return await self.session.schema(arguments.text("namespace", namespace), arguments.text("table", table))

    async def snapshot(
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
        return await self._export(namespace, tables, options)

    async def incremental(
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
        from dapkit.api.requests import increment_times  # noqa: PLC0415, see the module

        return await self._export(namespace, tables, options, increment_times(since, until))

    async def _export(
        self,
        namespace: str,
        tables: str | Sequence[str],
        options: "ExportOptions | None",
        times: Mapping[str, Any] = NOTHING,
    ) -> "RunResult":
        from dapkit.api.requests import export_request  # noqa: PLC0415, see the module
        from dapkit.export.run import export  # noqa: PLC0415, see the module

        retry_timeout = self._settings.retry_timeout
        request = export_request(namespace, tables, options, times=times, retry_timeout=retry_timeout)
        notices: list[str] = []
        with self._run() as on_event:
            result = await export(self.session, request, keep_notices(on_event, notices))
        return replace(result, notices=tuple(notices))

    async def sync(
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
        to = hidden(to)  # a password in it must not be shown with the local variables of a traceback
        return await self._replicate("sync", namespace, tables, to, options)

    async def initdb(
        self, namespace: str, tables: str | Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Load tables into a database for the first time, like `dap initdb`; arguments as in `sync`.

        A table that is already in the database is listed in the result's `failed`.
        """
        to = hidden(to)
        return await self._replicate("initdb", namespace, tables, to, options)

    async def syncdb(
        self, namespace: str, tables: str | Sequence[str], to: str, options: "SyncOptions | None" = None
    ) -> "SyncResult":
        """Update tables in a database, like `dap syncdb`; arguments as in `sync`.

        A table that is not in the database is listed in the result's `failed`.
        """
        to = hidden(to)
        return await self._replicate("syncdb", namespace, tables, to, options)

    async def reconcile(
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
        from dapkit.api.requests import check_sample  # noqa: PLC0415, see the module
        from dapkit.replication.reconcile import reconcile  # noqa: PLC0415, see the module

        to = hidden(to)
        arguments.flag("sync", sync)
        check_sample(sample)
        request = self._sync_request("sync", namespace, tables, to, options)
        with self._run() as on_event:
            return await reconcile(self.session, request, on_event, sync=sync, sample=sample)

    async def listdb(
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
        from dapkit.api.requests import target  # noqa: PLC0415, see the module
        from dapkit.replication.listing import compare_with_service, list_tables  # noqa: PLC0415, see the module

        to = hidden(to)
        name, database = arguments.text("namespace", namespace), target(to)
        arguments.flag("omit_not_replicated", omit_not_replicated)
        arguments.flag("omit_record_count", omit_record_count)
        session = self._session if omit_not_replicated else self.session
        listing = await in_thread(list_tables, database, name, count=not omit_record_count)
        if session is None:
            return listing
        return await compare_with_service(session, listing, omit_not_replicated=omit_not_replicated)

    async def dropdb(
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
        from dapkit.api.requests import target  # noqa: PLC0415, see the module
        from dapkit.replication.managed_tables import drop_tables  # noqa: PLC0415, see the module

        to = hidden(to)
        arguments.flag("include_unmanaged", include_unmanaged)
        name, chosen = arguments.text("namespace", namespace), arguments.names("tables", tables)
        return await in_thread(drop_tables, target(to), name, chosen, include_unmanaged=include_unmanaged)

    async def verify(self, folder: str | Path, *, remove_damaged: bool = False) -> "VerifyResult":
        """Verify downloaded files against their manifests, like `dap verify`. The client need not be open.

        Args:
            folder: a folder that files were downloaded to; those below it are verified too.
            remove_damaged: whether to delete the files that fail, and their manifest.

        Raises:
            VerificationError: there is no such folder, or it contains nothing that can be verified.
        """
        from dapkit.api.folders import verify  # noqa: PLC0415, see the module

        return await in_thread(verify, folder, remove_damaged=remove_damaged)

    async def results(self, folder: str | Path = "downloads") -> "FolderResults":
        """Return the results in an output folder, raw and flat, like `dap results`. The client need not be open."""
        from dapkit.api.folders import results  # noqa: PLC0415, see the module

        return await in_thread(results, folder)

    async def prune(
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
        from dapkit.api.folders import prune  # noqa: PLC0415, see the module

        return await in_thread(prune, folder, keep=keep, older_than=older_than, tables=tables, dry_run=dry_run)

    async def doctor(self, folder: str | Path = "downloads") -> "DoctorResult":
        """Check credentials, network, clock and disk, like `dap doctor`. The client need not be open.

        Args:
            folder: the folder that files are going to be downloaded to.
        """
        from dapkit.api.doctor import DoctorResult, examine  # noqa: PLC0415, see the module

        place, settings = arguments.folder("folder", folder), library_settings(self._options)
        return DoctorResult(findings=tuple([each async for each in examine(settings, place, settings.on_event)]))

    async def download_schema(
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
        from dapkit.export.schemas import save_schemas  # noqa: PLC0415, see the module

        result = await save_schemas(
            self.session,
            arguments.text("namespace", namespace),
            arguments.names("tables", tables),
            arguments.names("exclude", exclude, empty=True),
            arguments.folder("output", output),
        )
        if result.notice:
            self._options.on_event(Notice(message=result.notice))
        return result

    async def describe(
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
        from dapkit.describe.run import describe  # noqa: PLC0415, see the module

        name, left_out = arguments.text("namespace", namespace), arguments.names("exclude", exclude, empty=True)
        selection = {name: arguments.names("tables", tables)}
        return await describe(self.session, selection, {name: left_out} if left_out else {})

    @contextmanager
    def _run(self) -> Iterator[Listener]:
        """Yield the listener, and tell it when the run has ended, however it ended."""
        try:
            yield self._options.on_event
        finally:
            self._options.on_event(RunEnded())

    async def _replicate(self, command: str, namespace: str, tables: object, to: str, options: object) -> "SyncResult":
        from dapkit.replication.run import replicate  # noqa: PLC0415, see the module

        request = self._sync_request(command, namespace, tables, to, options)
        with self._run() as on_event:
            return await replicate(self.session, request, on_event)

    def _sync_request(self, command: str, namespace: str, tables: object, to: str, options: object) -> "SyncRequest":
        from dapkit.api.requests import sync_request  # noqa: PLC0415, see the module
        from dapkit.results import SyncCommand  # noqa: PLC0415, see the module

        retry_timeout = self._settings.retry_timeout
        return sync_request(SyncCommand(command), namespace, tables, to, options, retry_timeout=retry_timeout)

    async def records(
        self,
        namespace: str,
        table: str,
        *,
        since: datetime | str | Path | None = None,
        until: datetime | str | None = None,
    ) -> "AsyncGenerator[Record, None]":
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
        from dapkit.api.requests import record_times  # noqa: PLC0415, see the module
        from dapkit.decode.jsonl import records  # noqa: PLC0415, see the module
        from dapkit.export.options import ExportOptions  # noqa: PLC0415, see the module

        name, times = arguments.text("table", table), record_times(since, until)
        with tempfile.TemporaryDirectory(prefix="dapkit-") as folder:
            result = await self._export(namespace, (name,), ExportOptions(output=folder), times)
            result.raise_for_failed()
            for path in sorted(path for complete in result.done for path in complete.files):
                for record in records(path):
                    yield record

    async def submit(self, namespace: str, table: str, query: "Query") -> "Job":
        """Submit a job; if the service already has an identical one, that job is returned."""
        from dapkit.api.requests import checked_query  # noqa: PLC0415, see the module

        place = arguments.text("namespace", namespace), arguments.text("table", table)
        return await self.session.submit(*place, checked_query(query))

    async def poll(self, job_id: str) -> "Job":
        """Return the current state of a job. Raises ExpiredError if the service no longer has it."""
        return await self.session.poll(arguments.text("job_id", job_id, "the id of a job"))

    async def await_job(self, job: "Job | str") -> "Job":
        """Wait until a job is complete or has failed, and return it.

        Args:
            job: the job of `submit`, or its id.

        Raises:
            ExpiredError: the service no longer has the job.
        """
        from dapkit.client.jobs import await_job  # noqa: PLC0415, see the module
        from dapkit.model import Job  # noqa: PLC0415, see the module

        if not isinstance(job, Job):
            job = await self.session.poll(arguments.text("job", job, "a Job or the id of a job"))
        return await await_job(self.session, job)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object. Who knows such a URL can read the object, for some minutes."""
        if isinstance(object_ids, str):
            raise arguments.invalid("object_ids", object_ids, "a list of ids")
        return await self.session.sign(arguments.items("object_ids", object_ids))

    async def read(self, url: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes behind a signed URL, not verified. Raises RequestError if the store rejects it."""
        from dapkit.api.requests import check_object_status  # noqa: PLC0415, see the module

        url = hidden(url)
        async with self.session.open(arguments.text("url", url, "a URL of `sign`")) as stream:
            check_object_status(stream.status)
            async for chunk in stream.chunks():
                yield chunk
