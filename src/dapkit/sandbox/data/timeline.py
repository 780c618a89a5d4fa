"""When rows are created, change and disappear: exact arithmetic over row numbers, in Python and in SQL.

Nothing is stored, so every question must be answered from row numbers and times alone. A row is created ("born") at
b(i), a closed form of its number i that never decreases. Hence the rows born in a span of time are one range of row
numbers, which the inverse of b finds without looking at any row. Every later change is an event at a fixed lag after
birth plus a bounded jitter, so the rows that may change in a span of time are a few such ranges.

All times are integers, milliseconds since 1970 in UTC, and never floats: an increment starts at exactly
the time at which the previous one ended, and a rounding error of one millisecond would lose or repeat a row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

HOUR = 3_600_000
DAY = 24 * HOUR
ORIGIN = 1_470_009_600_000
"""The start of the data, 2016-08-01: no row is older."""
DECADE = 3_652 * DAY
REFRESH = 4 * HOUR
"""The interval at which the service refreshes its data."""

Range = tuple[int, int]
"""Row numbers from the first, inclusive, to the second, exclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that may happen to a row, once or repeatedly.

    It happens `lag` after birth plus a jitter from 0 to below `jitter`, to the given share of rows. With `period`, it
    happens again after each period. A `final` event is the last one: it deletes the row.
    """

    lag: int
    jitter: int = 6 * HOUR
    share: float = 1.0
    period: int | None = None
    final: bool = False

    @property
    def threshold(self) -> int:
        """The share in 65,536ths, to be compared with 16 bits of a hash."""
        return round(self.share * 65_536)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The life of a table's rows.

    The first `initial` rows are born at the origin. After that, `rows` rows are born evenly in every `span`
    milliseconds, up to `limit` rows in total. With `retention`, rows disappear without a trace that long after birth.
    """

    span: int
    rows: int
    initial: int = 1
    limit: int | None = None
    events: tuple[Event, ...] = ()
    retention: int | None = None

    @classmethod
    def per_decade(cls, rows: float, *, initial: int = 1) -> "Timeline":
        """Return a timeline that has about so many rows ten years after the origin."""
        return cls(span=max(1, round(DECADE / max(rows, 1e-3))), rows=1, initial=initial)

    def children(self, per_parent: Fraction) -> "Timeline":
        """Return the timeline of a table with `per_parent` rows for every row of this one, none older than its parent.

        Row i of that table belongs to row i // per_parent of this one.
        """
        # Growing `per_parent` times as fast puts each child at or after its parent, as both round down. The last of the
        # initial rows is left out of the multiplication, because only its first child is born with it.
        initial = (self.initial - 1) * per_parent.numerator // per_parent.denominator + 1
        return Timeline(span=self.span * per_parent.denominator, rows=self.rows * per_parent.numerator, initial=initial)

    def born(self, row: int) -> int:
        """Return b(row), the time at which a row is born."""
        return ORIGIN + max(0, row - self.initial + 1) * self.span // self.rows

    def count(self, time: int) -> int:
        """Return how many rows are born at or before a time: those with a smaller number, and no others.

        This is the inverse of `born`.
        """
        passed = time - ORIGIN
        if passed < 0:
            return 0
        # With n = row - initial + 1, a row is born in time if n * span // rows <= passed, that is if
        # n * span < (passed + 1) * rows, that is if n <= ((passed + 1) * rows - 1) // span. Exact, without a search.
        count = self.initial + ((passed + 1) * self.rows - 1) // self.span
        return count if self.limit is None else min(count, self.limit)

    def present(self, time: int) -> tuple[Range, ...]:
        """Return the rows of a snapshot, including deleted ones."""
        low = 0 if self.retention is None else self.count(time - self.retention)
        return merge([(low, self.count(time))])

    def changed(self, since: int, until: int) -> tuple[Range, ...]:
        """Return ranges that contain every row that is born or has an event in (since, until], and some others."""
        if self.retention is not None:
            return merge([(self.count(max(since, until - self.retention)), self.count(until))])
        return merge(self._candidates(since, until))

    def _candidates(self, since: int, until: int) -> Iterator[Range]:
        yield self.count(since), self.count(until)
        for event in self.events:
            lag = event.lag
            while until - lag >= ORIGIN:
                # An event in (since, until] belongs to a row that is born in (since - lag - jitter, until - lag]. The
                # largest jitter is one less than `event.jitter`; the query filters by the exact time of the event.
                yield self.count(since - lag - event.jitter + 1), self.count(until - lag)
                if event.period is None:
                    break
                lag += event.period


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the union of ranges in order, as ranges that neither overlap nor touch.

    A row in two ranges (of two events) would otherwise occur twice in an increment.
    """
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
    """Return the ranges in groups of `size` rows each; the last group may be smaller."""
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


# The SQL twins of `born` and `count` count from the origin, and only for ages that are not negative: there, `//` of
# DuckDB (which truncates) equals `//` of Python (which rounds down).


def born_sql(timeline: Timeline, row: str) -> str:
    """Return SQL for the age of the data, in milliseconds since the origin, when a row is born."""
    return f"(greatest({row} - {timeline.initial - 1}, 0) * {timeline.span}) // {timeline.rows}"


def count_sql(timeline: Timeline, age: str) -> str:
    """Return SQL for how many rows are born by an age of the data, which must not be negative."""
    count = f"({timeline.initial} + (({age} + 1) * {timeline.rows} - 1) // {timeline.span})"
    return count if timeline.limit is None else f"least({count}, {timeline.limit})"
