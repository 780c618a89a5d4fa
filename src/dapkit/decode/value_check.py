"""PURE: whether the text of a field is a value of its column; used to say which value a database has rejected.

A database names at best the column. Only after it has rejected a file are the rows read again with this check.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from dapkit.decode.tsv import META_ACTION, Header, decode_field, parse_header, split_fields, split_file
from dapkit.model import ColumnType, Table, TypeKind

_MAX_SHOWN = 100
"""How many characters of a value a message shows."""


def shown_value(value: str) -> str:
    """Return the beginning of a value for a message, in quotes and with its control characters escaped."""
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")


def shown_key(key: Mapping[str, str | None]) -> str:
    """Return the key of a row for a message."""
    return ", ".join(f"{name} {value}" for name, value in key.items())


def find_bad_value(paths: Iterable[Path], table: Table) -> str | None:
    """Describe the first value in usual files that is not of its column's type; None if there is none.

    Raises:
        IntegrityError: a file is corrupt.
        OSError: a file cannot be read.
    """
    for path in paths:
        checks: _Checks | None = None
        for line, block in split_file(path):
            checks = checks or _Checks(table, parse_header(line, path.name, table))
            for row in block.removesuffix(b"\n").split(b"\n") if block else ():
                if problem := checks.problem(split_fields(row)):
                    return problem
    return None


class _Checks:
    """The checks of rows with one header."""

    def __init__(self, table: Table, header: Header) -> None:
        self._action = header.names.index(META_ACTION) if META_ACTION in header.names else None
        self._key = {column.name: header.columns.index(column.name) for column in table.key}
        places = {name: index for index, name in enumerate(header.columns) if name is not None}
        self._columns = [(places[column.name], column) for column in table.columns if column.name in places]

    def problem(self, fields: list[bytes]) -> str | None:
        """Describe the first value of a row that is not of its column's type."""
        deleted = self._action is not None and fields[self._action] == b"D"
        for index, column in self._columns:
            text = decode_field(fields[index])
            if text is not None and (wanted := _violated(column.type, text)):
                return f"Column {column.name} has the value {shown_value(text)} ({self._row(fields)}), which {wanted}"
            if text is None and column.required and not (deleted and column.name not in self._key):
                return f"Column {column.name} has no value ({self._row(fields)}), although it must have one"
        return None

    def _row(self, fields: list[bytes]) -> str:
        return shown_key({name: decode_field(fields[index]) for name, index in self._key.items()})


def _violated(type_: ColumnType, text: str) -> str | None:
    """Return what a text that is not of a type violates."""
    try:
        _read(type_, text)
    except _TooLongError:
        return "is longer than the schema allows"
    except (ValueError, ArithmeticError, KeyError, RecursionError):
        return f"is not {_NAMES[type_.kind]}"
    return None


class _TooLongError(Exception):
    """A text is longer than its maximum length."""


def _read(type_: ColumnType, text: str) -> None:
    """Raise an exception if a text is not of a type. Values that some databases repair are accepted."""
    match type_.kind:
        case TypeKind.TEXT:
            if type_.length is not None and len(text) > max(type_.length, len(_MARKER) if type_.marker else 0):
                raise _TooLongError
        case TypeKind.DECIMAL:
            if abs(Decimal(text)) >= 10 ** (type_.precision - type_.scale):
                raise ValueError(text)
        case TypeKind.DATETIME | TypeKind.DATE if text[:1] in ("+", "-") or text.startswith("0000-"):
            pass
        case TypeKind.ARRAY:
            _read_items(type_.items or _ANY, json.loads(text))
        case _:
            _READERS[type_.kind](text)


def _read_items(type_: ColumnType, items: object) -> None:
    if not isinstance(items, list):
        raise ValueError(items)  # noqa: TRY004, the text is of the right Python type
    for item in items:
        if item is not None:
            _read(type_, item if isinstance(item, str) else json.dumps(item))


def _integer(bits: int) -> Callable[[str], None]:
    def read(text: str) -> None:
        if not -(2**bits) <= int(text) < 2**bits:
            raise ValueError(text)

    return read


_MARKER = "__dap_oversized_truncated__"
_ANY = ColumnType(kind=TypeKind.UNTYPED)
_BOOLEANS = {"true": True, "false": False}
_READERS: Mapping[TypeKind, Callable[[str], object]] = {
    TypeKind.INT16: _integer(15),
    TypeKind.INT32: _integer(31),
    TypeKind.INT64: _integer(63),
    TypeKind.FLOAT32: float,
    TypeKind.FLOAT64: float,
    TypeKind.BOOLEAN: _BOOLEANS.__getitem__,
    TypeKind.ENUM: str,
    TypeKind.OPEN_ENUM: str,
    TypeKind.DATETIME: datetime.fromisoformat,
    TypeKind.DATE: date.fromisoformat,
    TypeKind.TIME: time.fromisoformat,
    TypeKind.UUID: uuid.UUID,
    TypeKind.IPV4: IPv4Address,
    TypeKind.IPV6: IPv6Address,
    TypeKind.IP: ip_address,
    TypeKind.OBJECT: json.loads,
    TypeKind.UNTYPED: json.loads,
}
_NAMES: Mapping[TypeKind, str] = {
    TypeKind.INT16: "a 16-bit integer",
    TypeKind.INT32: "a 32-bit integer",
    TypeKind.INT64: "a 64-bit integer",
    TypeKind.FLOAT32: "a number",
    TypeKind.FLOAT64: "a number",
    TypeKind.DECIMAL: "a decimal of the column's size",
    TypeKind.BOOLEAN: "true or false",
    TypeKind.DATETIME: "a date-time",
    TypeKind.DATE: "a date",
    TypeKind.TIME: "a time",
    TypeKind.UUID: "a UUID",
    TypeKind.IPV4: "an IPv4 address",
    TypeKind.IPV6: "an IPv6 address",
    TypeKind.IP: "an IP address",
    TypeKind.ARRAY: "a JSON list of the column's type",
    TypeKind.OBJECT: "JSON",
    TypeKind.UNTYPED: "JSON",
}
