"""The two clocks, and the text format of timestamps."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import OutputError
from dapkit.sandbox.data.timeline import HOUR
from dapkit.sandbox.service.clock import (
    DataClock,
    RealClock,
    last_refresh,
    milliseconds,
    parse_timestamp,
    timestamp,
)

NOON_MS = milliseconds(datetime(2026, 9, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("moment_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOON_MS, "2026-09-01T12:00:00Z"),
        (NOON_MS + 7, "2026-09-01T12:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_timestamp(moment_ms: int, text: str) -> None:
    assert timestamp(moment_ms) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamps_are_parsed_rounded_down(moment: datetime) -> None:
    moment_ms = milliseconds(moment)
    assert parse_timestamp(timestamp(moment_ms)) == moment_ms
    assert parse_timestamp(moment.isoformat()) == moment_ms


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("2026-09-01T14:00:00+02:00", NOON_MS),
        ("2026-09-01 12:00:00Z", NOON_MS),
        ("2026-09-01T12:00:00.000999Z", NOON_MS),
    ],
)
def test_zones_and_fractions(text: str, moment_ms: int) -> None:
    assert parse_timestamp(text) == moment_ms


@pytest.mark.parametrize("text", ["2026-09-01", "2026-09-01T12:00:00", "yesterday", ""])
def test_a_timestamp_needs_time_and_zone(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


def test_refresh_times_are_multiples_of_four_hours() -> None:
    assert last_refresh(NOON_MS) == NOON_MS
    assert last_refresh(NOON_MS - 1) == NOON_MS - 4 * HOUR
    assert last_refresh(NOON_MS + 4 * HOUR - 1) == NOON_MS


def test_real_time_can_be_skipped() -> None:
    clock = RealClock(lambda: 100.25)
    clock.skip(1.5)
    assert clock.now_ms() == 101_750


def test_the_data_clock_stands_still_and_moves_on_demand() -> None:
    clock = DataClock(NOON_MS)
    clock.advance(4)
    clock.advance(0.5)
    assert clock.now_ms() == NOON_MS + 9 * HOUR // 2
    clock.set(5)
    assert clock.now_ms() == 5


def test_the_next_process_continues_from_the_stored_clock(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there yet"
    first = DataClock(NOON_MS, home)
    assert not home.exists()
    first.advance(4)
    assert DataClock(0, home).now_ms() == NOON_MS + 4 * HOUR
    assert [path.name for path in home.iterdir()] == ["clock.json"]


def test_a_clock_that_cannot_be_stored_raises(tmp_path: Path) -> None:
    clock = DataClock(NOON_MS, tmp_path / "home")
    (tmp_path / "home").touch()
    for act, word in ((clock.check, "written"), (lambda: clock.set(5), "written"), (lambda: clock.advance(4), "read")):
        with pytest.raises(OutputError, match=f"cannot be {word}") as caught:
            act()
        assert "DAP_SANDBOX_HOME" in caught.value.hint


def test_check_does_not_change_the_stored_clock(tmp_path: Path) -> None:
    DataClock(NOON_MS).check()
    DataClock(NOON_MS, tmp_path / "new").check()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_process_ignores_other_clocks_until_it_moves_its_own(tmp_path: Path) -> None:
    ours, theirs = DataClock(NOON_MS, tmp_path), DataClock(NOON_MS, tmp_path)
    theirs.advance(8)
    assert ours.now_ms() == NOON_MS
    ours.advance(4)
    assert ours.now_ms() == NOON_MS + 12 * HOUR


@pytest.mark.parametrize("text", ["", "{", "[]", '{"data_time": 5}', '{"data_time": "noon"}'])
def test_an_invalid_clock_file_is_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock.json").write_text(text)
    with pytest.raises(OutputError, match=r"clock\.json"):
        DataClock(NOON_MS, tmp_path)
