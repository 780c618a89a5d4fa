r"""TSV objects: gzip-compressed text in the format of PostgreSQL's COPY, with a header line.

The header names columns as `meta.ts`, `meta.action`, `key.<column>`, `value.<column>`. `\N` is null. Escapes keep each
row on one line: `\b \f \n \r \t \v \\`, and `\0`, which COPY does not know. A database that reads COPY text can take
blocks unchanged unless they contain an escape that COPY reads differently.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dapkit.decode.gunzip import Inflater
from dapkit.decode.surrogates import has_unpaired_surrogate
from dapkit.errors import IntegrityError, MalformedFileError
from dapkit.model import Table

META_TS, META_ACTION = "meta.ts", "meta.action"
BOM = b"\xef\xbb\xbf"
"""The byte order mark that some programs write at the beginning of UTF-8 text."""

_META, _SECTIONS = "meta.", ("key", "value")
_READ_SIZE = 128 * 1024
_MAX_HEADER_SIZE = 4 << 20
# An escape that COPY does not know. The pattern starts at the first of a run of backslashes, because two backslashes
# represent one. The literal comes before the lookbehind that excludes a preceding backslash: only with a literal first
# does the regular expression engine search with memchr.
_NON_COPY_ESCAPE = re.compile(rb"\\(?<!\\\\)(?:\\\\)*[^\\bfnrtvN]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")  # not UTF-8, but MySQL and MariaDB store it
_JSON_SURROGATE = re.compile(rb"\\\\u[dD]")  # in TSV, each backslash of JSON is doubled
_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_CHARACTERS = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\", b"0": b"\0"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """The column names of a file, in the order of the file."""

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str | None, ...]:
        """The table's columns in the order of the file; None for a name that is not one of a table's column."""
        parts = (name.partition(".") for name in self.names)
        return tuple(column if section in _SECTIONS and column else None for section, _, column in parts)

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
        MalformedFileError: a file has no header or an unusual one, or the headers differ. `tsv_cleaner` decides which
            of these files can be loaded nevertheless.
        IntegrityError: a file is corrupt.
        OSError: a file cannot be read.
    """
    first, *others = (_header_line(path) for path in paths)
    usual = first is not None and not first.startswith(BOM) and not first.endswith(b"\r")
    if first is None or not usual or any(other != first for other in others):
        raise MalformedFileError("The files have no header, an unusual one, or different ones", table=table.name)
    header = parse_header(first, paths[0].name, table)
    if {name for name in header.names if name.startswith(_META)} != {META_TS, *([META_ACTION] if action else [])}:
        raise MalformedFileError(f"{paths[0].name} has unusual columns of metadata", table=table.name)
    return header


def parse_header(line: bytes, file: str, table: Table) -> Header:
    """Return a header whose columns are all known.

    Args:
        line: without a byte order mark and a line break.
        file: the name of its file.
        table: the table of the file.

    Raises:
        IntegrityError: it names a column that is not in the schema, whose values would be lost.
        MalformedFileError: it is not a header, lacks a column of the key, or names a column twice.
    """
    names = _names(line)
    if names is None:
        raise MalformedFileError(f"{file} does not begin with a header: {line[:60]!r}", table=table.name)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MalformedFileError(f"{file} has several columns of the name {', '.join(repeated)}", table=table.name)
    sections = {name.partition(".")[0] for name in names}
    if strange := sorted(sections - {"meta", *_SECTIONS}):
        message = f"{file} has columns that are neither meta, key nor value: {', '.join(strange)}"
        raise MalformedFileError(message, table=table.name)
    known = {f"key.{column.name}" for column in table.key} | {f"value.{column.name}" for column in table.value}
    if unknown := sorted({name for name in names if not name.startswith(_META)} - known):
        message = f"{file} has columns that are not in version {table.version} of the schema: {', '.join(unknown)}"
        hint = "The service may not serve the schema of the file yet: run the same command again in some hours."
        raise IntegrityError(message, hint=hint, table=table.name)
    if missing := [name for name in (f"key.{column.name}" for column in table.key) if name not in names]:
        raise MalformedFileError(f"{file} has no column {', '.join(missing)}", table=table.name)
    return Header(names)


