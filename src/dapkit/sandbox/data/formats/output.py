"""Writing files: COPY from DuckDB, and compression to gzip.

The plain text goes through a file next to the object: COPY to a file is faster than reading the rows in Python, and
DuckDB's own gzip is four times slower than writing plain text and compressing it here.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from duckdb import DuckDBPyConnection

from dapkit.sandbox.data.sql import literal

_CHUNK = 1 << 20
# The window size for which zlib and isal write a gzip header and trailer (16 for gzip, plus the maximum of 15). Neither
# writes a name or a time into it, so equal texts give equal bytes.
_GZIP_WBITS = 31
# A CSV with everything switched off that makes it CSV: a single column of text is written as it is, one line per row.
_LINES = "FORMAT csv, HEADER false, DELIMITER '', QUOTE '', ESCAPE '', COMPRESSION none"


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


_compressor: Callable[..., _Compressor]
try:
    from isal import isal_zlib
except ImportError:  # not available for this platform
    _compressor = zlib.compressobj
else:
    _compressor = isal_zlib.compressobj


@contextmanager
def gzipped(path: Path, header: str = "") -> Iterator[Path]:
    """Yield a path for plain text. On exit, header and text are at `path` as a gzip file with one member.

    The plain text is in the same folder, and is always removed.
    """
    plain = path.with_name(f".{path.name}.plain")
    try:
        yield plain
        compressor = _compressor(level=1, wbits=_GZIP_WBITS)
        with plain.open("rb") as source, path.open("wb") as target:
            target.write(compressor.compress(header.encode()))
            while chunk := source.read(_CHUNK):
                target.write(compressor.compress(chunk))
            target.write(compressor.flush())
    finally:
        plain.unlink(missing_ok=True)


def copy(connection: DuckDBPyConnection, columns: str, select_sql: str, path: Path, options: str) -> int:
    """Write columns, computed from the rows of a query, to a file and return the number of rows."""
    query = f"SELECT {columns} FROM ({select_sql})"  # noqa: S608  # all of it is SQL that we generate
    row = connection.execute(f"COPY ({query}) TO {literal(str(path))} ({options})").fetchone()
    assert row is not None
    return int(row[0])


def copy_lines(connection: DuckDBPyConnection, line: str, select_sql: str, path: Path) -> int:
    """Write an expression of type text as one line for each row of a query; return the number of rows."""
    return copy(connection, line, select_sql, path, _LINES)
