"""A table in Python: nothing is read yet, and each use reads its files again, as a stream of Arrow batches."""

import importlib
import shutil
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dapkit.errors import MissingDriverError
from dapkit.formatting import html_table
from dapkit.tables.engine import Engine, EngineOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_SHOWN_ROWS, _SHOWN_COLUMNS = 10, 12


class Frame:
    """A table that speaks the Arrow PyCapsule interface: `pl.DataFrame(frame)`, `pa.table(frame)` and others work.

    Args:
        select: a SELECT that returns the rows.
        temporary: a folder that is removed together with the table.

    Example:
        users = dapkit.read("canvas", "users", folder="downloads")
        users.to_polars().filter(pl.col("workflow_state") == "registered")
    """

    def __init__(self, select: str, temporary: Path | None = None) -> None:
        self._select = select
        self._engine = Engine(EngineOptions())
        weakref.finalize(self, self._engine.close)
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
        self._open: list[Any] = []

    @property
    def columns(self) -> dict[str, str]:
        """The columns and their types, as DuckDB writes them."""
        return {row[0]: row[1] for row in self._engine.execute(f"DESCRIBE {self._select}")}

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ((rows,),) = self._engine.execute(f"SELECT count(*) FROM ({self._select})")
        return int(rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a new stream of Arrow batches."""
        # An open stream needs a connection that nothing else uses, and that lives until the stream has been read.
        cursor = self._engine.cursor()
        self._open.append(cursor)
        return cursor.sql(self._select).__arrow_c_stream__(requested_schema)

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yield Arrow batches (pyarrow), without ever holding the table in memory."""
        yield from _imported("pyarrow").RecordBatchReader.from_stream(self)

    def to_arrow(self) -> "pa.Table":
        """Return a table of pyarrow."""
        return _imported("pyarrow").table(self)

    def to_polars(self) -> "pl.DataFrame":
        """Return a data frame of Polars."""
        return _imported("polars").DataFrame(self)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame of pandas with Arrow types, which keep large integers, decimals and times exactly."""
        pandas = _imported("pandas")
        return self.to_arrow().to_pandas(types_mapper=pandas.ArrowDtype)

    def to_duckdb(self) -> "duckdb.DuckDBPyRelation":
        """Return a relation of DuckDB."""
        cursor = self._engine.cursor()
        self._open.append(cursor)
        return cursor.sql(self._select)

    def _repr_html_(self) -> str:
        """Return the first rows as a table, which notebooks show."""
        names = list(self.columns)
        shown = names[:_SHOWN_COLUMNS]
        texts = ", ".join(f'CAST("{name.replace(chr(34), chr(34) * 2)}" AS VARCHAR)' for name in shown)
        rows = self._engine.execute(f"SELECT {texts} FROM ({self._select}) LIMIT {_SHOWN_ROWS}")
        title = f"{self.rows:,} rows, {len(names)} columns"
        return html_table(title, shown, rows)


def _imported(name: str) -> Any:
    """Import a library that only the conversions need. Raises MissingDriverError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        hint = f'Install it with: "{sys.executable}" -m pip install {name}'
        raise MissingDriverError(f"{name} is not installed", hint=hint) from error
