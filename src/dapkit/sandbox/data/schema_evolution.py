"""`edge.evolving`: the table whose schema changes over time.

Its version follows from the data time, as the rows do. Whether a row has a value that only a later version allows
depends on the row's `ts`, and not on the version itself: a row that has not changed since keeps its old value, so that
a snapshot equals the previous one plus its increment.
"""

from collections.abc import Mapping
from dataclasses import replace

from dapkit.sandbox.data.catalogue import Column, Kind, Table
from dapkit.sandbox.data.timeline import DAY

STEPS: tuple[int, ...] = tuple(1_706_745_600_000 + DAY * number for number in range(5))
"""When each version after the first starts: at midnight (UTC) from 2024-02-01 to 2024-02-05.

The steps add a nullable column, lengthen a text, add a value to an enum, widen a number, and make a column nullable.
"""
_COLUMN_ADDED, _TEXT_LENGTHENED, _VALUE_ADDED, _NUMBER_WIDENED, _NULL_ALLOWED = STEPS

_COLORS = ("red", "green", "blue", "violet")

EVOLVING = Table(
    namespace="edge",
    name="evolving",
    key=(Column(name="id", kind=Kind.INT64),),
    value=(
        Column(name="title", kind=Kind.STRING, nullable=True, max_length=40),
        Column(name="color", kind=Kind.ENUM, values=_COLORS),
        Column(name="size", kind=Kind.INT64),
        Column(name="note", kind=Kind.STRING, nullable=True),
        Column(name="added", kind=Kind.STRING, nullable=True, max_length=30),
    ),
)
"""The table in its latest version."""

VALUES: Mapping[str, str] = {
    "edge.evolving.title": (
        f"CASE WHEN ts >= {_TEXT_LENGTHENED} THEN repeat('wide ', 4 + $h % 5) ELSE 'title ' || $h % 100 END"
    ),
    "edge.evolving.color": (
        f"CASE WHEN ts >= {_VALUE_ADDED} AND $v % 2 = 0 THEN 'violet' ELSE (['red', 'green', 'blue'])[1 + $v % 3] END"
    ),
    "edge.evolving.size": f"$v % 1000000 + CASE WHEN ts >= {_NUMBER_WIDENED} THEN 1099511627776 ELSE 0 END",
    "edge.evolving.note": f"CASE WHEN ts < {_NULL_ALLOWED} OR $v % 2 = 0 THEN 'note ' || $v % 100 END",
    "edge.evolving.added": f"CASE WHEN ts >= {_COLUMN_ADDED} THEN 'added ' || $v % 100 END",
}


def version_at(time_ms: int) -> int:
    """Return the version of the schema at a data time: 1 before the first step."""
    return 1 + sum(step <= time_ms for step in STEPS)


def table_at(time_ms: int) -> Table:
    """Return the table as it is at a data time."""
    older: dict[str, Column] = {}
    columns = {column.name: column for column in EVOLVING.value}
    if time_ms < _TEXT_LENGTHENED:
        older["title"] = replace(columns["title"], max_length=10)
    if time_ms < _VALUE_ADDED:
        older["color"] = replace(columns["color"], values=_COLORS[:3])
    if time_ms < _NUMBER_WIDENED:
        older["size"] = replace(columns["size"], kind=Kind.INT32)
    if time_ms < _NULL_ALLOWED:
        older["note"] = replace(columns["note"], nullable=False)
    present = (column for column in EVOLVING.value if column.name != "added" or time_ms >= _COLUMN_ADDED)
    return replace(EVOLVING, value=tuple(older.get(column.name, column) for column in present))
