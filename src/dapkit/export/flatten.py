"""`dap flatten`: raw results that are already in a folder, as flat files.

Of each table, the latest snapshot becomes its flat file, and every increment a file of changes. The schema is read from
the folder if `dap schema` saved it there in the right version; otherwise the service is asked.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dapkit import __version__
from dapkit.client.clock import SystemClock
from dapkit.client.session import Session
from dapkit.errors import DapError, ManifestError, SandboxMismatchError, UsageError
from dapkit.events import Listener, Notice, TableCompleted
from dapkit.export.flat_table import FlatTable, Flattening, flattening
from dapkit.export.isolation import isolate
from dapkit.export.options import FlatOptions
from dapkit.export.schemas import schema_of_job
from dapkit.failures import TableFailed
from dapkit.model import FlatFormat, Nested, VersionedSchema, epoch_seconds
from dapkit.results import Display, TableResult, TablesResult
from dapkit.storage.local import LocalFolder
from dapkit.storage.names import schema_file
from dapkit.tables.flat_files import FlatState, flat_path, read_state
from dapkit.transfer import manifest
from dapkit.transfer.locking import hold_lock
from dapkit.transfer.manifest import Manifest
from dapkit.transfer.workers import WorkerPool, run_all


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResult:
    """A complete raw result, and its schema if the folder has it."""

    folder: LocalFolder
    manifest: Manifest
    schema: VersionedSchema | None

    @property
    def name(self) -> tuple[str, str]:
        """The namespace and the table."""
        return self.manifest.namespace, self.manifest.table


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenResult(TablesResult):
    """The results that are flat now (`done`), and those that failed; `folder` is where both are."""

    folder: Path
    done: tuple[TableResult, ...]
    failed: tuple[TableFailed, ...]

    def _display(self) -> Display:
        rows = ((each.table, each.rows, each.watermark, each.files[0]) for each in self.done)
        return f"Flat tables in {self.folder}", ("table", "rows", "at", "file"), rows


def raw_results(folder: Path, on_event: Listener) -> tuple[RawResult, ...]:
    """Return the results in a folder that can be flattened.

    Raises:
        UsageError: there is none.
    """
    found: list[RawResult] = []
    for each in manifest.folders(folder):
        try:
            content = manifest.read(each)
        except ManifestError as error:
            on_event(Notice(message=f"{error.message}. It is skipped."))
            continue
        if content is not None and content.watermark is not None and manifest.has_all_files(each, content):
            found.append(RawResult(folder=each, manifest=content, schema=saved_schema(folder, content)))
    if not found:
        raise UsageError(
            f"{folder} has no complete raw results", hint="Give the folder that a snapshot was written to."
        )
    return latest(found)


def latest(found: Sequence[RawResult]) -> tuple[RawResult, ...]:
    """PURE: return all increments, and the latest snapshot of each table."""
    snapshots: dict[tuple[str, str, str], RawResult] = {}
    others: list[RawResult] = []
    for result in found:
        content = result.manifest
        if content.at is None:
            others.append(result)
            continue
        key = (content.service, content.namespace, content.table)
        earlier = snapshots.get(key)
        if earlier is None or epoch_seconds(content.at) > epoch_seconds(earlier.manifest.at or ""):
            snapshots[key] = result
    return (*snapshots.values(), *others)


def saved_schema(folder: Path, content: Manifest) -> VersionedSchema | None:
    """Return the schema of a result from a file of `dap schema` in the folder; None if it has no such version."""
    version = content.schema_version
    if version is None:
        return None
    try:
        saved = msgspec.json.decode((folder / schema_file(content.table, version)).read_bytes())
        document = saved["schema"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError, DapError):
        return None
    return VersionedSchema(namespace=content.namespace, table=content.table, version=version, document=document)


async def flatten(
    session: Session | None,
    folder: Path,
    results: Sequence[RawResult],
    options: FlatOptions,
    pool: WorkerPool,
    on_event: Listener,
) -> FlattenResult:
    """Write the flat files of results.

    Args:
        session: with the service; needed if a result has no schema.
        folder: where the results are, and where the flat files go.
        results: of `raw_results`.
        options: of the flat files; without `keep_raw`, the raw files are deleted.
        pool: worker threads.
        on_event: called for everything that happens.

    Raises:
        DapError: an error that affects all tables.
    """
    clock = session.clock if session else SystemClock()
    locks = folder / ".dap" / "locks"

    def on_busy(_holder: str) -> None:
        on_event(Notice(message=f"{folder}: another process is flattening. Waiting for it to finish."))

    async with hold_lock(locks / "flatten.lock", clock, on_busy):
        with flattening(folder, options, "flatten", pool, on_event) as shared:
            assert shared is not None
            turns: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
            outcomes = await run_all(
                isolate(each.manifest.table, folder, _flatten_one, shared, each, session, on_event, turns[each.name])
                for each in results
            )
    return FlattenResult(
        folder=folder,
        done=tuple(each for each in outcomes if isinstance(each, TableResult)),
        failed=tuple(each for each in outcomes if isinstance(each, TableFailed)),
    )


async def _flatten_one(
    shared: Flattening, result: RawResult, session: Session | None, on_event: Listener, turn: asyncio.Lock
) -> TableResult:
    """Flatten a result. `turn` is the lock of its table: one result of a table after the other."""
    content = result.manifest
    clock = session.clock if session else SystemClock()

    def on_busy(holder: str) -> None:
        on_event(Notice(message=f"{content.table}: in use by another run ({holder}). Waiting for it to finish."))

    # A run may be writing the same flat file, or verifying the same raw files in order to keep them.
    flat_lock = shared.lock(content.namespace, content.table)
    job_lock = shared.output / ".dap" / "locks" / f"{result.folder.path.name}.lock"
    async with turn, hold_lock(flat_lock, clock, on_busy), hold_lock(job_lock, clock, on_busy):
        done = await _flatten_locked(shared, result, session)
        if not shared.options.keep_raw:
            await shared.pool.run(remove_result, result)
    on_event(TableCompleted(result=done))
    return done


async def _flatten_locked(shared: Flattening, result: RawResult, session: Session | None) -> TableResult:
    content = result.manifest
    state = _state(content, shared.options)
    _require_newer(flat_path(shared.output, state), state)
    done = shared.existing(state)
    if done is not None:
        return done
    if not (result.folder.path / manifest.NAME).exists():
        message = f"Another run has removed the raw result of {content.table}"
        raise UsageError(message, hint="Look at what is in the folder with `dap results`.")
    ids = [item.id for item in content.objects]
    table = FlatTable(shared, state, _schema(result, session), result.folder.path, ids)
    try:
        return await table.finish(content)
    finally:
        await table.cancel()


def _schema(result: RawResult, session: Session | None) -> Callable[[], Awaitable[VersionedSchema]]:
    content = result.manifest

    async def schema() -> VersionedSchema:
        if result.schema is not None:
            return result.schema
        assert session is not None, "a result without a schema needs a session"
        if session.identity != content.service:
            message = f"The result of {content.table} comes from {content.service}, not from {session.identity}"
            raise SandboxMismatchError(message, hint="Use the same service, or --sandbox for a result of the sandbox.")
        return await schema_of_job(session, content.namespace, content.table, content.schema_version)

    return schema


def _state(content: Manifest, options: FlatOptions) -> FlatState:
    return FlatState(
        written_by=f"dapkit {__version__}",
        service=content.service,
        sandbox=content.sandbox,
        scope=content.scope,
        namespace=content.namespace,
        table=content.table,
        format=FlatFormat(options.format),
        nested=Nested(options.nested),
        ts=options.with_ts or content.since is not None,
        downloaded_as=content.format,
        job_id=content.job_id,
        schema_version=content.schema_version,
        at=content.at,
        since=content.since,
        until=content.until,
        rows=0,
        verified_by=content.verified_by,
        completed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _require_newer(path: Path, state: FlatState) -> None:
    """Raise UsageError if there is a flat file of a later time."""
    existing = read_state(path)
    if existing is None or existing.watermark is None or state.watermark is None:
        return
    if epoch_seconds(existing.watermark) > epoch_seconds(state.watermark):
        message = f"{path} is newer ({existing.watermark}) than the raw result ({state.watermark})"
        raise UsageError(message, hint="The raw result is not needed any more: `dap prune` removes it.")


def remove_result(result: RawResult) -> None:
    """Delete a raw result: its manifest, then the files that it names, then the folder if nothing else is in it."""
    folder = result.folder
    folder.delete(manifest.NAME)
    for item in result.manifest.objects:
        folder.delete(item.name)
    try:
        folder.path.rmdir()
    except OSError:
        return  # files of another program
