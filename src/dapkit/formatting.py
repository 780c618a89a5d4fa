"""PURE. Sizes, counts, durations, checks and tables of text, for people."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import timedelta

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Format a number of bytes in decimal units with about three digits: 999 B, 1.23 MB."""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    if unit == "B":
        return f"{value:.0f} B"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def count(number: int, singular: str, plural: str = "") -> str:
    """Format a number with its noun: 1 file, 1,234 files."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: 0.4 s, 59 s, 2m 5s, 3h 5m, 2d 4h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    for limit, large, small, names in ((3600, 60, 1, "ms"), (86400, 3600, 60, "hm")):
        if total < limit:
            return f"{total // large}{names[0]} {total % large // small}{names[1]}"
    return f"{total // 86400}d {total % 86400 // 3600}h"


def about(seconds: float) -> str:
    """Format an estimate of a duration in minutes: less than a minute, about 19 min, about 2 h 5 min."""
    if seconds < 60:
        return "less than a minute"
    hours, rest = divmod(round(seconds / 60), 60)
    if not hours:
        return f"about {rest} min"
    return f"about {hours:,} h {rest} min" if rest else f"about {hours:,} h"


def sentence(text: str) -> str:
    """Add a full stop unless the text ends with punctuation."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def names(items: Sequence[str], limit: int = 8) -> str:
    """Format a list of names, shortened after `limit`: a, b and 3 more."""
    if len(items) <= limit:
        return ", ".join(items)
    return f"{', '.join(items[:limit])} and {len(items) - limit} more"


def checks(verified_by: str) -> str:
    """Format the checks that files have passed, as a result names them: checksum, CRC, length."""
    return ", ".join("CRC" if check == "crc" else check for check in verified_by.split("+"))


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Align rows of cells, two spaces between columns; the columns numbered in `right` are right-aligned."""
    if not rows:
        return []
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


_MIN_WRAPPED = 24
"""Characters of the last column below which it is written on separate lines."""


def wrap(text: str, width: int | None) -> list[str]:
    """Break a text into lines of at most this width, except for words that are longer; None: one line."""
    if width is None:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def wrapped_columns(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Align rows of cells as `columns` does, and wrap the last column to this width; None: no limit.

    If the other columns leave too little space, the last cell of each row is on the lines below, indented.
    """
    lines = columns(rows)
    if width is None or all(len(line) <= width for line in lines):
        return lines
    heads = columns([row[:-1] for row in rows])
    start = max(map(len, heads)) + 2
    if width - start < _MIN_WRAPPED:
        below = [[f"  {line}" for line in wrap(row[-1], width - 2)] if row[-1] else [] for row in rows]
        return [line for head, rest in zip(heads, below, strict=True) for line in (head, *rest)]
    result = []
    for head, row in zip(heads, rows, strict=True):
        first, *rest = wrap(row[-1], width - start)
        result += [f"{head.ljust(start)}{first}".rstrip(), *(f"{'':{start}}{line}" for line in rest)]
    return result


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format rows as a table of HTML. Numbers are aligned to the right; None is an empty cell."""
    from html import escape  # noqa: PLC0415, only notebooks need it

    def cell(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return f'<td style="text-align: right">{value:,}</td>'
        return f"<td>{'' if value is None else escape(str(value))}</td>"

    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def age(length: timedelta) -> str:
    """Return an age in the largest unit that fits, as options spell it: 4h, 1d, 90m."""
    minutes = length // timedelta(minutes=1)
    for unit, size_of_unit in (("d", 1440), ("h", 60)):
        if minutes and minutes % size_of_unit == 0:
            return f"{minutes // size_of_unit}{unit}"
    return f"{minutes}m"
