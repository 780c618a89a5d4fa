"""The ready listener: where it draws, what it shows, and when it ends."""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dapkit import Client, ClientOptions, ExportOptions, ProgressDisplay
from dapkit.display.listener import LinesView, NotebookView
from dapkit.errors import DapError, ServerError, UsageError
from dapkit.events import Event, Notice, ObjectsListed, Retrying, RunEnded, RunStarted, TableCompleted
from dapkit.failures import TableFailed
from dapkit.model import Format, Query
from dapkit.results import TableResult

STARTED = RunStarted(
    namespace="canvas",
    tables=("a", "b"),
    query=Query(format=Format.CSV),
    output=Path("out"),
    resumed_age=None,
    sandbox=False,
)


class Notebook:
    """IPython's `display`, and what it shows."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, value: Any, *, display_id: bool) -> "Notebook":
        assert display_id
        self.update(value)
        return self

    def update(self, value: Any) -> None:
        self.shown.append(value._repr_html_())


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    shown = Notebook()
    package = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()), display=SimpleNamespace(display=shown.display)
    )
    monkeypatch.setitem(sys.modules, "IPython", package)
    return shown


@pytest.fixture
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)


Captured = pytest.CaptureFixture[str]


def test_a_notebook_shows_a_bar_and_what_needs_attention(
    notebook: Notebook, table_result: Callable[..., TableResult]
) -> None:
    show = ProgressDisplay()
    show(STARTED)
    show(ObjectsListed(table="a", objects=4, complete=1))
    show(Notice(message="<Note> this"))
    show(Retrying(table="a", error=ServerError("It is 503"), pause=5.0))
    show(TableFailed(table="b", error=ServerError("It is 500", hint="Wait.")))
    show(TableCompleted(result=table_result("a", files=4)))
    show(RunEnded())
    last = notebook.shown[-1]
    assert '<progress value="4" max="4">' in last
    for text in (
        "1 of 2 tables complete, 1 failed",
        "&lt;Note&gt; this.",
        "It is 503. Retrying in 5.0 s.",
        "b failed: It is 500. Wait.",
    ):
        assert text in last


def test_a_notebook_is_not_redrawn_with_every_event(notebook: Notebook) -> None:
    times = iter([0.0, *[0.0] * 40, *[1.0] * 40])
    view = NotebookView(notebook.display, clock=lambda: next(times))
    for _ in range(10):
        view.add(STARTED)
    assert len(notebook.shown) == 1
    view.end()
    assert len(notebook.shown) == 2


@pytest.mark.usefixtures("no_notebook")
def test_a_terminal_shows_the_live_progress_and_at_last_a_sentence(
    monkeypatch: pytest.MonkeyPatch, table_result: Callable[..., TableResult]
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    show = ProgressDisplay(theme="light")
    for event in (STARTED, Notice(message="[note] this"), TableCompleted(result=table_result("a")), RunEnded()):
        show(event)
    assert "[note] this." in stderr.getvalue()
    assert "canvas: 1 of 2 tables complete" in stderr.getvalue().splitlines()[-1]
    assert stderr.getvalue().count("\x1b[?25l") == stderr.getvalue().count("\x1b[?25h"), "the cursor is shown again"


@pytest.mark.usefixtures("no_notebook")
def test_elsewhere_lines_are_written(capsys: Captured) -> None:
    show = ProgressDisplay()
    for event in (Notice(message="before the run"), STARTED, Notice(message="this"), RunEnded()):
        show(event)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "this."
    assert "canvas: 0 of 2 tables complete" in last


def test_a_line_is_written_every_minute(capsys: Captured) -> None:
    times: Iterator[float] = iter([0.0, 59.0, 61.0, 61.0, 62.0])
    view = LinesView(clock=lambda: next(times))
    for _ in range(3):
        view.add(STARTED)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_ipython_without_a_kernel_is_no_notebook(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    show = ProgressDisplay()
    show(STARTED)
    show(RunEnded())
    assert "canvas" in capsys.readouterr().err


def test_an_unknown_theme_is_an_error() -> None:
    with pytest.raises(UsageError, match="theme"):
        ProgressDisplay(theme="pink")


SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)


def test_every_run_of_a_client_ends_with_one_event_even_if_it_fails(tmp_path: Path) -> None:
    heard: list[Event] = []
    options = ExportOptions(output=tmp_path / "out")
    with Client(replace(SMALL, on_event=heard.append)) as dap:
        dap.snapshot("catalog", "users", options)
        assert isinstance(heard[-1], RunEnded)
        list(dap.records("catalog", "users"))
        dap.sync("catalog", "users", f"duckdb:{tmp_path / 'x.duckdb'}")
        dap.reconcile("catalog", "users", f"duckdb:{tmp_path / 'x.duckdb'}")
        with pytest.raises(DapError):
            dap.snapshot("catalog", "nothing*", options)
        assert isinstance(heard[-1], RunEnded)
    assert len([event for event in heard if isinstance(event, RunEnded)]) == 5


@pytest.mark.usefixtures("no_notebook")
def test_a_client_shows_its_progress(capsys: Captured, tmp_path: Path) -> None:
    with Client(replace(SMALL, on_event=ProgressDisplay())) as dap:
        for output in ("one", "two"):
            dap.snapshot("catalog", "users", ExportOptions(output=tmp_path / output)).raise_for_failed()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == ["catalog: 1 of 1 table complete"] * 2
