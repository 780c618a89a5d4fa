"""The columns of CSV and TSV: `meta.ts`, `meta.action`, `key.<column>…`, `value.<column>…`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dapkit.sandbox.data.catalogue import Kind
from dapkit.sandbox.data.formats.json import json_value
from dapkit.sandbox.data.formats.layout import Cell, Layout, fields
from dapkit.sandbox.data.formats.text import EXACT, FLOATING, TEMPORAL, datetime_text, scalar_text

_PLAIN = EXACT | FLOATING | TEMPORAL


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """One column: its name in the header and an SQL expression for its text, NULL where the value is.

    Plain columns never hold a backslash or a control character.
    """

    name: str
    sql: str
    plain: bool


def flat_columns(layout: Layout) -> Iterator[FlatColumn]:
    """Yield the columns of an object; nested ones lie open in the key, and in the value as the mode says."""
    yield FlatColumn("meta.ts", datetime_text("ts"), plain=True)
    if layout.incremental:
        yield FlatColumn("meta.action", "action", plain=True)
    yield from _columns("key", _leaves(layout.key))
    yield from _columns("value", _leaves(layout.value) if layout.expanded else layout.value)


def _leaves(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Yield the cells with nested ones replaced by their fields, at any depth, under dotted names."""
    for cell in cells:
        if cell.column.kind is Kind.OBJECT:
            for leaf in _leaves(fields(cell)):
                yield Cell(f"{cell.name}.{leaf.name}", leaf.column, leaf.sql)
        else:
            yield cell


def _columns(prefix: str, cells: Iterable[Cell]) -> Iterator[FlatColumn]:
    for cell in cells:
        kind = cell.column.kind
        text = json_value(cell) if kind in (Kind.OBJECT, Kind.ARRAY) else scalar_text(kind, cell.sql)
        yield FlatColumn(f"{prefix}.{cell.name}", text, plain=kind in _PLAIN)
