r"""PURE: the bytes of TSV objects as LOAD DATA reads them, and the values that MySQL cannot hold.

LOAD DATA knows `\0 \b \n \r \t \\ \N` as the service means them. It takes `\f` and `\v` for letters, and `\Z` for
something of its own: the former are written as the bytes they stand for, and an escape that nobody knows stands for
itself.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dapkit.decode.tsv import Header
from dapkit.errors import BadValueError
from dapkit.model import Column, Table, TypeKind
from dapkit.schema import UNSPECIFIED
from dapkit.targets.sql.value_repairs import Repair

__all__ = ["Repairs", "native", "text_of"]

_NULL = b"\\N"
_BACKSLASH = 0x5C
_PAIR = rb"\\"
_OTHER = re.compile(rb"\\[^bnrt0N\\]")
_MANY = 500
"""How many escapes that look like others are looked at one by one, before a block is looked at as a whole."""

_ASIDE = b"\xff"
"""A byte that no text in UTF-8 has."""

_UNKNOWN = re.compile(rb"\\([^bfnrtv0N\\])")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MEANING = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\", b"0": b"\0"}
_SPECIAL = frozenset({b"infinity", b"-infinity", b"nan"})
_ENDS = {
    TypeKind.DATETIME: (b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59Z"),
    TypeKind.DATE: (b"0001-01-01", b"9999-12-31"),
}


def native(block: bytes) -> bytes:
    """Return a block of whole lines as LOAD DATA reads it."""
    if _ASIDE in block or not _has_other(block):  # the server refuses what is no UTF-8
        return block
    pairs = block.replace(_PAIR, _ASIDE)  # a backslash that is left begins an escape
    pairs = pairs.replace(rb"\f", b"\f").replace(rb"\v", b"\v")
    return _UNKNOWN.sub(rb"\\\\\1", pairs).replace(_ASIDE, _PAIR)


def _has_other(block: bytes) -> bool:
    """Whether there is an escape that the server reads in another way; most of what looks like one is none."""
    for number, found in enumerate(_OTHER.finditer(block)):
        if number == _MANY:  # pairs stand for themselves, from the beginning of a run on
            return _OTHER.search(block.replace(_PAIR, b"")) is not None
        first = place = found.start()
        while first and block[first - 1] == _BACKSLASH:
            first -= 1
        if (place - first) % 2 == 0:
            return True
    return False


def text_of(field: bytes) -> str | None:
    """Return what a field says: its escapes taken back; one that nobody knows stands for itself."""
    if field == _NULL:
        return None
    plain = _ESCAPE.sub(lambda found: _MEANING.get(found[1], found[0]), field) if b"\\" in field else field
    return plain.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Check:
    """A column whose values may have to be repaired, its place in a line, and how: None leaves a value alone."""

    place: int
    column: Column
    repair: Callable[[bytes], bytes | None]


class Repairs:
    """Repairs the lines of files with one header, and keeps the originals."""

    def __init__(self, table: Table, header: Header) -> None:
        self.found: list[Repair] = []
        self._table = table
        self._keys = {column.name: header.columns.index(column.name) for column in table.key}
        self._checks = [
            _Check(place, column, repair)
            for place, name in enumerate(header.columns)
            if name is not None and (column := table.column(name)) and (repair := _repair_of(column))
        ]

    def lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of whole lines with repaired values.

        Raises:
            BadValueError: a value cannot be repaired.
        """
        if not self._checks:
            yield from blocks
            return
        for block in blocks:
            lines = [self._line(line) for line in block.removesuffix(b"\n").split(b"\n")]
            yield b"\n".join(lines) + b"\n"

    def _line(self, line: bytes) -> bytes:
        fields = line.split(b"\t")
        changed = False
        for check in self._checks:
            if check.place >= len(fields):
                break  # a line that is none; the server says so
            field = fields[check.place]
            if field == _NULL or (instead := check.repair(field)) is None:
                continue
            if instead == _NULL and check.column.required:
                message = f"MySQL cannot hold {text_of(field)!r} in column {check.column.name}, nor may it be null"
                raise BadValueError(message, table=self._table.name)
            key = {name: text_of(fields[place]) for name, place in self._keys.items()}
            self.found.append(Repair(key, check.column.name, text_of(field) or ""))
            fields[check.place] = instead
            changed = True
        return b"\t".join(fields) if changed else line


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
            return lambda field: None if field in plain or text_of(field) in known else instead
    return None


def _special(field: bytes) -> bytes | None:
    return _NULL if field.lower() in _SPECIAL else None


def _far(field: bytes) -> bool:
    return field[:1] in (b"+", b"-") or field.startswith(b"0000-")
