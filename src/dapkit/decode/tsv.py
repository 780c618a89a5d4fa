r"""TSV objects as they come: PostgreSQL's COPY text in gzip, with a header line; `\N` is null.

The header names columns as `meta.ts`, `meta.action`, `key.<column>`, `value.<column>`. Escapes keep a row on its
line: `\b \f \n \r \t \v \\`. Databases that read COPY text take the blocks as they are, unless they hold an escape that
COPY reads in another way.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dapkit.decode.gunzip import Inflater
from dapkit.errors import IntegrityError
from dapkit.model import Table

__all__ = [
    "META_ACTION", "META_TS", "Header", "blocks", "common_header", "fields", "foreign_escape", "header", "native",
    "text_of",
]  # fmt: skip

META_TS, META_ACTION = "meta.ts", "meta.action"
_PIECE = 128 * 1024
_LONGEST_HEADER = 4 << 20
# From the first of a run of backslashes, which stand for themselves in pairs. The literal comes first and what must not
# be before it second, since only so is the search for a backslash as fast as the machine can do it.
_FOREIGN = re.compile(rb"\\(?<!\\\\)(?:\\\\)*[^\\bfnrtvN]")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MEANING = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\", b"0": b"\0"}


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file in its order, as its header names them."""

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str | None, ...]:
        """The table's columns in the file's order; None where a `meta` column stands."""
        return tuple(None if name.startswith("meta.") else name.partition(".")[2] for name in self.names)

    def source(self, column: str) -> str | None:
        """Return how the header names a column of the table; None when the files do not have it."""
        return next((name for name, each in zip(self.names, self.columns, strict=True) if each == column), None)


def common_header(paths: Sequence[Path], table: Table, *, action: bool) -> Header:
    """Return the header of files that are loaded together; there is at least one.

    Raises:
        IntegrityError: a file is harmed, the headers differ, lack a column of the key (or `meta.action`, which an
            increment must have), or name one that the table's schema does not know: its values would be lost.
        OSError: a file cannot be read.
    """
    first = header(paths[0])
    for path in paths[1:]:
        if header(path) != first:
            raise IntegrityError(f"{path.name} has other columns than {paths[0].name}.", table=table.name)
    there = {name for name in first.columns if name is not None}
    unknown = sorted(there - {column.name for column in table.columns})
    if unknown:
        message = f"{paths[0].name} has columns that version {table.version} of the schema does not know: "
        raise IntegrityError(message + ", ".join(unknown), table=table.name)
    needed = [META_TS, *([META_ACTION] if action else []), *(f"key.{column.name}" for column in table.key)]
    lacking = [name for name in needed if name not in first.names]
    if lacking:
        raise IntegrityError(f"{paths[0].name} lacks {', '.join(lacking)}.", table=table.name)
    return first


def header(path: Path) -> Header:
    """Return the header of a file.

    Raises:
        IntegrityError: the file is harmed, or does not begin with a header.
        OSError: it cannot be read.
    """
    line, _ = next(_split(path))
    return Header(tuple(line.decode("utf-8").split("\t")))


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the rows after the header as bytes, in blocks that end with whole lines.

    Raises:
        IntegrityError: the file is harmed; what came before has been yielded.
        OSError: it cannot be read.
    """
    for _, block in _split(path):
        if block:
            yield block


def _split(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the header line with each block of whole lines after it, at least once."""
    inflater = Inflater()
    line: bytes | None = None
    rest = b""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            text = rest + b"".join(inflater.feed(piece))
            if line is None:
                first, newline, text = text.partition(b"\n")
                if not newline:
                    rest = first
                    if len(rest) > _LONGEST_HEADER:
                        break
                    continue
                line = _header_line(first, path)
            whole, newline, rest = text.rpartition(b"\n")
            yield line, whole + newline
    if line is None:
        yield _header_line(rest, path), b""
    elif rest:
        yield line, rest + b"\n"
    inflater.close()


def _header_line(line: bytes, path: Path) -> bytes:
    if not line.startswith(b"meta."):
        raise IntegrityError(f"{path.name} does not begin with a header: {line[:60]!r}.")
    return line


def foreign_escape(block: bytes) -> bool:
    """Whether a block of whole lines holds an escape that the service writes and COPY reads in another way."""
    return _FOREIGN.search(block) is not None


def fields(line: bytes) -> list[bytes]:
    """Return the fields of a line, escaped as they come."""
    return line.split(b"\t")


def text_of(field: bytes) -> str | None:
    """Return what a field says: its escapes taken back; an escape that nobody knows stands for itself."""
    if field == b"\\N":
        return None
    plain = _ESCAPE.sub(lambda found: _MEANING.get(found[1], found[0]), field) if b"\\" in field else field
    return plain.decode("utf-8", "replace")


def native(field: bytes) -> bytes:
    """Return a field as COPY reads it: without NUL characters, which no text of PostgreSQL may hold."""
    return _ESCAPE.sub(_native, field)


def _native(found: re.Match[bytes]) -> bytes:
    if found[1] == b"0":
        return b""
    return found[0] if found[1] in _MEANING or found[1] == b"N" else b"\\" + found[0]
