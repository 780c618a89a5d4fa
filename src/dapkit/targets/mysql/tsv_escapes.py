r"""PURE: the bytes of TSV files as LOAD DATA reads them, and the values that MySQL cannot store.

LOAD DATA knows `\0 \b \n \r \t \\ \N` as the service means them. It takes `\f` and `\v` for letters, and `\Z` for
something of its own: the former are written as the bytes that they stand for, and an unknown escape stands for itself.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dapkit.decode.tsv import Header, decode_field, split_fields
from dapkit.model import Column, Table, TypeKind
from dapkit.schema import UNSPECIFIED
from dapkit.targets.sql.value_repairs import ValueRepairs

_NULL = b"\\N"
_BACKSLASH = 0x5C
_PAIR = rb"\\"
_OTHER = re.compile(rb"\\[^bnrt0N\\]")
_MANY = 500
"""How many escapes that look like others are checked one by one, before a block is checked as a whole."""

_ASIDE = b"\xff"
"""A byte that no text in UTF-8 has."""

_UNKNOWN = re.compile(rb"\\([^bfnrtv0N\\])")
_SPECIAL = frozenset({b"infinity", b"-infinity", b"nan"})
_ENDS = {
    TypeKind.DATETIME: (b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59Z"),
    TypeKind.DATE: (b"0001-01-01", b"9999-12-31"),
}


def native(block: bytes) -> bytes:
    """Return a block of whole lines as LOAD DATA reads it."""
    if _ASIDE in block or not _has_other(block):  # the server rejects invalid UTF-8
        return block
    pairs = block.replace(_PAIR, _ASIDE)  # a backslash that is left begins an escape
    pairs = pairs.replace(rb"\f", b"\f").replace(rb"\v", b"\v")
    return _UNKNOWN.sub(rb"\\\\\1", pairs).replace(_ASIDE, _PAIR)


def _has_other(block: bytes) -> bool:
    """Whether there is an escape that the server reads in another way; most of what looks like one is not."""
    for number, found in enumerate(_OTHER.finditer(block)):
        if number == _MANY:  # pairs stand for themselves, from the beginning of a run on
            return _OTHER.search(block.replace(_PAIR, b"")) is not None
        first = place = found.start()
        while first and block[first - 1] == _BACKSLASH:
            first -= 1
        if (place - first) % 2 == 0:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Check:
    """A column whose values may have to be repaired, its place in a line, and how: None keeps a value."""

    place: int
    column: Column
    repair: Callable[[bytes], bytes | None]


class LineRepairs:
    """Repairs the lines of files with one header, and notes the originals."""

    def __init__(self, table: Table, header: Header, repairs: ValueRepairs) -> None:
        self._repairs = repairs
        self._keys = {column.name: header.columns.index(column.name) for column in table.key}
        self._checks = [
            _Check(place, column, repair)
            for place, name in enumerate(header.columns)
            if name is not None and (column := table.column(name)) and (repair := _repair_of(column))
        ]

    def lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of whole lines with repaired values.

        Raises:
            BadValueError: a value may not or cannot be repaired.
        """
        if not self._checks:
            yield from blocks
            return
        for block in blocks:
            lines = [self._line(line) for line in block.removesuffix(b"\n").split(b"\n")]
            yield b"\n".join(lines) + b"\n"

    def _line(self, line: bytes) -> bytes:
        there = split_fields(line)
        changed = False
        for check in self._checks:
            if check.place >= len(there):
                break  # the line is malformed; the server says so
            field = there[check.place]
            if field == _NULL or (instead := check.repair(field)) is None:
                continue
            key = {name: decode_field(there[place]) for name, place in self._keys.items()}
            repairable = instead != _NULL or not check.column.required
            self._repairs.note(check.column.name, key, decode_field(field) or "", repairable=repairable)
            there[check.place] = instead
            changed = True
        return b"\t".join(there) if changed else line


def _repair_of(column: Column) -> Callable[[bytes], bytes | None] | None:
    match column.type.kind:
        case TypeKind.FLOAT32 | TypeKind.FLOAT64:
            return _special
        case TypeKind.DATETIME | TypeKind.DATE:
            first, last = _ENDS[column.type.kind]
            return lambda field: (last if field[:1] == b"+" else first) if _far(field) else None
        case TypeKind.ENUM:
            known = frozenset(column.type.values)
            plain = frozenset(value.encode() for value in known)
            instead = UNSPECIFIED.encode() if UNSPECIFIED in known else _NULL
            return lambda field: None if field in plain or decode_field(field) in known else instead
    return None


def _special(field: bytes) -> bytes | None:
    return _NULL if field.lower() in _SPECIAL else None


def _far(field: bytes) -> bool:
    return field[:1] in (b"+", b"-") or field.startswith(b"0000-")
