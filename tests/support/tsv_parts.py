r"""TSV objects as the service writes them, from plain Python values, independent of the code under test.

PostgreSQL's COPY text in gzip: a header, `\N` for null, escapes for what would break a line. Values are written by
their Python type: times without zone are UTC, lists and dicts are JSON, a text is itself; so a text can also represent
what Python has no value for, such as a year of five digits.
"""

import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from itertools import count
from pathlib import Path

from dapkit.model import Table
from dapkit.targets.base import DataFiles

__all__ = ["Row", "deleted", "write_parts"]

_ESCAPES = {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\0": r"\0"}


@dataclass(frozen=True)
class Row:
    """One row of a file: values by column; those that are left out are null."""

    values: Mapping[str, object]
    ts: str = "2024-03-01T12:00:00.000Z"
    action: str = "U"


def deleted(ts: str = Row.ts, **key: object) -> Row:
    """Return the row of a deleted key."""
    return Row(key, ts, "D")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files are written: whether with `meta.action`, in how many files, of how many gzip members each."""

    action: bool
    files: int = 1
    members: int = 1
    last_newline: bool = True
    columns: Sequence[str] = field(default=())
    """The columns of the files in order; empty for those of the table."""


def write_parts(folder: Path, table: Table, rows: Sequence[Row], layout: Layout) -> DataFiles:
    """Write the rows, distributed in turn, into new files of a folder."""
    number = next(number for number in count() if not list(folder.glob(f"part-{number:05}-*")))
    paths = []
    for index in range(layout.files):
        path = folder / f"part-{number:05}-{index:03}.tsv.gz"
        path.write_bytes(_file(table, rows[index :: layout.files], layout))
        paths.append(path)
    return DataFiles(paths=tuple(paths), rows=len(rows))


def _file(table: Table, rows: Sequence[Row], layout: Layout) -> bytes:
    keys = {column.name for column in table.key}
    columns = layout.columns or [column.name for column in table.columns]
    meta = ["meta.ts", "meta.action"] if layout.action else ["meta.ts"]
    header = [*meta, *(f"{'key' if name in keys else 'value'}.{name}" for name in columns)]
    lines = ["\t".join(header)]
    for row in rows:
        values = [row.ts, row.action] if layout.action else [row.ts]
        lines.append("\t".join(map(_text, [*values, *(row.values.get(name) for name in columns)])))
    text = "\n".join(lines) + ("\n" if layout.last_newline else "")
    data = text.encode("utf-8")
    size = len(data) // layout.members + 1
    return b"".join(gzip.compress(data[start : start + size], 1) for start in range(0, len(data), size))


def _text(value: object) -> str:
    if value is None:
        return r"\N"
    written = next(write(value) for kind, write in _WRITERS.items() if isinstance(value, kind))
    return "".join(_ESCAPES.get(character, character) for character in written)


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _datetime(value: datetime) -> str:
    assert value.tzinfo is None, "times without a zone are UTC"
    precision = "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
    return value.isoformat(timespec=precision) + "Z"


_WRITERS: dict[type, Callable[..., str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    Decimal: str,
    datetime: _datetime,
    date: date.isoformat,
    time: time.isoformat,
    list: lambda value: json.dumps(value, ensure_ascii=False),
    dict: lambda value: json.dumps(value, ensure_ascii=False),
}
"""How a value is written, by its type; the more specific of two types comes first."""
