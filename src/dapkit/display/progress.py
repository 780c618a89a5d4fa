"""Live progress on a terminal."""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dapkit.display.progress_state import ProgressState, TableProgressState
from dapkit.events import Event, TablePhase
from dapkit.formatting import about, count, duration, size

THEMES = {
    "dark": {"name": "bold cyan", "good": "green", "bad": "bold red", "dim": "bright_black", "bar": "cyan"},
    "light": {"name": "bold blue", "good": "green", "bad": "bold red", "dim": "grey42", "bar": "blue"},
    "high-contrast-bw": {"name": "bold", "good": "bold", "bad": "bold reverse", "dim": "none", "bar": "bold"},
}
RATE_WINDOW = 5.0
BAR_WIDTH = 30
WIDE = 80
"""Columns of a terminal from which there is room for a bar."""

_PHASES = (
    (TablePhase.QUEUED, "to request", "dim"),
    (TablePhase.RUNNING, "at the service", "dim"),
    (TablePhase.DOWNLOADING, "downloading", "name"),
    (TablePhase.LOADING, "loading", "name"),
    (TablePhase.DONE, "done", "good"),
    (TablePhase.FAILED, "failed", "bad"),
)


class RateMeter:
    """The average rate over the last few seconds."""

    def __init__(self, window: float = RATE_WINDOW) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def measure(self, now: float, total: int) -> float:
        """Record the total at this time and return the rate per second."""
        self._seen.append((now, total))
        # Always keep two measurements: with a single one, the rate after a pause would be zero.
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window:
            self._seen.popleft()
        since, before = self._seen[0]
        return (total - before) / (now - since) if now > since else 0.0


class Progress:
    """A listener that shows the run on a terminal.

    Example:
        with Progress(console, theme="dark") as progress:
            progress(event)
    """

    def __init__(self, console: Console, theme: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self._style = THEMES[theme]
        self._clock = clock
        self._started = clock()
        self._progress = ProgressState()
        self._meter = RateMeter()
        self._lock = threading.Lock()
        # Transient: the display disappears at the end, and the summary takes its place.
        self._live = Live(self, console=console, refresh_per_second=5, transient=True, redirect_stdout=False)

    def __call__(self, event: Event) -> None:
        """Record one event; rich's thread draws at its own rate."""
        # rich draws in a separate thread, so both sides take the lock.
        with self._lock:
            self._progress.add(event)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a few lines for the run and as many active tables as fit."""
        with self._lock:
            if not self._progress.tables:
                yield Text("Starting …", style=self._style["dim"])
                return
            yield self._counts()
            rate = self._meter.measure(self._clock(), self._progress.bytes)
            yield self._totals(rate, wide=options.max_width >= WIDE)
            yield from self._wait(rate)
            # Leave room for the lines above and for warnings. rich cuts off what does not fit.
            yield from self._active(max(3, min(12, console.height - 8)))

    def sentence(self) -> str:
        """Return the progress in one sentence."""
        with self._lock:
            return f"{self._progress.namespace}: {self._progress.sentence()}"

    def _counts(self) -> Text:
        counts = self._progress.counts()
        line = Text(f"{self._progress.namespace}  ", style=self._style["name"])
        for phase, word, style in _PHASES:
            if counts[phase]:
                line.append(f"{counts[phase]:,} {word}  ", style=self._style[style])
        return line

    def _totals(self, rate: float, *, wide: bool) -> Table | Text:
        complete, total, estimated = self._progress.files()
        mark = "~" if estimated else ""
        files = f"{complete:,} of {mark}{count(total, 'file')}  {size(self._progress.bytes)}"
        time_ = f"{size(rate)}/s  {duration(self._clock() - self._started)}"
        if not wide:
            return Text(f"{files}\n{time_}")
        row = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=max(total, 1),
            completed=complete,
            width=BAR_WIDTH,
            complete_style=self._style["bar"],
            finished_style=self._style["good"],
        )
        row.add_row(bar, Text(f"{files}  {time_}"))
        return row

    def _wait(self, rate: float) -> RenderResult:
        """Draw what the run waits for, and the time that is left as far as it is known."""
        waiting, left = self._progress.waiting(), self._progress.seconds_left(rate)
        parts = [*([waiting] if waiting else []), *([f"{about(left)} left"] if left else [])]
        if parts:
            text = ", ".join(parts)
            yield Text(text[0].upper() + text[1:], style=self._style["dim"])

    def _active(self, limit: int) -> RenderResult:
        active = [(name, table) for name, table in self._progress.tables.items() if table.active]
        if not active:
            return
        grid = Table.grid(padding=(0, 2))
        for name, table in active[:limit]:
            grid.add_row(Text(f"  {name}", style=self._style["name"]), *_cells(table))
        yield grid
        if len(active) > limit:
            yield Text(f"  and {len(active) - limit} more", style=self._style["dim"])


def _cells(table: TableProgressState) -> tuple[Text, Text]:
    files = f"{table.files:,} of {count(table.total, 'file')}" if table.total is not None else ""
    received = size(table.bytes)
    # The remaining files are assumed to have the average size of the complete ones.
    if table.total and 0 < table.files < table.total and table.complete_bytes:
        received = f"{received} of ~{size(table.complete_bytes / table.files * table.total)}"
    return Text(files), Text(received)
