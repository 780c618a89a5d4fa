"""The files of one table, brought to the stage by a run of their own, in the one format that all databases take."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from dapkit.client.session import Session
from dapkit.engine.events import Listener, TableResult
from dapkit.engine.export import ExportOptions, export
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.engine.replication.sessions import Sessions
from dapkit.engine.run import Workshop
from dapkit.model import Format, Mode, Query
from dapkit.targets.base import TargetSession, watermark_of

__all__ = ["SNAPSHOT", "Places", "fetch_table"]

P = ParamSpec("P")
T = TypeVar("T")

SNAPSHOT = Query(format=Format.TSV, mode=Mode.CONDENSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the tables of one run work: the stage's folder, threads for files and for loads, connections."""

    folder: Path
    downloads: Workshop
    loads: Workshop
    sessions: Sessions

    async def ask(self, work: Callable[Concatenate[TargetSession, P], T], *given: P.args, **named: P.kwargs) -> T:
        """Do something with a connection that is lent for that, in a thread. Raises what it raises."""
        async with self.sessions.lend() as target:
            return await self.loads.blocking(work, target, *given, **named)


async def fetch_table(
    session: Session, options: ReplicateOptions, places: Places, name: str, query: Query, listen: Listener | None = None
) -> tuple[TableResult, datetime]:
    """Bring the files of one table to the stage; return them with the watermark that they lead to.

    Raises:
        DapError: the table, or everything, cannot be had.
    """
    wanted = ExportOptions(
        namespace=options.namespace,
        tables=(name,),
        query=query,
        output=places.folder,
        concurrency=options.concurrency,
        patience=options.patience,
    )
    outcome = await export(session, wanted, listen or (lambda _: None), places.downloads)
    for failure in outcome.failed:
        raise failure.error
    result = outcome.done[0]
    mark = result.at or result.until
    assert mark is not None, "a complete job has a watermark"
    return result, watermark_of(mark)
