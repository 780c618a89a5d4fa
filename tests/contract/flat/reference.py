"""The reference: a slow, plain decoder of downloaded files, without DuckDB, for comparison with flat tables.

Values are plain Python: a date-time is the number of microseconds since 1970, and a date the number of days (Python's
own end in the year 9999). A float is its `float.hex`, so that NaN equals NaN and -0.0 is not 0.0. An object has all
fields of its type, or is None if all of them are. JSON of any kind is what `json.loads` returns.
"""

import gzip
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dapkit.model import ColumnType, Format, Table, TypeKind

Row = dict[str, Any]

_INTEGERS = {TypeKind.INT16: 15, TypeKind.INT32: 31, TypeKind.INT64: 63}
_TIME = re.compile(r"([+-]?\d{4,6})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)?")
_DATE = re.compile(r"([+-]?\d{4,6})-(\d\d)-(\d\d)")
_COPY = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0", "\\": "\\"}
_TEXTS = frozenset({TypeKind.TEXT, TypeKind.ENUM, TypeKind.OPEN_ENUM, TypeKind.TIME, TypeKind.UUID})
_ADDRESSES = frozenset({TypeKind.IPV4, TypeKind.IPV6, TypeKind.IP})


def read_rows(path: Path, format_: Format, table: Table, *, action: bool) -> list[Row]:
    """Return the rows of a downloaded file: the table's columns, `_ts`, and for an increment `_action`."""
    match format_:
        case Format.JSONL:
            records = _jsonl_records(path, table)
        case Format.PARQUET:
            records = _parquet_records(path, table)
        case Format.CSV:
            text = gzip.decompress(path.read_bytes()).decode()
            records = _text_records(csv_rows(text), table)
        case Format.TSV:
            records = _text_records(copy_rows(gzip.decompress(path.read_bytes()).decode()), table)
    rows = []
    for row, mark in records:
        if action:
            row["_action"] = mark
            if mark == "D":
                row.update({column.name: None for column in table.value})
        rows.append(row)
    return rows


def _jsonl_records(path: Path, table: Table) -> Iterator[tuple[Row, str | None]]:
    for line in gzip.decompress(path.read_bytes()).decode().split("\n"):
        if not line:
            continue
        record = json.loads(line, parse_float=Decimal)
        found = {**record["key"], **(record.get("value") or {})}
        row = {column.name: from_json(column.type, found.get(column.name)) for column in table.columns}
        row["_ts"] = microseconds(record["meta"]["ts"])
        yield row, record["meta"].get("action")


def _parquet_records(path: Path, table: Table) -> Iterator[tuple[Row, str | None]]:
    for record in plain_rows(pq.read_table(path)):
        found = {**record["key"], **(record.get("value") or {})}
        row = {column.name: from_parquet(column.type, found.get(column.name)) for column in table.columns}
        ts = record["meta"]["ts"]
        row["_ts"] = microseconds(ts) if isinstance(ts, str) else ts
        yield row, record["meta"].get("action")


def _text_records(lines: Iterator[list[str | None]], table: Table) -> Iterator[tuple[Row, str | None]]:
    header = next(lines, [])
    sections = {column.name: "key" for column in table.key} | {column.name: "value" for column in table.value}
    for fields in lines:
        assert len(fields) == len(header)
        found = dict(zip(header, fields, strict=True))
        row = {}
        for column in table.columns:
            row[column.name] = _text_value(column.type, f"{sections[column.name]}.{column.name}", found)
        ts = found["meta.ts"]
        row["_ts"] = microseconds(ts) if ts else None
        yield row, found.get("meta.action")


def _text_value(type_: ColumnType, name: str, found: Mapping[Any, str | None]) -> Any:
    """Return the value of a column, or that of an object from the columns of its fields."""
    if name not in found and type_.kind is TypeKind.OBJECT:
        return whole({each.name: _text_value(each.type, f"{name}.{each.name}", found) for each in type_.fields})
    text = found.get(name)
    return None if text is None else from_text(type_, text)


def from_text(type_: ColumnType, text: str) -> Any:
    """Return the value of a text. Raises ValueError if it is not one of the type, in the form that the service uses."""
    kind = type_.kind
    if kind in _TEXTS or kind in _ADDRESSES:
        return text
    if kind in (TypeKind.ARRAY, TypeKind.OBJECT, TypeKind.UNTYPED):
        return from_json(type_, json.loads(text, parse_float=Decimal))
    if kind is TypeKind.BOOLEAN:
        return {"true": True, "false": False}[text]
    if kind in _INTEGERS:
        assert re.fullmatch(r"0|-?[1-9]\d*", text), text
        return int(text)
    if kind in (TypeKind.FLOAT32, TypeKind.FLOAT64):
        return float_hex(kind, float(text))
    if kind is TypeKind.DECIMAL:
        return Decimal(text)
    return microseconds(text) if kind is TypeKind.DATETIME else days(text)


