"""Tables in Python: `dapkit.read` and `dapkit.scan`."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.api.client import Client
from dapkit.config import arguments
from dapkit.errors import UsageError
from dapkit.export.options import ExportOptions
from dapkit.export.selection import nearest
from dapkit.export.sources import sources_in
from dapkit.model import FlatFormat, Format
from dapkit.tables.frame import Frame
from dapkit.tables.query import read_flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


def read(namespace: str, table: str, *, client: Client | None = None, folder: str | Path | None = None) -> Frame:
    """Return a table, from a folder or from the service.

    Nothing is held in memory yet: the result is a stream, and each use reads it again. See `Frame`.

    Args:
        namespace: namespace of the table.
        table: its name.
        client: an open client, from which a full copy is downloaded into a temporary folder. Without client and folder,
            one is opened with the options of the environment.
        folder: a folder with results of `snapshot`; then nothing is downloaded.

    Raises:
        UsageError: an argument is invalid, or the folder does not have the table.
        DapError: the table cannot be downloaded.

    Example:
        users = dapkit.read("canvas", "users", folder="downloads").to_polars()
    """
    namespace, table = arguments.text("namespace", namespace), arguments.text("table", table)
    if folder is not None:
        if client is not None:
            raise UsageError("client and folder are both given", hint="Pass one of them.")
        return _from_folder(namespace, table, arguments.folder("folder", folder))
    if client is not None:
        return _downloaded(namespace, table, client)
    with Client() as own:
        return _downloaded(namespace, table, own)


def scan(
    namespace: str, table: str, *, client: Client | None = None, folder: str | Path | None = None
) -> "Iterator[pa.RecordBatch]":
    """Yield the Arrow batches of a table, without ever holding the table in memory. Needs pyarrow.

    Arguments and errors as in `read`.
    """
    return read(namespace, table, client=client, folder=folder).batches()


def _from_folder(namespace: str, table: str, folder: Path) -> Frame:
    sources = sources_in(folder, lambda _: None)
    for source in sources:
        if (source.namespace, source.table) == (namespace, table):
            return Frame(source.select)
    known = [source.table for source in sources if source.namespace == namespace]
    raise UsageError(f"{folder} has no table {namespace}.{table}", hint=nearest(table, known, namespace))


def _downloaded(namespace: str, table: str, client: Client) -> Frame:
    folder = Path(tempfile.mkdtemp(prefix="dapkit-"))
    # Parquet is the format that is fastest to read.
    options = ExportOptions(format=Format.PARQUET, flat=FlatFormat.PARQUET, output=folder)
    try:
        result = client.snapshot(namespace, [table], options)
        result.raise_for_failed()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    paths = [path for each in result.done for path in each.files]
    return Frame(read_flat(FlatFormat.PARQUET, paths), temporary=folder)
