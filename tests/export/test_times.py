"""Times as people and programs give them."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.export.times import (
    ParsedTime,
    age_argument,
    fixed,
    impossible_part,
    parse_time,
    relative_time,
    require_order,
    start_argument,
    time_argument,
)
from dapkit.model import Format, Query, format_utc

BERLIN_SUMMER = timezone(timedelta(hours=2))
NAIVE = datetime(2026, 8, 1)  # noqa: DTZ001, the case


@pytest.mark.parametrize(
    ("text", "sent", "assumed"),
    [
        ("2024-01-31", "2024-01-30T22:00:00Z", True),
        ("2024-01-31T10:00", "2024-01-31T08:00:00Z", True),
        ("2024-01-31 10:00:30", "2024-01-31T08:00:30Z", True),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z", False),
        ("2024-01-31 10:00:00Z", "2024-01-31T10:00:00Z", False),
        ("2024-01-31T10:00:00+05:30", "2024-01-31T04:30:00Z", False),
        (" 2024-01-31T10:00:00.5-01:00 ", "2024-01-31T11:00:00.500000Z", False),
    ],
)
def test_times_are_converted_to_utc(text: str, sent: str, assumed: bool) -> None:
    moment = parse_time(text, zone=BERLIN_SUMMER)
    assert moment is not None
    assert (moment.text, moment.assumed_local) == (sent, assumed)


@pytest.mark.parametrize(
    "text", ["2024-01-31T10:00:00.123Z", "2024-01-31T10:00:00.123456789Z", "2024-01-31T10:00:00.000+00:00"]
)
def test_a_watermark_is_passed_on_verbatim(text: str) -> None:
    moment = parse_time(text)
    assert moment is not None
    assert moment.text == text


@pytest.mark.parametrize("text", ["", "downloads", "2024", "2024-13-01", "yesterday", "./2024-01-31"])
def test_invalid_times_are_rejected(text: str) -> None:
    assert parse_time(text) is None


def test_a_time_outside_the_range_of_utc_is_an_error() -> None:
    with pytest.raises(UsageError, match="out of range"):
        parse_time("0001-01-01T00:00:00+05:00")


def test_a_time_without_a_zone_is_local_time() -> None:
    moment = parse_time("2024-01-31T10:00:00")
    assert moment is not None
    assert moment.utc == datetime(2024, 1, 31, 10).astimezone(UTC)


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001, the strategy wants naive bounds
def test_times_survive_a_round_trip(moment: datetime) -> None:
    parsed = parse_time(format_utc(moment))
    assert parsed is not None
    assert (parsed.utc, parsed.text) == (moment, format_utc(moment))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (datetime(2026, 8, 1, tzinfo=UTC), "2026-08-01T00:00:00Z"),
        (datetime(2026, 8, 1, 2, tzinfo=BERLIN_SUMMER), "2026-08-01T00:00:00Z"),
        (datetime(2026, 8, 1, 0, 0, 0, 123, tzinfo=UTC), "2026-08-01T00:00:00.000123Z"),
        ("2026-08-01T02:00:00+02:00", "2026-08-01T00:00:00Z"),
        ("2026-08-01T00:00:00.123456789Z", "2026-08-01T00:00:00.123456789Z"),
    ],
)
def test_a_program_passes_times_with_a_zone(value: object, sent: str) -> None:
    for read in (time_argument, start_argument):
        time = read("since", value)
        assert isinstance(time, ParsedTime)
        assert time.text == sent


@pytest.mark.parametrize(
    "value", [NAIVE, date(2026, 8, 1), None, 5, 5.0, b"2026-08-01", "2026-08-01", "2026-08-01T00:00:00", "soon", "", []]
)
def test_anything_else_is_an_error_that_names_the_argument(value: object) -> None:
    with pytest.raises(UsageError, match=r"^until ") as caught:
        time_argument("until", value)
    assert caught.value.hint
    with pytest.raises(UsageError, match=r"^since "):
        start_argument("since", value)


def test_a_folder_is_a_path_and_a_text_that_may_mean_one_is_an_error_that_says_so(tmp_path: Path) -> None:
    assert start_argument("since", tmp_path) == tmp_path
    with pytest.raises(UsageError, match="is not a time") as caught:
        start_argument("since", str(tmp_path))
    assert f"Path({str(tmp_path)!r})" in caught.value.hint
    with pytest.raises(UsageError, match="is not a folder"):
        start_argument("since", tmp_path / "absent")
    with pytest.raises(UsageError, match="until must be a time"):
        time_argument("until", tmp_path)


def test_an_increment_does_not_end_before_it_starts() -> None:
    first, second = time_argument("since", "2026-08-01T00:00:00Z"), time_argument("until", "2026-08-02T00:00:00Z")
    require_order(first, second)
    require_order(first, first)
    with pytest.raises(UsageError, match="later than until"):
        require_order(second, first)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2026-13-01", "there is no month 13"),
        ("2026-00-01T00:00:00Z", "there is no month 0"),
        ("0000-01-01", "there is no year 0"),
        ("2026-02-29", "2026-02 has no day 29"),
        ("2024-02-29", ""),
        ("2026-09-01T24:30:00Z", "there is no hour 24"),
        ("2026-09-01 10:60", "there is no minute 60"),
        ("2026-09-01T10:00:60Z", "there is no second 60"),
        ("downloads", ""),
        ("", ""),
    ],
)
def test_the_part_of_a_time_that_does_not_exist_is_named(text: str, part: str) -> None:
    assert impossible_part(text) == part
    if part:
        with pytest.raises(UsageError, match=part):
            time_argument("until", text)
        with pytest.raises(UsageError, match=part):
            start_argument("since", text)


NOW = datetime(2026, 9, 1, 12, 30, 15, 999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2d", "2026-08-30T12:30:15Z"),
        (" 4H ", "2026-09-01T08:30:15Z"),
        ("90m", "2026-09-01T11:00:15Z"),
        ("today", "2026-08-31T22:00:00Z"),
        ("Yesterday", "2026-08-30T22:00:00Z"),
        ("2026-08-01T00:00:00.123456789Z", "2026-08-01T00:00:00.123456789Z"),
    ],
)
def test_relative_times_count_from_the_beginning_of_the_run(text: str, time: str) -> None:
    query = fixed(Query(format=Format.JSONL, since=text), NOW, zone=BERLIN_SUMMER)
    assert (query.since, query.until) == (time, None)
    assert fixed(query, NOW + timedelta(days=9)) == query


@pytest.mark.parametrize("text", ["", "d", "2", "2w", "-2d", "2 d", "tomorrow", "1234567890d", "\N{SUPERSCRIPT TWO}d"])
def test_other_words_are_not_relative_times(text: str) -> None:
    assert relative_time(text) is None


def test_a_program_may_pass_an_age_but_no_day_because_days_need_a_zone() -> None:
    assert [age_argument(value) for value in ("2D", "yesterday", "2026-09-01", None, 2)] == [
        "2d",
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Query(format=Format.JSONL, since="2026-09-02T12:30:16Z"), r"more than one day ahead of this machine's clock"),
        (Query(format=Format.JSONL, since="2d", until="3d"), "later than until"),
        (Query(format=Format.JSONL, since="today", until="2026-08-01T00:00:00Z"), "later than until"),
        (Query(format=Format.JSONL, since="999999999d"), "out of range"),
    ],
)
def test_a_start_that_cannot_be_meant_is_an_error_when_the_run_begins(query: Query, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fixed(query, NOW)
    near = Query(format=Format.JSONL, since="2026-09-02T12:30:15Z", until="2026-08-30T00:00:00Z")
    assert fixed(Query(format=Format.JSONL, since=near.since), NOW).since == near.since, "the service decides"
    with pytest.raises(UsageError, match="sandbox's clock"):
        fixed(Query(format=Format.JSONL, since="2027-01-01T00:00:00Z"), NOW, sandbox=True)
