"""`edge.evolving`: the table whose schema has versions. They follow from the data time, as rows do.

A value says by its row's `ts` whether it is one that only a later version allows: a row that did not change since
keeps what it was, so snapshots and increments stay of one mind.
"""

from collections.abc import Mapping
from dataclasses import replace

from dapkit.sandbox.data.catalogue import Column, Kind, Table
from dapkit.sandbox.data.timeline import DAY

__all__ = ["EVOLVING", "STEPS", "VALUES", "columns_at", "version_at"]

STEPS: tuple[int, ...] = tuple(1_706_745_600_000 + DAY * number for number in range(5))
"""When the versions after the first begin: at midnight (UTC) from 2024-02-01 to 2024-02-05.

They add a nullable column, widen a text, give an enum a value, widen a number, let a required column be null.
"""
_ADDED, _WIDENED, _GROWN, _ENLARGED, _RELAXED = STEPS

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
"""The table as its last version has it."""

VALUES: Mapping[str, str] = {
    "edge.evolving.title": f"CASE WHEN ts >= {_WIDENED} THEN repeat('wide ', 4 + $h % 5) ELSE 'title ' || $h % 100 END",
    "edge.evolving.color": (
        f"CASE WHEN ts >= {_GROWN} AND $v % 2 = 0 THEN 'violet' ELSE (['red', 'green', 'blue'])[1 + $v % 3] END"
    ),
    "edge.evolving.size": f"$v % 1000000 + CASE WHEN ts >= {_ENLARGED} THEN 1099511627776 ELSE 0 END",
    "edge.evolving.note": f"CASE WHEN ts < {_RELAXED} OR $v % 2 = 0 THEN 'note ' || $v % 100 END",
    "edge.evolving.added": f"CASE WHEN ts >= {_ADDED} THEN 'added ' || $v % 100 END",
}


def version_at(moment_ms: int) -> int:
    """Return which version of the schema is in force at a data time: 1 before the first step."""
    return 1 + sum(step <= moment_ms for step in STEPS)


def columns_at(moment_ms: int) -> Table:
    """Return the table as its version of a data time has it."""
    older: dict[str, Column] = {}
    columns = {column.name: column for column in EVOLVING.value}
    if moment_ms < _WIDENED:
        older["title"] = replace(columns["title"], max_length=10)
    if moment_ms < _GROWN:
        older["color"] = replace(columns["color"], values=_COLORS[:3])
    if moment_ms < _ENLARGED:
        older["size"] = replace(columns["size"], kind=Kind.INT32)
    if moment_ms < _RELAXED:
        older["note"] = replace(columns["note"], nullable=False)
    there = (column for column in EVOLVING.value if column.name != "added" or moment_ms >= _ADDED)
    return replace(EVOLVING, value=tuple(older.get(column.name, column) for column in there))
