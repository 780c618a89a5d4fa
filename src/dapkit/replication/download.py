"""The files of one table, brought to the stage by a run of their own, in the one format that all databases take."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from dapkit.client.session import Session
from dapkit.events import Listener
from dapkit.export.options import ExportRequest
from dapkit.export.run import export
from dapkit.model import Format, Mode, Query
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.replication.options import ReplicateOptions
from dapkit.results import TableResult
from dapkit.targets.base import TargetSession, watermark_of
from dapkit.transfer.workers import WorkerPool

__all__ = ["SNAPSHOT", "SyncResources", "fetch_table"]

P = ParamSpec("P")
T = TypeVar("T")

SNAPSHOT = Query(format=Format.TSV, mode=Mode.CONDENSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResources:
    """Where the tables of one run work: the stage's folder, threads for files and for loads, connections."""

    folder: Path
    downloads: WorkerPool
    loads: WorkerPool
    sessions: ConnectionPool

    async def run_in_session(
        self, work: Callable[Concatenate[TargetSession, P], T], *given: P.args, **named: P.kwargs
    ) -> T:
        """Do something with a connection that is lent for that, in a thread. Raises what it raises."""
        async with self.sessions.acquire() as target:
            return await self.loads.run(work, target, *given, **named)


async def fetch_table(
    session: Session,
    options: ReplicateOptions,
    resources: SyncResources,
    name: str,
    query: Query,
    on_event: Listener | None = None,
) -> tuple[TableResult, datetime]:
    """Bring the files of one table to the stage; return them with the watermark that they lead to.

    Raises:
        DapError: the table, or everything, cannot be had.
    """
    wanted = ExportRequest(
        namespace=options.namespace,
        tables=(name,),
        format=query.format,
        mode=query.mode,
        since=query.since,
        until=query.until,
        output=resources.folder,
        concurrency=options.concurrency,
        retry_timeout=options.retry_timeout,
    )
    outcome = await export(session, wanted, on_event or (lambda _: None), resources.downloads)
    for failure in outcome.failed:
        raise failure.error
    result = outcome.done[0]
    mark = result.at or result.until
    assert mark is not None, "a complete job has a watermark"
    return result, watermark_of(mark)
