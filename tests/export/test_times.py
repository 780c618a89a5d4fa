"""Times as people and programs give them."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.export.times import ParsedTime, parse_time, require_order, start_argument, time_argument
from dapkit.model import format_utc

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
