"""Values of options, as people write them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.cli.parameters import parse_time, percentage
from dapkit.errors import UsageError
from dapkit.model import format_utc

BERLIN_SUMMER = timezone(timedelta(hours=2))
NO_CONTEXT: Any = None
NO_PARAMETER: Any = None


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


@pytest.mark.parametrize("text", ["2024-01-31T10:00:00.123Z", "2024-01-31T10:00:00.123456789Z"])
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
    ("text", "number"), [("1", 1.0), ("0.5%", 0.5), ("100%", 100.0), ("1e-3", 0.001), (None, None)]
)
def test_valid_percentages(text: str | None, number: float | None) -> None:
    assert percentage(NO_CONTEXT, NO_PARAMETER, text) == number


@pytest.mark.parametrize("text", ["", "%", "0", "-1", "100.1", "nan", "inf", "one", "5 %%"])
def test_an_invalid_percentage_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="percentage"):
        percentage(NO_CONTEXT, NO_PARAMETER, text)
