"""As much of Thrift's compact protocol as the metadata of a Parquet file needs.

What is wanted is given as data: a `Wanted` maps the number of a field to what it must hold: `int`, `bytes`, the
`Wanted` of a struct, a list with one of these for a list of such, or None for whatever it is. Everything else is
stepped over without being kept, so that memory follows what is asked for.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, Union

__all__ = ["BrokenThriftError", "CompactReader", "Struct", "Wanted"]

Form: TypeAlias = Union[type[int], type[bytes], "Wanted", "list[Form]", None]
Wanted: TypeAlias = Mapping[int, Form]
Struct: TypeAlias = dict[int, Any]

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_MAX_DEPTH = 32
_NOTHING: Wanted = {}


class BrokenThriftError(Exception):
    """The bytes are no Thrift, or end too early."""


class CompactReader:
    """Reads from `data` at `position`, which moves on behind what was read."""

    __slots__ = ("_depth", "data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._depth = 0

    def read(self, wanted: Wanted) -> Struct:
        """Return the wanted fields of the struct at the position, those that are there.

        Raises:
            BrokenThriftError: the bytes are no struct, or end before it does.
        """
        try:
            found = self._struct(wanted)
        except IndexError:
            raise BrokenThriftError("the data ends too early") from None
        except RecursionError:
            raise BrokenThriftError("the data is nested too deeply") from None
        if self.position > len(self.data):
            raise BrokenThriftError("the data ends too early")
        return found

    def _struct(self, wanted: Wanted) -> Struct:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BrokenThriftError("the data is nested too deeply")
        data = self.data
        found: Struct = {}
        field = 0
        while head := data[self.position]:
            self.position += 1
            kind = head & 15
            field = field + (head >> 4) if head > 15 else self._integer()
            if field not in wanted:
                self._skip(kind)
            elif kind <= _FALSE and wanted[field] is None:
                found[field] = kind == _TRUE
            else:
                found[field] = self._value(kind, wanted[field])
        self.position += 1
        self._depth -= 1
        return found

    def _value(self, kind: int, form: Form) -> Any:
        if _I16 <= kind <= _I64 and form in (None, int):
            return self._integer()
        if kind == _BINARY and form in (None, bytes):
            size = self._varint()
            start = self.position
            self.position = start + size
            return self.data[start : self.position]
        if kind == _STRUCT and (form is None or isinstance(form, Mapping)):
            return self._struct(_NOTHING if form is None else form)
        if kind in (_LIST, _SET) and (form is None or isinstance(form, list)):
            size, element = self._list_head()
            of = form[0] if form else None
            return [self._value(element, of) for _ in range(size)]
        if kind in (_TRUE, _FALSE, _BYTE) and form is None:
            self.position += 1
            return self.data[self.position - 1]
        raise BrokenThriftError(f"type {kind} where another is known")

    def _skip(self, kind: int) -> None:
        if _I16 <= kind <= _I64:
            self._varint()
        elif kind == _BINARY:
            size = self._varint()
            self.position += size
        elif kind == _STRUCT:
            self._struct(_NOTHING)
        elif kind in (_LIST, _SET):
            size, element = self._list_head()
            self._skip_elements(element, size)
        elif kind == _MAP:
            self._skip_map()
        elif kind == _DOUBLE:
            self.position += 8
        elif kind == _BYTE:
            self.position += 1
        elif kind not in (_TRUE, _FALSE):
            raise BrokenThriftError(f"type {kind}, which does not exist")

    def _skip_map(self) -> None:
        size = self._varint()
        if size:
            kinds = self.data[self.position]
            self.position += 1
            for _ in range(size):
                self._skip_elements(kinds >> 4, 1)
                self._skip_elements(kinds & 15, 1)
                if self.position > len(self.data):
                    raise BrokenThriftError("the data ends too early")

    def _skip_elements(self, kind: int, count: int) -> None:
        if kind in (_TRUE, _FALSE, _BYTE):
            self.position += count
            return
        for _ in range(count):
            self._skip(kind)
            if self.position > len(self.data):
                raise BrokenThriftError("the data ends too early")

    def _list_head(self) -> tuple[int, int]:
        head = self.data[self.position]
        self.position += 1
        size = head >> 4
        return (self._varint() if size == 15 else size), head & 15

    def _varint(self) -> int:
        data = self.data
        position = self.position
        byte = data[position]
        value = byte & 127
        shift = 7
        while byte > 127:
            if shift > 63:
                raise BrokenThriftError("a number without end")
            position += 1
            byte = data[position]
            value |= (byte & 127) << shift
            shift += 7
        self.position = position + 1
        return value

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
