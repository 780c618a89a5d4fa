"""Live progress, drawn into a string."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from dapkit.config.settings import THEMES as THEME_NAMES
from dapkit.display.progress import THEMES, Progress, RateMeter
from dapkit.events import (
    BytesReceived,
    Event,
    JobsPlanned,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RunStarted,
    TableCompleted,
)
from dapkit.model import Format, Query
from dapkit.results import TableResult


def drawn(
    *events: Event, height: int = 24, color: bool | None = None, theme: str = "dark", now: float = 0.0, width: int = 100
) -> str:
    """Draw once, `now` seconds after the beginning; on a terminal when `color` says whether it has colours."""
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=color is not None,
        no_color=not color,
        color_system=None if color is None else "standard",
        highlight=False,
    )
    times = iter([0.0, now])
    progress = Progress(console, theme, clock=lambda: next(times, now))
    for event in events:
        progress(event)
    console.print(progress)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def began(*tables: str) -> RunStarted:
    query = Query(format=Format.CSV)
    return RunStarted(
        namespace="canvas", tables=tables, query=query, output=Path("out"), resumed_age=None, sandbox=False
    )


def test_before_the_tables_are_known_a_placeholder_is_shown() -> None:
    assert "Starting" in drawn()


def test_phases_files_bytes_and_time_are_shown(table_result: Callable[..., TableResult]) -> None:
    text = drawn(
        began("a", "b", "c"),
        ObjectsListed(table="a", objects=4, complete=0),
        ObjectStarted(table="a", name="x", size=None),
        BytesReceived(table="a", count=2500),
        ObjectCompleted(table="a", name="x", size=2000, rows=1),
        ObjectStarted(table="a", name="y", size=None),
        TableCompleted(result=table_result("b", files=2)),
        now=65.0,
    )
    head, bar, busy = text.strip().splitlines()
    assert head.split() == ["canvas", "1", "to", "request", "1", "downloading", "1", "done"]
    assert "3 of ~9 files" in bar
    assert "2.50 kB" in bar
    assert "1m 5s" in bar
    assert busy.split() == ["a", "1", "of", "4", "files", "2.50", "kB", "of", "~8.00", "kB"]


def test_exact_totals_are_not_marked_as_estimates(table_result: Callable[..., TableResult]) -> None:
    text = drawn(began("b"), TableCompleted(result=table_result("b", files=2)))
    assert "2 of 2 files" in text


def test_the_display_fits_the_terminal() -> None:
    tables = [f"table_{number}" for number in range(100)]
    events = [ObjectStarted(table=table, name="x", size=None) for table in tables]
    text = drawn(began(*tables), *events, height=10)
    assert len(text.splitlines()) <= 10
    assert "and 97 more" in text


def test_no_color_removes_all_colours() -> None:
    assert "\x1b[3" not in drawn(began("a"), color=False)
    assert "\x1b[1;3" in drawn(began("a"), color=True)


@pytest.mark.parametrize("theme", THEME_NAMES)
def test_every_theme_can_be_drawn(theme: str) -> None:
    assert set(THEMES[theme]) == set(THEMES["dark"])
    assert "canvas" in drawn(began("a"), color=True, theme=theme)


def test_the_rate_is_measured_over_the_last_seconds() -> None:
    meter = RateMeter(window=5.0)
    assert meter.measure(0.0, 0) == 0.0
    assert meter.measure(1.0, 1000) == 1000.0
    for second in range(2, 8):
        rate = meter.measure(float(second), 1000)
    assert rate == 0.0


def test_the_terminal_is_restored() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with Progress(console, "dark") as progress:
        progress(began("a"))
    file = console.file
    assert isinstance(file, io.StringIO)
    hidden, shown = file.getvalue().rfind("\x1b[?25l"), file.getvalue().rfind("\x1b[?25h")
    assert 0 <= hidden < shown


def test_the_display_says_what_the_run_waits_for_and_the_time_that_is_left() -> None:
    text = drawn(began(*(f"t{number}" for number in range(88))), JobsPlanned(jobs=93, per_minute=5))
    assert text.strip().splitlines()[-1] == "88 jobs to request (rate limit: 5 per minute), about 18 min left"


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    tables = [f"a_table_with_a_long_name_{number}" for number in range(93)]
    events: list[Event] = [JobsPlanned(jobs=93, per_minute=5)]
    for table in tables:
        events.append(ObjectsListed(table=table, objects=2, complete=1))
        events.append(ObjectStarted(table=table, name="x", size=None))
    lines = drawn(began(*tables), *events, width=width, now=4000.0).splitlines()
    assert max(map(len, lines)) <= width
    assert ("━" in "".join(lines)) == (width >= 80)
