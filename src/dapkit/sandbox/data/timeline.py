"""When rows are born, change and go: exact arithmetic over row numbers, in Python and as SQL with the same results.

Row i of a table is born at a closed form of i that never falls, so the rows born in a span of time are a range of
row numbers. Every later change is an event at a fixed lag after birth plus a bounded jitter, so the rows that can
have changed in a span are a union of ranges. All times are whole milliseconds since 1970, UTC.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

HOUR = 3_600_000
DAY = 24 * HOUR
ORIGIN = 1_470_009_600_000
"""When the college was founded, 2016-08-01: no row is older."""
DECADE = 3_652 * DAY
REFRESH = 4 * HOUR
"""How often the service refreshes its data."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that may happen to a row, once or again and again.

    It comes `lag` after birth plus a jitter of less than `jitter`, to the given share of rows; with `every` it
    recurs at that period. A `final` event is the last: it deletes the row.
    """

    lag: int
    jitter: int = 6 * HOUR
    share: float = 1.0
    every: int | None = None
    final: bool = False

    @property
    def threshold(self) -> int:
        """The share in 65,536ths, which is how a hash is compared with it."""
        return round(self.share * 65_536)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The life of a table's rows.

    The first `founding` rows are born at the origin; after that `rows` rows are born evenly in each `span`
    milliseconds, up to `limit` rows in all. With `kept`, rows vanish without a word that long after birth.
    """

    span: int
    rows: int
    founding: int = 1
    limit: int | None = None
    events: tuple[Event, ...] = ()
    kept: int | None = None

    @classmethod
    def per_decade(cls, rows: float, *, founding: int = 1) -> "Timeline":
        """Return a timeline that reaches about so many rows ten years after the origin."""
        return cls(span=max(1, round(DECADE / max(rows, 1e-3))), rows=1, founding=founding)

    def owned(self, each: Fraction) -> "Timeline":
        """Return the timeline of a table with `each` rows for every row of this one, none older than its own.

        Row i of that table belongs to row i // each of this one.
        """
        founding = (self.founding - 1) * each.numerator // each.denominator + 1
        return Timeline(span=self.span * each.denominator, rows=self.rows * each.numerator, founding=founding)

    def born(self, row: int) -> int:
        """Return when a row is born."""
        return ORIGIN + max(0, row - self.founding + 1) * self.span // self.rows

    def count(self, time: int) -> int:
        """Return how many rows are born by a time: row i is iff i is less."""
        passed = time - ORIGIN
        if passed < 0:
            return 0
        count = self.founding + ((passed + 1) * self.rows - 1) // self.span
        return count if self.limit is None else min(count, self.limit)

    def present(self, time: int) -> tuple[Range, ...]:
        """Return the rows of a snapshot, deleted ones included."""
        low = 0 if self.kept is None else self.count(time - self.kept)
        return merge([(low, self.count(time))])

    def changed(self, since: int, until: int) -> tuple[Range, ...]:
        """Return ranges that hold every row with an event, its birth included, in (since, until]."""
        if self.kept is not None:
            return merge([(self.count(max(since, until - self.kept)), self.count(until))])
        return merge(self._candidates(since, until))

    def _candidates(self, since: int, until: int) -> Iterator[Range]:
        yield self.count(since), self.count(until)
        for event in self.events:
            lag = event.lag
            while until - lag >= ORIGIN:
                yield self.count(since - lag - event.jitter + 1), self.count(until - lag)
                if event.every is None:
                    break
                lag += event.every


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the union of ranges [low, high) as ranges that neither touch nor overlap, in order."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if low >= high:
            continue
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def split(ranges: Iterable[Range], size: int) -> tuple[tuple[Range, ...], ...]:
    """Return the ranges in groups of `size` rows each, the last one smaller."""
    groups: list[tuple[Range, ...]] = []
    group: list[Range] = []
    room = size
    for low, high in ranges:
        start = low
        while start < high:
            end = min(high, start + room)
            group.append((start, end))
            room -= end - start
            start = end
            if room == 0:
                groups.append(tuple(group))
                group, room = [], size
    if group:
        groups.append(tuple(group))
    return tuple(groups)


def born_sql(timeline: Timeline, row: str) -> str:
    """Return SQL for the age of the college, in milliseconds, when a row is born."""
    return f"(greatest({row} - {timeline.founding - 1}, 0) * {timeline.span}) // {timeline.rows}"


def count_sql(timeline: Timeline, age: str) -> str:
    """Return SQL for how many rows are born by an age of the college, in milliseconds and not negative."""
    count = f"({timeline.founding} + (({age} + 1) * {timeline.rows} - 1) // {timeline.span})"
    return count if timeline.limit is None else f"least({count}, {timeline.limit})"
