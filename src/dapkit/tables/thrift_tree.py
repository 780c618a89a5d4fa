"""PURE: Thrift's compact protocol as trees, which are written as they were read: nothing in a struct is lost.

`decode.parquet_check` reads known fields of files that may be hostile. This module reads the footers of our own files,
whatever fields their writer gave them, so that they can be changed and written again.
"""

from dataclasses import dataclass
from typing import Any

_TRUE, _FALSE, _BYTE, I16, I32, I64, _DOUBLE, BINARY, LIST, _SET, _MAP, STRUCT = range(1, 13)


@dataclass(slots=True)
class Value:
    """A value and its type in the compact protocol.

    Attributes:
        kind: the type.
        content: an integer; bytes (also of a double or byte); for a struct, its fields by number; for a list, the type
            of its items and the contents of the items.
    """

    kind: int
    content: Any


Struct = dict[int, Value]


def binary(content: bytes) -> Value:
    """Return a text or bytes."""
    return Value(BINARY, content)


def integer(content: int) -> Value:
    """Return an integer of 64 bits."""
    return Value(I64, content)


def structs(items: list[Struct]) -> Value:
    """Return a list of structs."""
    return Value(LIST, (STRUCT, items))


class TreeReader:
    """Reads a struct from bytes that are known to be valid."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def struct(self) -> Struct:
        """Read the struct at the position."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head > 15 else self._integer()
            fields[number] = Value(kind, self._content(kind))
        return fields

    def _content(self, kind: int) -> Any:
        if I16 <= kind <= I64:
            return self._integer()
        if kind in (_TRUE, _FALSE):  # the type of a field is its value
            return None
        if kind == _BYTE:
            return self._bytes(1)
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, _SET):
            return self._list()
        raise ValueError(f"Thrift type {kind} is not supported")

    def _list(self) -> tuple[int, list[Any]]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        kind = head & 15
        if kind in (_TRUE, _FALSE):  # in a list, booleans are bytes
            return kind, [self._bytes(1) for _ in range(size)]
        return kind, [self._content(kind) for _ in range(size)]

    def _byte(self) -> int:
        self._position += 1
        return self._data[self._position - 1]

    def _bytes(self, size: int) -> bytes:
        self._position += size
        return self._data[self._position - size : self._position]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)  # zigzag


def encode(struct: Struct) -> bytes:
    """Return the bytes of a struct."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number in sorted(struct):
        value = struct[number]
        if 0 < number - before < 16:
            out.append((number - before) << 4 | value.kind)
        else:
            out.append(value.kind)
            _write_integer(out, number)
        before = number
        _write(out, value.kind, value.content)
    out.append(0)


def _write(out: bytearray, kind: int, content: Any) -> None:
    if I16 <= kind <= I64:
        _write_integer(out, content)
    elif kind == BINARY:
        _write_varint(out, len(content))
        out += content
    elif kind in (_BYTE, _DOUBLE):
        out += content
    elif kind == STRUCT:
        _write_struct(out, content)
    elif kind in (LIST, _SET):
        _write_list(out, *content)


def _write_list(out: bytearray, kind: int, items: list[Any]) -> None:
    if len(items) < 15:
        out.append(len(items) << 4 | kind)
    else:
        out.append(0xF0 | kind)
        _write_varint(out, len(items))
    for item in items:
        if kind in (_TRUE, _FALSE):
            out += item
        else:
            _write(out, kind, item)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)
