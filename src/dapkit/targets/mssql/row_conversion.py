"""PURE: turns lines of TSV files into the values that the driver copies, and repairs what SQL Server cannot store.

It stores no infinity and no NaN, years have four digits, and a database whose collation is not UTF-8 stores only texts
of its code page. Spaces at the end of an enum's value make no difference to it. JSON is a text, written as the official
client writes it; characters that the code page lacks are escaped there.
"""

import json
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, InvalidOperation
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from dapkit.decode.tsv import META_ACTION, META_TS, Header, decode_field, split_fields
from dapkit.errors import BadValueError, MalformedFileError
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mssql.column_types import LOOKUPS, TEXTS
from dapkit.targets.sql.introspection import ExistingTable
from dapkit.targets.sql.value_repairs import ValueRepairs

UTF8 = 65001
"""The code page of collations that can store every text."""

_CODECS = {936: "gbk", **{page: f"cp{page}" for page in (437, 850, 874, 932, 949, 950, *range(1250, 1259))}}
_BITS = {TypeKind.INT16: 15, TypeKind.INT32: 31, TypeKind.INT64: 63}
_LARGEST_REAL = 3.4028235677973366e38
"""The smallest number that is rounded to more than a `real` can store."""

_LONGEST_ENUM = 256
"""The most bytes of an enum's value."""

_ENDS = {
    TypeKind.DATETIME: (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)),  # noqa: DTZ001, naive times in UTC
    TypeKind.DATE: (date(1, 1, 1), date(9999, 12, 31)),
}
_BOOLEANS = {"true": True, "false": False}
_EXACT = Context(prec=60)


def codec_of(page: int | None) -> str | None:
    """Return the codec of a collation's code page; None where every text can be stored."""
    return None if page == UTF8 else _CODECS.get(page or 0, "ascii")


def text_codecs(table: Table, existing: ExistingTable, usual: int | None, exact: int | None) -> dict[str, str]:
    """Return the codec of each text column that cannot store every text.

    Args:
        table: the table as it will be.
        existing: the table as it exists, whose columns may have other collations.
        usual: the code page of the database's collation.
        exact: the code page of texts that identify rows.
    """
    pages: dict[str, int | None] = {}
    for column in table.columns:
        there = existing.columns.get(column.name)
        if column.type.kind in LOOKUPS:
            pages[column.name] = exact
        elif column.type.kind in TEXTS:
            created = exact if column in table.key else usual
            pages[column.name] = created if there is None or there.code_page is None else there.code_page
    return {name: codec for name, page in pages.items() if (codec := codec_of(page)) is not None}


class _RepairNeededError(Exception):
    """A value cannot be stored: the value to store instead, and whether that is allowed."""

    def __init__(self, instead: Any, *, repairable: bool = True) -> None:
        super().__init__()
        self.instead = instead
        self.repairable = repairable


@dataclass(frozen=True, slots=True)
class _Field:
    """A column, its index in a line (None if the files lack it), and how its text is converted."""

    column: Column
    index: int | None
    convert: Callable[[str], Any]


class RowConverter:
    """Turns lines of files with one header into rows: time, action, then the table's columns.

    Args:
        table: the table.
        header: of the files.
        codecs: see `text_codecs`.
        repairs: where repaired values are noted.
    """

    def __init__(self, table: Table, header: Header, codecs: Mapping[str, str], repairs: ValueRepairs) -> None:
        self._table = table
        self._width = len(header.names)
        self._repairs = repairs
        self._time = header.names.index(META_TS)
        self._action = header.names.index(META_ACTION) if META_ACTION in header.names else None
        indexes = {name: index for index, name in enumerate(header.columns) if name is not None}
        self._fields = [
            _Field(
                column, indexes.get(column.name), _conversion(column, codecs.get(column.name), key=column in table.key)
            )
            for column in table.columns
        ]

    def rows(self, blocks: Iterable[bytes]) -> Iterator[tuple[Any, ...]]:
        """Yield rows.

        Raises:
            MalformedFileError: a line is malformed.
            BadValueError: a value is not of its type, or cannot be stored, and may not or cannot be repaired.
        """
        for block in blocks:
            for line in block.removesuffix(b"\n").split(b"\n"):
                yield self._row(split_fields(line))

    def _row(self, line: list[bytes]) -> tuple[Any, ...]:
        if len(line) != self._width:
            message = f"A downloaded file has a line of {len(line)} fields instead of {self._width}"
            raise MalformedFileError(message, table=self._table.name)
        action = None if self._action is None else decode_field(line[self._action])
        if action not in (None, "U", "D"):
            raise MalformedFileError(f"A downloaded file has a row with the action {action!r}", table=self._table.name)
        row: list[Any] = [self._row_time(decode_field(line[self._time])), action]
        for each in self._fields:
            text = None if each.index is None else decode_field(line[each.index])
            row.append(None if text is None else self._value(each, text, line))
        return tuple(row)

    def _row_time(self, text: str | None) -> datetime | None:
        try:
            return None if text is None else _moment(text)
        except (ValueError, _RepairNeededError) as error:
            message = f"A downloaded file has a row with an invalid time ({META_TS})"
            raise MalformedFileError(message, table=self._table.name) from error

    def _value(self, field: _Field, text: str, line: list[bytes]) -> Any:
        try:
            return field.convert(text)
        except _RepairNeededError as repair:
            repairable = repair.repairable and not (repair.instead is None and field.column.required)
            self._repairs.note(field.column.name, self._key(line), text, repairable=repairable)
            return repair.instead
        except (ValueError, KeyError, InvalidOperation) as error:
            message = f"Column {field.column.name} has a value of another type"
            raise BadValueError(message, table=self._table.name) from error

    def _key(self, line: list[bytes]) -> dict[str, str | None]:
        names = {column.name for column in self._table.key}
        there = [each for each in self._fields if each.column.name in names and each.index is not None]
        return {each.column.name: decode_field(line[each.index or 0]) for each in there}


