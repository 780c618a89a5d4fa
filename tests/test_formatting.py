"""Sizes, counts, durations and tables of text."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit import formatting as wording


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (1234, "1.23 kB"),
        (12_345, "12.3 kB"),
        (999_400, "999 kB"),
        (999_600, "1.00 MB"),
        (5_000_000_000, "5.00 GB"),
        (7.2e18, "7200 PB"),
    ],
)
def test_sizes_have_three_digits(number: float, text: str) -> None:
    assert wording.size(number) == text


@given(st.floats(min_value=0, max_value=1e17))
def test_no_size_is_wider_than_its_column(number: float) -> None:
    assert len(wording.size(number)) <= len("9.99 kB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.99, "10 s"),
        (59.4, "59 s"),
        (59.6, "1m 0s"),
        (125, "2m 5s"),
        (11_100, "3h 5m"),
        (187_200, "2d 4h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_nouns_agree_with_their_count() -> None:
    assert wording.count(1, "file") == "1 file"
    assert wording.count(0, "file") == "0 files"
    assert wording.count(1234, "entry", "entries") == "1,234 entries"


def test_long_lists_of_names_are_shortened() -> None:
    assert wording.names(["a", "b"], limit=2) == "a, b"
    assert wording.names(["a", "b", "c"], limit=2) == "a, b and 1 more"


@pytest.mark.parametrize(("text", "ended"), [("It broke", "It broke."), ("It broke.", "It broke."), ("Why?", "Why?")])
def test_sentences_end_with_a_full_stop(text: str, ended: str) -> None:
    assert wording.sentence(text) == ended


def test_columns_are_aligned_without_trailing_blanks() -> None:
    rows = [["table", "rows", "note"], ["a", "1,000", ""], ["quizzes", "7", "here"]]
    assert wording.columns(rows, frozenset({1})) == [
        "table     rows  note",
        "a        1,000",
        "quizzes      7  here",
    ]
    assert wording.columns([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59, "less than a minute"),
        (60, "about 1 min"),
        (1116, "about 19 min"),
        (3600, "about 1 h"),
        (7500, "about 2 h 5 min"),
        (86400 * 50, "about 1,200 h"),
    ],
)
def test_estimates_are_in_minutes(seconds: float, text: str) -> None:
    assert wording.about(seconds) == text


@pytest.mark.parametrize("text", ["0m", "90m", "4h", "25h", "1d", "40d"])
def test_ages_are_written_as_options_spell_them(text: str) -> None:
    minutes = int(text[:-1]) * {"m": 1, "h": 60, "d": 1440}[text[-1]]
    assert wording.age(timedelta(minutes=minutes)) == text


ROWS = [("name", "type", "meaning"), ("id", "int64", "The key of the row, which never changes."), ("x", "text", "")]


def test_the_last_column_is_wrapped() -> None:
    assert wording.wrapped_columns(ROWS, 40) == [
        "name  type   meaning",
        "id    int64  The key of the row, which",
        "             never changes.",
        "x     text",
    ]


def test_without_a_width_or_with_enough_space_rows_are_single_lines() -> None:
    assert wording.wrapped_columns(ROWS, None) == wording.wrapped_columns(ROWS, 53) == wording.columns(ROWS)
    assert wording.wrapped_columns([], 40) == []


def test_the_last_column_has_lines_of_its_own_if_there_is_little_space() -> None:
    assert wording.wrapped_columns(ROWS, 30) == [
        "name  type",
        "  meaning",
        "id    int64",
        "  The key of the row, which",
        "  never changes.",
        "x     text",
    ]


@given(st.lists(st.tuples(st.text("ab", max_size=9), st.text("xy z", max_size=60))), st.integers(12, 80))
def test_wrapped_columns_lose_no_word(rows: list[tuple[str, str]], width: int) -> None:
    lines = wording.wrapped_columns(rows, width)
    words = [word for line in lines for word in line.split()]
    assert words == [word for row in rows for cell in row for word in cell.split()]


@pytest.mark.parametrize(("width", "lines"), [(None, ["a b c"]), (3, ["a b", "c"]), (9, ["a b c"])])
def test_a_text_is_broken_into_lines(width: int | None, lines: list[str]) -> None:
    assert wording.wrap("a b c", width) == lines
    assert wording.wrap("", width) == [""]
