from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples

from dapkit.sandbox.data.timeline import (
    DAY,
    DECADE,
    HOUR,
    ORIGIN,
    Event,
    Timeline,
    born_sql,
    count_sql,
    merge,
    split,
)

timelines = st.builds(
    Timeline,
    span=st.integers(1, 10**12),
    rows=st.integers(1, 10**5),
    initial=st.integers(1, 100),
)
row_numbers = st.integers(0, 10**6)
eaches = st.fractions(min_value=Fraction(1, 20), max_value=50, max_denominator=20)


@given(timelines, row_numbers)
def test_a_row_is_counted_from_the_millisecond_of_its_birth(timeline: Timeline, row: int) -> None:
    born = timeline.born(row)
    assert timeline.count(born) > row
    assert timeline.count(born - 1) <= row


@given(timelines, row_numbers)
def test_birth_never_falls(timeline: Timeline, row: int) -> None:
    assert timeline.born(row) <= timeline.born(row + 1)


@given(timelines, eaches, row_numbers)
def test_no_row_is_older_than_its_parent(timeline: Timeline, each: Fraction, row: int) -> None:
    owner = row * each.denominator // each.numerator
    assert timeline.born(owner) <= timeline.children(each).born(row)


@given(timelines, st.integers(1, 50), row_numbers)
def test_the_first_child_is_born_with_its_parent(timeline: Timeline, each: int, owner: int) -> None:
    assert timeline.children(Fraction(each)).born(owner * each) == timeline.born(owner)


@given(
    timeline=timelines,
    row=row_numbers,
    lag=st.integers(0, 10**10),
    jitter=st.integers(1, 10**8),
    data=st.data(),
)
def test_an_event_at_either_end_of_a_span_lies_in_the_ranges(
    timeline: Timeline, row: int, lag: int, jitter: int, data: st.DataObject
) -> None:
    moment = timeline.born(row) + lag + data.draw(st.sampled_from((0, jitter - 1)) | st.integers(0, jitter - 1))
    event = Event(lag=lag, jitter=jitter)
    eventful = Timeline(span=timeline.span, rows=timeline.rows, initial=timeline.initial, events=(event,))
    length = data.draw(st.integers(1, 10**9))
    for since in (moment - 1, moment - length):
        assert any(low <= row < high for low, high in eventful.changed(since, moment))
        assert any(low <= row < high for low, high in eventful.changed(moment - 1, since + 2 * length))


@given(st.integers(0, 10**4), st.integers(0, 40), st.integers(0, 6 * HOUR - 1))
def test_a_recurring_event_lies_in_the_ranges_each_time(row: int, times: int, jitter: int) -> None:
    event = Event(lag=3 * DAY, period=28 * DAY)
    timeline = Timeline(span=DAY, rows=3, events=(event,))
    moment = timeline.born(row) + event.lag + times * 28 * DAY + jitter
    assert any(low <= row < high for low, high in timeline.changed(moment - 1, moment))


def test_an_increment_has_few_candidate_rows() -> None:
    timeline = Timeline(span=HOUR, rows=1000, events=(Event(lag=9 * DAY), Event(lag=40 * DAY)))
    now = ORIGIN + DECADE
    looked_at = sum(high - low for low, high in timeline.changed(now - 4 * HOUR, now))
    assert looked_at < timeline.count(now) / 1000


def test_logs_are_retained_for_a_while() -> None:
    timeline = Timeline(span=DAY, rows=10, retention=30 * DAY)
    now = ORIGIN + 100 * DAY
    assert timeline.present(now) == ((timeline.count(now - 30 * DAY), timeline.count(now)),)
    assert timeline.changed(ORIGIN, now) == timeline.present(now)
    assert timeline.changed(now - DAY, now) == ((timeline.count(now - DAY), timeline.count(now)),)


def test_there_are_no_rows_before_the_origin_or_beyond_the_limit() -> None:
    timeline = Timeline(span=DAY, rows=1, limit=3)
    assert timeline.count(ORIGIN - 1) == 0
    assert timeline.present(ORIGIN - 1) == ()
    assert timeline.count(ORIGIN) == 1
    assert timeline.count(ORIGIN + 50 * DAY) == 3


@pytest.mark.parametrize("rows", [0.001, 1, 3000, 10**9])
def test_per_decade_gives_about_the_requested_rows(rows: float) -> None:
    count = Timeline.per_decade(rows).count(ORIGIN + DECADE)
    assert rows * 0.9 <= count <= rows * 1.1 + 2


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@few_examples(20)
@given(timelines, st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_sql_agrees_with_python(database: duckdb.DuckDBPyConnection, timeline: Timeline, numbers: list[int]) -> None:
    listed = ", ".join(f"({number}::BIGINT)" for number in numbers)
    limited = Timeline(span=timeline.span, rows=timeline.rows, initial=timeline.initial, limit=1000)
    columns = ", ".join((born_sql(timeline, "n"), count_sql(timeline, "n"), count_sql(limited, "n")))
    found = database.execute(f"SELECT {columns} FROM (VALUES {listed}) AS numbers(n)").fetchall()
    assert found == [
        (timeline.born(n) - ORIGIN, timeline.count(ORIGIN + n), limited.count(ORIGIN + n)) for n in numbers
    ]


ranges = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))), max_size=8
)


@given(ranges)
def test_merged_ranges_hold_the_same_numbers_once(some: list[tuple[int, int]]) -> None:
    merged = merge(some)
    numbers = [number for low, high in merged for number in range(low, high)]
    assert numbers == sorted({number for low, high in some for number in range(low, high)})
    assert all(first[1] < second[0] for first, second in pairwise(merged))


@given(ranges, st.integers(1, 20))
def test_split_ranges_hold_the_same_numbers_in_full_groups(some: list[tuple[int, int]], size: int) -> None:
    merged = merge(some)
    groups = [[n for low, high in group for n in range(low, high)] for group in split(merged, size)]
    assert [n for group in groups for n in group] == [n for low, high in merged for n in range(low, high)]
    assert all(len(group) == size for group in groups[:-1])
    assert all(groups)
