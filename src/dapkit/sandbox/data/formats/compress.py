"""From plain text to a gzip file: one member, no name and no time in it, so equal text gives equal bytes.

DuckDB's own gzip is four times slower than writing plain text and compressing it here.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

_CHUNK = 1 << 20
_GZIP = 31
"""The window size that makes zlib and its like write a gzip header and trailer."""


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


_compressor: Callable[..., _Compressor]
try:
    from isal import isal_zlib
except ImportError:  # not built for this machine
    _compressor = zlib.compressobj
else:
    _compressor = isal_zlib.compressobj


@contextmanager
def gzipped(path: Path, header: str = "") -> Iterator[Path]:
    """Give a path to write plain text to; on leaving, it is at `path`, after the header, as a gzip file.

    The plain text lies in the same folder and is removed in any case.
    """
    plain = path.with_name(f".{path.name}.plain")
    try:
        yield plain
        compressor = _compressor(level=1, wbits=_GZIP)
        with plain.open("rb") as source, path.open("wb") as target:
            target.write(compressor.compress(header.encode()))
            while chunk := source.read(_CHUNK):
                target.write(compressor.compress(chunk))
            target.write(compressor.flush())
    finally:
        plain.unlink(missing_ok=True)
