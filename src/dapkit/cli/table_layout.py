"""PURE. A table of text that fits the terminal: what is equal in all rows, or does not fit, goes into a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dapkit.formatting import columns

_MIN_NAME = 12
"""Characters of the first column that are always shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        heading: its heading.
        cells: one for each row.
        right: whether it is right-aligned.
        phrase: makes the phrase that replaces it from its cells; None if the column has to stay unless space is short.
    """

    heading: str
    cells: tuple[str, ...]
    right: bool = False
    phrase: Callable[[Sequence[str]], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table as lines, and the phrases that replace columns."""

    lines: tuple[str, ...]
    phrases: tuple[str, ...]


def lay_out(table: Sequence[Column], width: int | None) -> Layout:
    """Lay out a table.

    Args:
        table: its columns. If space is short, the last ones are replaced first; the first one stays.
        width: columns of the terminal; None: any width.
    """
    first, *others = table
    if not first.cells:
        return Layout(lines=(), phrases=())
    shown = [column for column in others if column.phrase is None or len(set(column.cells)) > 1]
    while shown and width is not None and _width([first, *shown]) > width and _width([first]) + 2 < width:
        shown.pop()
    kept = [first, *shown]
    if width is not None and (excess := _width(kept) - width) > 0:
        kept[0] = _shortened(first, max(_MIN_NAME, _width([first]) - excess))
    right = frozenset(index for index, column in enumerate(kept) if column.right)
    rows = list(zip(*(column.cells for column in kept), strict=True))
    lines = columns([[column.heading for column in kept], *rows], right)
    replaced = [column.phrase(column.cells) for column in others if column.phrase and column not in shown]
    return Layout(lines=tuple(lines), phrases=tuple(filter(None, replaced)))


def _width(table: Sequence[Column]) -> int:
    return sum(max(map(len, (column.heading, *column.cells))) for column in table) + 2 * (len(table) - 1)


def _shortened(column: Column, width: int) -> Column:
    cells = tuple(cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell in column.cells)
    return Column(heading=column.heading[:width], cells=cells, right=column.right, phrase=column.phrase)
