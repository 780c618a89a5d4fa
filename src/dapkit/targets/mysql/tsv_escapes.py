r"""PURE: the bytes of TSV files as LOAD DATA reads them, and the values that MySQL cannot store.

LOAD DATA knows `\0 \b \n \r \t \\ \N` as the service means them. It reads `\f` and `\v` as letters, and `\Z`
as a control character. So `\f` and `\v` are replaced by the bytes that they mean, and unknown escapes are kept
literally.
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
"""How many suspicious escapes are checked one by one before the complete block is checked instead."""

_PLACEHOLDER = b"\xff"
"""A byte that never occurs in UTF-8 text."""

_UNKNOWN = re.compile(rb"\\([^bfnrtv0N\\])")
_SPECIAL = frozenset({b"infinity", b"-infinity", b"nan"})
_ENDS = {
    TypeKind.DATETIME: (b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59Z"),
    TypeKind.DATE: (b"0001-01-01", b"9999-12-31"),
}


def native(block: bytes) -> bytes:
    """Return a block of complete lines in the form that LOAD DATA reads."""
    if _PLACEHOLDER in block or not _has_other(block):  # the server rejects invalid UTF-8
        return block
    pairs = block.replace(_PAIR, _PLACEHOLDER)  # a backslash that is left begins an escape
    pairs = pairs.replace(rb"\f", b"\f").replace(rb"\v", b"\v")
    return _UNKNOWN.sub(rb"\\\\\1", pairs).replace(_PLACEHOLDER, _PAIR)


def _has_other(block: bytes) -> bool:
    """Whether there is an escape that the server reads differently; most candidates are escaped backslashes."""
    for number, found in enumerate(_OTHER.finditer(block)):
        if number == _MANY:  # an escaped backslash is a pair, counted from the start of a run of backslashes
            return _OTHER.search(block.replace(_PAIR, b"")) is not None
        first = start = found.start()
        while first and block[first - 1] == _BACKSLASH:
            first -= 1
        if (start - first) % 2 == 0:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Check:
    """A column whose values may need a repair, its index in a line, and the repair (None keeps a value)."""

    index: int
    column: Column
    repair: Callable[[bytes], bytes | None]


class LineRepairs:
    """Repairs the lines of files with one header, and notes the originals."""

    def __init__(self, table: Table, header: Header, repairs: ValueRepairs) -> None:
        self._repairs = repairs
        self._keys = {column.name: header.columns.index(column.name) for column in table.key}
        self._checks = [
            _Check(index, column, repair)
            for index, name in enumerate(header.columns)
            if name is not None and (column := table.column(name)) and (repair := _repair_of(column))
        ]

    def lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of complete lines with repaired values.

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
        fields = split_fields(line)
        changed = False
        for check in self._checks:
            if check.index >= len(fields):
                break  # the line is malformed; the server reports that
            field = fields[check.index]
            if field == _NULL or (instead := check.repair(field)) is None:
                continue
            key = {name: decode_field(fields[index]) for name, index in self._keys.items()}
            repairable = instead != _NULL or not check.column.required
            self._repairs.note(check.column.name, key, decode_field(field) or "", repairable=repairable)
            fields[check.index] = instead
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
            return lambda field: None if field in plain or decode_field(field) in known else instead
    return None


def _special(field: bytes) -> bytes | None:
    return _NULL if field.lower() in _SPECIAL else None


def _far(field: bytes) -> bool:
    return field[:1] in (b"+", b"-") or field.startswith(b"0000-")