def _conversion(column: Column, codec: str | None, *, key: bool) -> Callable[[str], Any]:
    type_, kind = column.type, column.type.kind
    if kind in _BITS:
        return _integer(2 ** _BITS[kind])
    if kind in LOOKUPS:
        return _enum(codec)
    match kind:
        case TypeKind.TEXT:
            return str if codec is None else _coded(codec, repairable=not key)
        case TypeKind.ARRAY | TypeKind.OBJECT | TypeKind.UNTYPED:
            return _json if codec is None else _ascii_json
        case TypeKind.DECIMAL:
            return _decimal(type_)
    return _PLAIN[kind]


def _integer(bound: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text)
        if not -bound <= value < bound:
            raise ValueError(text)
        return value

    return convert


def _decimal(type_: ColumnType) -> Callable[[str], Decimal]:
    bound, step = Decimal(10) ** (type_.precision - type_.scale), Decimal(1).scaleb(-type_.scale)

    def convert(text: str) -> Decimal:
        value = Decimal(text)
        if not value.is_finite():
            raise _RepairNeededError(None)
        exact = value.quantize(step, context=_EXACT)
        if exact != value or value.copy_abs() >= bound:
            raise ValueError(text)
        return exact

    return convert


def _coded(codec: str, *, repairable: bool) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if not text.isascii():
            try:
                text.encode(codec)
            except UnicodeEncodeError:
                raise _RepairNeededError(text.encode(codec, "replace").decode(codec), repairable=repairable) from None
        return text

    return convert


def _enum(codec: str | None) -> Callable[[str], str]:
    coded = str if codec is None else _coded(codec, repairable=True)

    def convert(text: str) -> str:
        value = text.rstrip(" ")
        if len(value.encode()) > _LONGEST_ENUM:
            raise _RepairNeededError(None, repairable=False)
        if coded(value) != text:
            raise _RepairNeededError(value)
        return text

    return convert


def _json(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def _ascii_json(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


def _float(text: str, *, largest: float = math.inf) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) >= largest:
        raise _RepairNeededError(None)
    return value


def _real(text: str) -> float:
    return _float(text, largest=_LARGEST_REAL)


def _moment(text: str) -> datetime:
    if _far(text):
        raise _RepairNeededError(_ENDS[TypeKind.DATETIME][text[0] == "+"])
    moment = datetime.fromisoformat(text.removesuffix("Z"))
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _day(text: str) -> date:
    if _far(text):
        raise _RepairNeededError(_ENDS[TypeKind.DATE][text[0] == "+"])
    return date.fromisoformat(text)


def _far(text: str) -> bool:
    return text[:1] in ("+", "-") or text.startswith("0000-")


def _clock(text: str) -> time:
    return time.fromisoformat(text).replace(tzinfo=None)


_PLAIN: Mapping[TypeKind, Callable[[str], Any]] = {
    TypeKind.FLOAT32: _real,
    TypeKind.FLOAT64: _float,
    TypeKind.BOOLEAN: _BOOLEANS.__getitem__,
    TypeKind.DATETIME: _moment,
    TypeKind.DATE: _day,
    TypeKind.TIME: _clock,
    TypeKind.UUID: lambda text: uuid.UUID(text).bytes,
    TypeKind.IPV4: lambda text: IPv4Address(text).packed,
    TypeKind.IPV6: lambda text: IPv6Address(text).packed,
    TypeKind.IP: lambda text: ip_address(text).packed.ljust(16, b"\0"),
}