def from_json(type_: ColumnType, value: Any) -> Any:
    """Return the value of one that was read from JSON, with decimals in place of floats."""
    kind = type_.kind
    if value is None:
        return None
    if kind is TypeKind.ARRAY:
        assert type_.items is not None
        return [from_json(type_.items, each) for each in value]
    if kind is TypeKind.OBJECT:
        return whole({each.name: from_json(each.type, value.get(each.name)) for each in type_.fields})
    if kind is TypeKind.UNTYPED:
        return json.loads(json.dumps(value, default=float))
    if kind in (TypeKind.FLOAT32, TypeKind.FLOAT64):
        return float_hex(kind, float(value))
    if kind is TypeKind.DECIMAL:
        return Decimal(value)
    if kind in (TypeKind.DATETIME, TypeKind.DATE):
        return from_text(type_, value)
    return value


def from_parquet(type_: ColumnType, value: Any) -> Any:
    """Return the value of one in a Parquet file, in which times are integers already."""
    kind = type_.kind
    if value is None:
        return None
    if isinstance(value, str):
        return from_text(type_, value)
    if kind is TypeKind.ARRAY:
        assert type_.items is not None
        return [from_parquet(type_.items, each) for each in value]
    if kind is TypeKind.OBJECT:
        return whole({each.name: from_parquet(each.type, value.get(each.name)) for each in type_.fields})
    return float_hex(kind, value) if isinstance(value, float) else value


def whole(value: Row) -> Row | None:
    """Return an object; None if none of its fields has a value."""
    return None if all(each is None for each in value.values()) else value


def float_hex(kind: TypeKind, value: float) -> str:
    """Return a float exactly, rounded to its type."""
    if kind is TypeKind.FLOAT32 and math.isfinite(value):
        value = struct.unpack("f", struct.pack("f", value))[0]
    return value.hex()


def days(text: str) -> int:
    """Return a date as days since 1970, of the calendar that goes on as it is beyond 1582, 0 and 9999."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return _civil_days(*map(int, found.groups()))


def microseconds(text: str) -> int:
    """Return a time as microseconds since 1970. A time without a zone is in UTC."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    zone = found[8] or "Z"
    offset = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[4:6]))
    seconds = _civil_days(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second
    return seconds * 1_000_000 + int((found[7] or "").ljust(6, "0"))


def _civil_days(year: int, month: int, day: int) -> int:
    # The Gregorian calendar repeats after 400 years, and Python knows those from 1 to 9999.
    from datetime import date  # noqa: PLC0415 -- nothing else here may use Python's dates

    cycles = (year - 2000) // 400
    return date(year - cycles * 400, month, day).toordinal() - date(1970, 1, 1).toordinal() + cycles * 146097


def csv_rows(text: str) -> Iterator[list[str | None]]:
    """Yield the rows of CSV. A field is None if nothing stands there; "" is an empty text."""
    position, row = 0, list[str | None]()
    while position < len(text):
        field: str | None
        if text[position] == '"':
            pieces = []
            while True:
                end = text.index('"', position + 1)
                pieces.append(text[position + 1 : end])
                position = end + 1
                if text[position : position + 1] != '"':
                    break
            field = '"'.join(pieces)
        else:
            found = re.compile(r"[^,\n]*").match(text, position)
            assert found is not None
            field, position = found[0] or None, found.end()
        row.append(field)
        if text[position : position + 1] != ",":
            yield row
            row = []
        elif text[position + 1 : position + 2] in ("", "\n"):  # the last field of the line is nothing
            yield [*row, None]
            row, position = [], position + 1
        position += 1


def copy_rows(text: str) -> Iterator[list[str | None]]:
    """Yield the rows of PostgreSQL's COPY text."""
    for line in text.split("\n"):
        if line:
            yield [None if field == r"\N" else _without_escapes(field) for field in line.split("\t")]


def _without_escapes(field: str) -> str:
    text, position = "", 0
    while position < len(field):
        if field[position] == "\\" and field[position + 1 : position + 2] in _COPY:
            text += _COPY[field[position + 1]]
            position += 2
        else:
            text += field[position]
            position += 1
    return text


def plain_rows(table: pa.Table) -> list[Row]:
    """Return the rows of an Arrow table, with times as integers."""
    columns = {name: table[name].cast(_plain_type(table.schema.field(name).type)) for name in table.column_names}
    rows: list[Row] = pa.table(columns).to_pylist()
    return rows


def _plain_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type_):
        assert type_.unit == "us"
        return pa.int64()
    if pa.types.is_date32(type_):
        return pa.int32()
    if pa.types.is_list(type_):
        return pa.list_(_plain_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _plain_type(field.type)) for field in type_])
    return type_


def ordered(rows: Sequence[Row], table: Table) -> list[Row]:
    """Return rows in the order of their keys: flat files do not keep that of the downloaded files."""
    return sorted(rows, key=lambda row: [str(row[column.name]) for column in table.key])
