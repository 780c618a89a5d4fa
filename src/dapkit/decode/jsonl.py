"""Rows out of a JSONL object: one record a line, read in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dapkit.decode.gunzip import Inflater
from dapkit.errors import IntegrityError

__all__ = ["Record", "records"]

_PIECE = 128 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One row, as served.

    Attributes:
        key: the key's columns.
        value: the other columns, nulls left out; None when the row was deleted.
        ts: when the row last changed, the service's text.
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
    """Yield the rows of a gzip JSONL file in its order.

    Raises:
        IntegrityError: the file is harmed, or a line is no record; rows before that have been yielded.
        OSError: the file cannot be read.
    """
    decoder = msgspec.json.Decoder(_Line)
    for lines in _whole_lines(path):
        try:
            rows = decoder.decode_lines(lines)
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{path.name} has a line that is no record: {error}.") from error
        for row in rows:
            yield Record(row.key, row.value, row.meta.ts, row.meta.action)


def _whole_lines(path: Path) -> Iterator[bytes]:
    inflater = Inflater()
    begun: list[bytes] = []
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            for block in inflater.feed(piece):
                lines, newline, rest = block.rpartition(b"\n")
                if newline:
                    yield b"".join([*begun, lines])
                    begun.clear()
                if rest:
                    begun.append(rest)
    inflater.close()
    if begun:
        yield b"".join(begun)
