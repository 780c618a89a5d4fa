"""A ready listener for programs: it shows the progress of runs on a terminal, in a notebook, or as lines of text."""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any, Final, Protocol

from dapkit.config import arguments
from dapkit.config.settings import THEMES
from dapkit.display.progress_state import ProgressState
from dapkit.events import Event, Notice, Retrying, RunEnded, RunStarted, SyncStarted
from dapkit.failures import TableFailed
from dapkit.formatting import duration, sentence

LINE_SECONDS: Final = 60.0
"""Where nothing can be redrawn, a line is written this often."""

REDRAW_SECONDS: Final = 0.5
"""A notebook is redrawn this often: each time, the text travels to the browser."""


class View(Protocol):
    """Shows one run."""

    def add(self, event: Event) -> None:
        """Show an event."""

    def note(self, text: str) -> None:
        """Show a message that stays."""

    def end(self) -> None:
        """End the display."""


class ProgressDisplay:
    """A listener that shows the progress of each run.

    On a terminal, it draws the live progress of the command. In a notebook, it shows a bar in the output of the cell.
    Elsewhere, it writes a line to stderr every minute, as long as events arrive.

    Args:
        theme: colours of the terminal: `dark`, `light` or `high-contrast-bw`.

    Raises:
        UsageError: there is no such theme.

    Example:
        with Client(ClientOptions(on_event=ProgressDisplay())) as dap:
            dap.snapshot("canvas", "all")
    """

    def __init__(self, theme: str = "dark") -> None:
        if theme not in THEMES:
            raise arguments.invalid("theme", theme, f"one of {', '.join(THEMES)}")
        self._theme = theme
        self._view: View | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._view is None and isinstance(event, RunStarted | SyncStarted):
            self._view = _view(self._theme)
        if self._view is None:
            return
        self._view.add(event)
        if text := _note(event):
            self._view.note(text)
        if isinstance(event, RunEnded):
            self._view.end()
            self._view = None


def _note(event: Event) -> str:
    match event:
        case Notice(message=message):
            return sentence(message)
        case Retrying(error=error, pause=pause):
            return f"{sentence(error.message)} Retrying in {duration(pause)}."
        case TableFailed(table=table, error=error):
            return f"{table} failed: {sentence(error.message)} {error.hint}".rstrip()
    return ""


def _view(theme: str) -> View:
    if (display := _notebook_display()) is not None:
        return NotebookView(display)
    if sys.stderr is not None and sys.stderr.isatty():
        return TerminalView(theme)
    return LinesView()


def _notebook_display() -> Callable[..., Any] | None:
    """Return the function that shows something in a notebook, or None outside of notebooks."""
    # A notebook has imported IPython already; elsewhere, it is not even looked for.
    package = sys.modules.get("IPython")
    shell = package.get_ipython() if package is not None else None
    if package is None or not hasattr(shell, "kernel"):  # IPython on a terminal has no kernel
        return None
    display: Callable[..., Any] = package.display.display
    return display


class TerminalView:
    """The live progress of the command."""

    def __init__(self, theme: str) -> None:
        from rich.console import Console  # noqa: PLC0415, only terminals need it

        from dapkit.display.progress import Progress  # noqa: PLC0415, only terminals need it

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(self._console, theme)
        self._progress.__enter__()

    def add(self, event: Event) -> None:
        """Draw an event."""
        self._progress(event)

    def note(self, text: str) -> None:
        """Print a message above the progress."""
        self._console.print(text, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Remove the progress, and print how the run ended."""
        self._progress.__exit__(None, None, None)
        self._console.print(self._progress.sentence(), markup=False, soft_wrap=True)


class NotebookView:
    """A bar and a sentence in the output of a cell.

    Args:
        display: IPython's function of this name.
        clock: seconds.
    """

    def __init__(self, display: Callable[..., Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._state = ProgressState()
        self._notes: list[str] = []
        self._clock = clock
        self._started = self._drawn = clock()
        self._handle = display(_Html(self._html()), display_id=True)

    def add(self, event: Event) -> None:
        """Redraw the output, but not too often."""
        self._state.add(event)
        if self._clock() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def note(self, text: str) -> None:
        """Add a message below the bar."""
        self._notes.append(text)
        self._draw()

    def end(self) -> None:
        """Draw the last state."""
        self._draw()

    def _draw(self) -> None:
        self._drawn = self._clock()
        self._handle.update(_Html(self._html()))

    def _html(self) -> str:
        complete, total, _ = self._state.files()
        text = f"{self._state.namespace}: {self._state.sentence()}; {duration(self._clock() - self._started)}"
        notes = "".join(f"<div>{escape(note)}</div>" for note in self._notes)
        return f'<progress value="{complete}" max="{max(total, 1)}"></progress> {escape(text.strip())}{notes}'


class _Html:
    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Progress"


class LinesView:
    """Lines on stderr.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = ProgressState()
        self._clock = clock
        self._written = clock()

    def add(self, event: Event) -> None:
        """Write the progress, but not too often."""
        self._state.add(event)
        if self._clock() - self._written >= LINE_SECONDS:
            self._write()

    def note(self, text: str) -> None:
        """Write a message."""
        sys.stderr.write(f"{text}\n")

    def end(self) -> None:
        """Write the last state."""
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        sys.stderr.write(f"{self._state.namespace}: {self._state.sentence()}\n")
        sys.stderr.flush()