def _names(line: bytes) -> tuple[str, ...] | None:
    """Return the names in a header line; None if it is not a header."""
    try:
        names = tuple(line.decode("utf-8").split("\t"))
    except UnicodeDecodeError:
        return None
    return names if names[0].partition(".")[0] in ("meta", *_SECTIONS) else None


def read_header(path: Path) -> Header:
    """Return the header of a file; it has no names if the file is empty.

    Raises:
        MalformedFileError: the file does not begin with a header.
        IntegrityError: the file is corrupt.
        OSError: the file cannot be read.
    """
    line = _header_line(path)
    if line is None:
        return Header(())
    names = _names(line.removeprefix(BOM).removesuffix(b"\r"))
    if names is None:
        raise MalformedFileError(f"{path.name} does not begin with a header: {line[:60]!r}")
    return Header(names)


def _header_line(path: Path) -> bytes | None:
    header, _ = next(split_file(path), (None, b""))
    return header


def row_blocks(path: Path, json_columns: Collection[int] = (), *, check_utf8: bool = False) -> Iterator[bytes]:
    """Yield the rows after the header as bytes, in blocks of complete lines.

    What some databases would store although others reject it is rejected here: see `tsv_cleaner`.

    Args:
        path: the file.
        json_columns: the places of columns in a line whose JSON has to be free of unpaired surrogates.
        check_utf8: whether to check what most databases check themselves: that the text is UTF-8.

    Raises:
        MalformedFileError: a text has a carriage return, a surrogate or such JSON; the blocks before have been yielded.
        IntegrityError: the file is corrupt; the data before has been yielded.
        OSError: the file cannot be read.
    """
    for _, block in split_file(path):
        surrogate = b"\xed" in block and _SURROGATE.search(block)
        if b"\r" in block or surrogate or (check_utf8 and not _is_utf8(block)):
            raise MalformedFileError(f"{path.name} has a carriage return, or text that is not UTF-8")
        if json_columns and _has_unpaired_surrogate(block, json_columns):
            raise MalformedFileError(f"{path.name} has JSON with an unpaired surrogate")
        if block:
            yield block


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_unpaired_surrogate(block: bytes, columns: Collection[int]) -> bool:
    if not _JSON_SURROGATE.search(block):
        return False
    for line in block.split(b"\n"):
        if not _JSON_SURROGATE.search(line):
            continue
        fields = split_fields(line)
        if any(has_unpaired_surrogate(decode_field(fields[index]) or "") for index in columns if index < len(fields)):
            return True
    return False


def split_file(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the header line together with each block of complete lines after it; nothing for an empty file.

    Raises:
        IntegrityError: the file is corrupt; the data before has been yielded.
        OSError: the file cannot be read.
    """
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
                        yield rest, b""
                        return
                    continue
                header = first
            lines, newline, rest = text.rpartition(b"\n")
            yield header, lines + newline
        empty = not file.tell()
    if header is None and rest:
        yield rest, b""
    elif header is not None and rest:
        yield header, rest + b"\n"
    if not empty:
        inflater.close()


def has_non_copy_escape(block: bytes) -> bool:
    """Whether a block of complete lines contains an escape that COPY reads differently from the service."""
    return _NON_COPY_ESCAPE.search(block) is not None


def split_fields(line: bytes) -> list[bytes]:
    """Return the fields of a line, still escaped."""
    return line.split(b"\t")


def decode_field(field: bytes, errors: str = "replace") -> str | None:
    """Return the text of a field without escapes; None for null. An unknown escape stays as it is.

    Args:
        field: as in the file.
        errors: what becomes of bytes that are not UTF-8, as for `bytes.decode`.
    """
    if field == b"\\N":
        return None
    text = _ESCAPE.sub(lambda match: _CHARACTERS.get(match[1], match[0]), field) if b"\\" in field else field
    return text.decode("utf-8", errors)


def copy_field(field: bytes) -> bytes:
    """Return a field in COPY's escapes, without NUL characters: PostgreSQL cannot store them in a text."""
    return _ESCAPE.sub(_copy_escape, field)


def _copy_escape(match: re.Match[bytes]) -> bytes:
    if match[1] == b"0":
        return b""
    # COPY drops the backslash of an unknown escape; double it, so that it stays.
    return match[0] if match[1] in _CHARACTERS or match[1] == b"N" else b"\\" + match[0]
