"""Flat files of a run: each table is flattened while its later objects still arrive.

The raw files of the service are downloaded to `.dap/raw/` in the output folder, and removed when the flat file has its
name. With `keep_raw` they go to the output folder itself, where `snapshot` without `flat` writes them, and stay there.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from dapkit import __version__
from dapkit.client.jobs import FinishedJob
from dapkit.client.session import Session
from dapkit.errors import SandboxMismatchError
from dapkit.events import Listener, Notice
from dapkit.export.options import FlatOptions
from dapkit.formatting import count
from dapkit.model import FlatFormat, Nested, VersionedSchema, epoch_seconds, optional_utc_time
from dapkit.results import TableResult
from dapkit.schema import read_table
from dapkit.tables.engine import Engine, EngineOptions
from dapkit.tables.flat_files import FlatState, flat_files, flat_lock, flat_path, read_state
from dapkit.tables.flat_writer import FlatPlan, FlatWriter
from dapkit.tables.wire_files import FlatColumns
from dapkit.transfer.manifest import Manifest, ManifestObject
from dapkit.transfer.workers import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattening:
    """What the flat tables of one run share.

    Attributes:
        options: of the flat files.
        output: the output folder.
        staging: a folder of this run for pieces and for what does not fit into memory.
        engine: does the work.
        pool: worker threads.
        emit: called with notices.
        slots: how many files are flattened at once.
    """

    options: FlatOptions
    output: Path
    staging: Path
    engine: Engine
    pool: WorkerPool
    emit: Listener
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(min(4, max(2, os.cpu_count() or 1))))

    @property
    def raw_output(self) -> Path:
        """The folder to download to."""
        return self.output if self.options.keep_raw else self.output / ".dap" / "raw"

    def lock(self, namespace: str, table: str) -> Path:
        """Return the lock that a run holds while it writes the flat file of a table."""
        return flat_lock(self.output, namespace, table)

    def existing(self, state: FlatState) -> TableResult | None:
        """Return the result of a job whose flat file is already there.

        Raises:
            SandboxMismatchError: the file that the job would replace comes from another service.
        """
        path = flat_path(self.output, state)
        found = read_state(path)
        if found is not None and _other_service(found, state):
            message = f"{path} comes from {found.service}, and {state.service} would replace it"
            raise SandboxMismatchError(message, hint="Use another output folder.")
        return flat_result(path, found, reused=True) if found is not None and found.same_result(state) else None


def _other_service(found: FlatState, state: FlatState) -> bool:
    """Whether two files come from different services. All sandboxes are one: their data can be made again."""
    return found.sandbox != state.sandbox or (found.service != state.service and not state.sandbox)


@contextmanager
def flattening(
    output: Path, options: FlatOptions | None, key: str, pool: WorkerPool, emit: Listener
) -> Iterator[Flattening | None]:
    """Open what flat tables share; None without options. `key` is the name of the run, whose lock is held."""
    if options is None:
        yield None
        return
    staging = output / ".dap" / "flat" / key
    shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
    try:
        with Engine(EngineOptions(memory_limit=options.memory_limit, temp_folder=staging / "spilled")) as engine:
            yield Flattening(options=options, output=output, staging=staging, engine=engine, pool=pool, emit=emit)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def state_of_job(session: Session, options: FlatOptions, namespace: str, finished: FinishedJob) -> FlatState:
    """Return the state that the flat file of a job will have, apart from its rows."""
    job, query = finished.job, finished.query
    return FlatState(
        written_by=f"dapkit {__version__}",
        service=session.identity,
        sandbox=session.sandbox,
        scope=session.scope,
        namespace=namespace,
        table=finished.table,
        format=FlatFormat(options.format),
        nested=Nested(options.nested),
        ts=options.with_ts or query.incremental,
        downloaded_as=query.format,
        job_id=job.id,
        schema_version=job.schema_version,
        at=job.at_text,
        since=job.since_text,
        until=job.until_text,
        rows=0,
        verified_by="",
        completed_at=datetime.fromtimestamp(session.clock.now(), UTC).isoformat(timespec="seconds"),
    )


class FlatTable:
    """Flattens the objects of one job as they become complete.

    Args:
        shared: what the tables of the run share.
        state: that the flat file will have.
        schema: returns the schema that the objects follow, or a later one.
        folder: where the objects are.
        objects: their ids, in the order in which their rows are written.
    """

    def __init__(
        self,
        shared: Flattening,
        state: FlatState,
        schema: Callable[[], Awaitable[VersionedSchema]],
        folder: Path,
        objects: Sequence[str],
    ) -> None:
        self._shared = shared
        self._state = state
        self._schema = schema
        self._folder = folder
        self._order = {key: index for index, key in enumerate(objects)}
        self._writer: asyncio.Task[FlatWriter] | None = None
        self._added: dict[str, asyncio.Task[None]] = {}

    def add(self, item: ManifestObject) -> None:
        """Flatten a complete object in the background; the first error is raised by `finish`."""
        if item.id not in self._added:
            self._added[item.id] = asyncio.create_task(self._add(item))

    async def finish(self, manifest: Manifest) -> TableResult:
        """Flatten what is left, give the file its name, and return the result. The raw files may be deleted then."""
        for item in manifest.objects:
            self.add(item)
        await asyncio.gather(*self._added.values())
        writer = await self._open()
        state = replace(self._state, verified_by=manifest.verified_by)
        path = flat_path(self._shared.output, state)
        state = await self._shared.pool.run(writer.finish, path, state)
        if writer.repaired:
            repaired = count(writer.repaired, "value")
            self._shared.emit(Notice(message=f"{state.table}: {repaired} repaired (see Malformed files)"))
        return flat_result(path, state, reused=False)

    async def cancel(self) -> None:
        """End what runs in the background."""
        tasks = [*self._added.values(), *([self._writer] if self._writer else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _add(self, item: ManifestObject) -> None:
        writer = await self._open()
        async with self._shared.slots:
            path = self._folder / item.name
            await self._shared.pool.run(writer.add, self._order[item.id], path, item.rows)

    async def _open(self) -> FlatWriter:
        if self._writer is None:
            self._writer = asyncio.create_task(self._new_writer())
        return await asyncio.shield(self._writer)

    async def _new_writer(self) -> FlatWriter:
        shared, state = self._shared, self._state
        schema = await self._schema()
        plan = FlatPlan(
            table=read_table(schema),
            downloaded_as=state.downloaded_as,
            columns=FlatColumns(nested=state.nested, ts=state.ts, action=state.since is not None),
            format=state.format,
            is_exact=state.schema_version == schema.version,
        )
        return await shared.pool.run(FlatWriter, shared.engine, plan, shared.staging / state.job_id)


def flat_result(path: Path, state: FlatState, *, reused: bool) -> TableResult:
    """Return a flat file as the result of its table."""
    assert state.watermark is not None, "a complete job has a watermark"
    return TableResult(
        table=state.table,
        job_id=state.job_id,
        folder=path.parent,
        files=(path,),
        bytes=path.stat().st_size,
        rows=state.rows,
        schema_version=state.schema_version,
        watermark=state.watermark,
        at=optional_utc_time(state.at),
        since=optional_utc_time(state.since),
        until=optional_utc_time(state.until),
        verified_by=state.verified_by,
        reused=reused,
    )


def flat_watermarks(folder: Path, session: Session, namespace: str, format_: FlatFormat) -> dict[str, str]:
    """Return the latest watermark of each table, from the flat files of a format in a folder.

    Raw results do not count: their changes are not in the flat files.
    """
    latest: dict[str, tuple[float, str]] = {}
    for _, state in flat_files(folder):
        mine = (state.service, state.scope, state.namespace, state.format)
        if mine != (session.identity, session.scope, namespace, format_) or state.watermark is None:
            continue
        time = epoch_seconds(state.watermark)
        if state.table not in latest or time > latest[state.table][0]:
            latest[state.table] = (time, state.watermark)
    return {table: watermark for table, (_, watermark) in latest.items()}


def remove_raw(folder: Path) -> None:
    """Delete the raw files of a job whose flat file is complete."""
    shutil.rmtree(folder, ignore_errors=True)
