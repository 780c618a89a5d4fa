"""Records of a JSONL file, read in bounded memory.

Lines that are not as the service documents them are accepted, repaired or rejected as in TSV files: see `tsv_cleaner`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dapkit.decode.gunzip import Inflater
from dapkit.decode.surrogates import replace_unpaired_surrogates
from dapkit.decode.tsv import BOM
from dapkit.errors import MalformedFileError

_READ_SIZE = 128 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One row as the service sends it.

    Attributes:
        key: the columns of the key.
        value: the other columns, without nulls; None if the row was deleted.
        ts: when the row last changed, as the service wrote it; None if it did not say so.
        action: `U` or `D` in an increment, None in a snapshot.
    """

    key: dict[str, Any]
    value: dict[str, Any] | None
    ts: str | None
    action: str | None


class _Meta(msgspec.Struct, frozen=True):
    ts: str | None = None
    action: str | None = None


class _Line(msgspec.Struct):
    """A usual line, which has no nulls: their type tells the decoder, so that no one has to look for them."""

    key: dict[str, Any]
    meta: _Meta = _Meta()
    value: dict[str, str | int | float | bool | dict[str, Any] | list[Any]] | None = None


class _UnusualLine(msgspec.Struct):
    key: dict[str, Any]
    meta: _Meta | None = None
    value: Any = None
    """An object, except in a deleted row, which need not follow the schema."""


_decoder = msgspec.json.Decoder(_Line)
_unusual_decoder = msgspec.json.Decoder(_UnusualLine)


def records(path: Path) -> Iterator[Record]:
    """Yield the rows of a gzip JSONL file in the order of the file.

    Bytes that are not UTF-8, and unpaired surrogates, become U+FFFD.

    Raises:
        MalformedFileError: a line is not a record; the rows before it have been yielded.
        IntegrityError: the file is corrupt; some of the rows before have been yielded.
        OSError: the file cannot be read.
    """
    number = 0
    for lines in _complete_lines(path):
        try:
            rows = _decoder.decode_lines(lines)
        except (msgspec.DecodeError, UnicodeDecodeError):
            for record in _unusual_records(lines, path, number):
                number += 1
                yield record
            continue
        number += len(rows)
        for row in rows:
            yield _record(row.key, row.value, row.meta)


def _record(key: dict[str, Any], value: dict[str, Any] | None, meta: _Meta) -> Record:
    # The service does not promise that a deleted row has no values, nor that they follow the schema.
    return Record(key, None if meta.action == "D" else value, meta.ts, meta.action)


def _unusual_record(line: str) -> Record:
    """Return the record of a line. Raises msgspec.DecodeError."""
    row = _unusual_decoder.decode(line)
    meta, value = row.meta or _Meta(), row.value
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if each is not None}
    elif value is not None and meta.action != "D":
        raise msgspec.ValidationError("Expected `object | null` - at `$.value`")
    return _record(row.key, value, meta)


def _unusual_records(lines: bytes, path: Path, before: int) -> Iterator[Record]:
    """Yield the records of lines, repaired where necessary. `before`: how many records come before them."""
    repaired = (line.decode("utf-8", "replace").strip() for line in lines.split(b"\n"))
    for number, line in enumerate(filter(None, repaired), before + 1):
        try:
            yield _unusual_record(replace_unpaired_surrogates(line))
        except msgspec.DecodeError as error:
            raise MalformedFileError(f"Record {number:,} of {path.name} is malformed: {error}") from error


def _complete_lines(path: Path) -> Iterator[bytes]:
    for index, lines in enumerate(_blocks(path)):
        yield lines if index else lines.removeprefix(BOM)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield blocks of complete lines, without the newline at the end of a block."""
    inflater = Inflater()
    incomplete: list[bytes] = []
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_READ_SIZE):
            for block in inflater.feed(piece):
                lines, newline, rest = block.rpartition(b"\n")
                if newline:
                    yield b"".join([*incomplete, lines])
                    incomplete.clear()
                if rest:
                    incomplete.append(rest)
        empty = not file.tell()
    if not empty:  # a part without rows may have no byte at all
        inflater.close()
    if incomplete:
        yield b"".join(incomplete)
