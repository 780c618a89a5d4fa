"""Records of a JSONL file, read in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dapkit.decode.gunzip import Inflater
from dapkit.errors import IntegrityError

_READ_SIZE = 128 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One row as the service sends it.

    Attributes:
        key: the columns of the key.
        value: the other columns, without nulls; None if the row was deleted.
        ts: when the row last changed, as the service wrote it.
        action: `U` or `D` in an increment, None in a snapshot.
    """

    key: dict[str, Any]
    value: dict[str, Any] | None
    ts: str
    action: str | None


class _Meta(msgspec.Struct):
    ts: str
    action: str | None = None


class _Line(msgspec.Struct):
    key: dict[str, Any]
    meta: _Meta
    value: dict[str, Any] | None = None


def records(path: Path) -> Iterator[Record]:
    """Yield the rows of a gzip JSONL file in the order of the file.

    Raises:
        IntegrityError: the file is corrupt, or a line is not a record; the rows before it have been yielded.
        OSError: the file cannot be read.
    """
    decoder = msgspec.json.Decoder(_Line)
    for lines in _complete_lines(path):
        try:
            rows = decoder.decode_lines(lines)
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{path.name} has a malformed line: {error}") from error
        for row in rows:
            yield Record(row.key, row.value, row.meta.ts, row.meta.action)


def _complete_lines(path: Path) -> Iterator[bytes]:
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
    inflater.close()
    if incomplete:
        yield b"".join(incomplete)
