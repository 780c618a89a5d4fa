r"""TSV objects: gzip-compressed text in the format of PostgreSQL's COPY, with a header line.

The header names columns as `meta.ts`, `meta.action`, `key.<column>`, `value.<column>`. `\N` is null. Escapes keep each
row on one line: `\b \f \n \r \t \v \\`, and `\0`, which COPY does not know. A database that reads COPY text can take
blocks unchanged unless they contain an escape that COPY reads differently.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dapkit.decode.gunzip import Inflater
from dapkit.errors import IntegrityError
from dapkit.model import Table

META_TS, META_ACTION = "meta.ts", "meta.action"
_READ_SIZE = 128 * 1024
_MAX_HEADER_SIZE = 4 << 20
# An escape that COPY does not know. The pattern starts at the first of a run of backslashes, because two backslashes
# represent one. The literal comes before the lookbehind that excludes a preceding backslash: only with a literal first
# does the regular expression engine search with memchr.
_NON_COPY_ESCAPE = re.compile(rb"\\(?<!\\\\)(?:\\\\)*[^\\bfnrtvN]")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_CHARACTERS = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\", b"0": b"\0"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """The column names of a file, in the order of the file."""

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str | None, ...]:
        """The table's columns in the order of the file; None for a `meta` column."""
        return tuple(None if name.startswith("meta.") else name.partition(".")[2] for name in self.names)

    def source(self, column: str) -> str | None:
        """Return the name of a table's column in the header; None if the files do not have it."""
        return next((name for name, known in zip(self.names, self.columns, strict=True) if known == column), None)


def common_header(paths: Sequence[Path], table: Table, *, action: bool) -> Header:
    """Return the header that files have in common, for loading them together. There must be at least one file.

    Args:
        paths: the files.
        table: the table to load them into.
        action: whether they are an increment, which has the column `meta.action`.

    Raises:
        IntegrityError: a file is corrupt, or the headers differ, lack a required column, or contain a column that is
            not in the table's schema, whose values would be lost.
        OSError: a file cannot be read.
    """
    first = read_header(paths[0])
    for path in paths[1:]:
        if read_header(path) != first:
            raise IntegrityError(f"{path.name} and {paths[0].name} have different columns", table=table.name)
    present = {name for name in first.columns if name is not None}
    unknown = sorted(present - {column.name for column in table.columns})
    if unknown:
        message = f"{paths[0].name} has columns that are not in version {table.version} of the schema: "
        raise IntegrityError(message + ", ".join(unknown), table=table.name)
    required = [META_TS, *([META_ACTION] if action else []), *(f"key.{column.name}" for column in table.key)]
    missing = [name for name in required if name not in first.names]
    if missing:
        raise IntegrityError(f"{paths[0].name} has no column {', '.join(missing)}", table=table.name)
    return first


def read_header(path: Path) -> Header:
    """Return the header of a file.

    Raises:
        IntegrityError: the file is corrupt, or does not begin with a header.
        OSError: the file cannot be read.
    """
    line, _ = next(_split(path))
    return Header(tuple(line.decode("utf-8").split("\t")))


def row_blocks(path: Path) -> Iterator[bytes]:
    """Yield the rows after the header as bytes, in blocks of complete lines.

    Raises:
        IntegrityError: the file is corrupt; the data before has been yielded.
        OSError: the file cannot be read.
    """
    for _, block in _split(path):
        if block:
            yield block


def _split(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the header line together with each block of complete lines after it, at least once."""
    inflater = Inflater()
    header: bytes | None = None
    rest = b""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_READ_SIZE):
            text = rest + b"".join(inflater.feed(piece))
            if header is None:
                first, newline, text = text.partition(b"\n")
                if not newline:
                    rest = first
                    if len(rest) > _MAX_HEADER_SIZE:  # a file of another kind, which may have no newline at all
                        break
                    continue
                header = _check_header(first, path)
            lines, newline, rest = text.rpartition(b"\n")
            yield header, lines + newline
    if header is None:
        yield _check_header(rest, path), b""
    elif rest:
        yield header, rest + b"\n"
    inflater.close()


def _check_header(line: bytes, path: Path) -> bytes:
    if not line.startswith(b"meta."):
        raise IntegrityError(f"{path.name} does not begin with a header: {line[:60]!r}")
    return line


def has_non_copy_escape(block: bytes) -> bool:
    """Whether a block of complete lines contains an escape that COPY reads differently from the service."""
    return _NON_COPY_ESCAPE.search(block) is not None


def split_fields(line: bytes) -> list[bytes]:
    """Return the fields of a line, still escaped."""
    return line.split(b"\t")


def decode_field(field: bytes) -> str | None:
    """Return the text of a field without escapes; None for null. An unknown escape stays as it is."""
    if field == b"\\N":
        return None
    text = _ESCAPE.sub(lambda match: _CHARACTERS.get(match[1], match[0]), field) if b"\\" in field else field
    return text.decode("utf-8", "replace")


def copy_field(field: bytes) -> bytes:
    """Return a field in COPY's escapes, without NUL characters: PostgreSQL cannot store them in a text."""
    return _ESCAPE.sub(_copy_escape, field)


def _copy_escape(match: re.Match[bytes]) -> bytes:
    if match[1] == b"0":
        return b""
    # COPY drops the backslash of an unknown escape; double it, so that it stays.
    return match[0] if match[1] in _CHARACTERS or match[1] == b"N" else b"\\" + match[0]
