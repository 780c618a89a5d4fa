"""How a snapshot or an incremental ended, with its tables to be loaded into data frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dapkit.errors import UsageError
from dapkit.export.flatten import RawResult, saved_schema
from dapkit.export.sources import raw_source
from dapkit.failures import TableFailed
from dapkit.formatting import duration, size
from dapkit.model import FlatFormat, Query
from dapkit.results import Display, TableResult, TablesResult
from dapkit.storage.local import LocalFolder
from dapkit.tables.frame import Frame
from dapkit.tables.query import read_flat
from dapkit.transfer import manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(TablesResult):
    """How a snapshot or an incremental ended.

    Attributes:
        namespace: of the tables, as the service spells it.
        query: what was requested.
        output: the folder.
        done: the complete tables.
        failed: the tables that failed, each with its error.
        `fetched`: bytes received over the network.
        `refetched`: those of them that were received a second time.
        seconds: how long it took.
        sandbox: whether the data is synthetic.
        incremental: whether changes were requested.
        flat: whether the tables are flat files.
        notices: messages worth knowing.
    """

    namespace: str
    query: Query
    output: Path
    done: tuple[TableResult, ...]
    failed: tuple[TableFailed, ...]
    fetched: int
    refetched: int
    seconds: float
    sandbox: bool
    incremental: bool = False
    flat: bool = False
    notices: tuple[str, ...] = field(default=())

    @property
    def tables(self) -> "TableFrames":
        """The complete tables by name, to be loaded into Polars, pandas, pyarrow or DuckDB: see `Frame`.

        Tables of flat files are always available. A raw result also needs its schema in the folder; see `dap schema`.
        """
        return TableFrames(self)

    def _display(self) -> Display:
        kind = "Changes" if self.incremental else "Snapshot"
        title = f"{kind} of {self.namespace} in {self.output}, {duration(self.seconds)}"
        headings = ("table", "rows", "files", "size", "until" if self.incremental else "at")
        rows = ((each.table, each.rows, len(each.files), size(each.bytes), each.watermark) for each in self.done)
        return title, headings, rows


class TableFrames(Mapping[str, Frame]):
    """The tables of a run by name. Nothing is read before a table is used."""

    def __init__(self, result: RunResult) -> None:
        self._result = result
        self._done = {each.table: each for each in result.done}

    def __getitem__(self, table: str) -> Frame:
        """Return a table. Raises KeyError, or UsageError if a raw result has no schema in its folder."""
        done = self._done[table]
        if self._result.flat:
            (path,) = done.files
            return Frame(read_flat(FlatFormat(path.suffix.removeprefix(".")), done.files))
        folder = LocalFolder(done.folder)
        content = manifest.read(folder)
        schema = saved_schema(self._result.output, content) if content is not None else None
        if content is None or schema is None:
            message = f"The schema of {table} is not in {self._result.output}"
            raise UsageError(message, hint='Use ExportOptions(flat="parquet"), or save it with download_schema.')
        return Frame(raw_source(RawResult(folder=folder, manifest=content, schema=schema)).select)

    def __iter__(self) -> Iterator[str]:
        """Return the names of the tables."""
        return iter(self._done)

    def __len__(self) -> int:
        """Return how many tables there are."""
        return len(self._done)
