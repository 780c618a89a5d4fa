"""The client without `await`: calls that are interrupted, clients that are closed, iterators that are abandoned."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dapkit import Client, ClientOptions, ExportOptions
from dapkit.errors import DapError, InterruptedRunError, UsageError
from dapkit.events import Event, ObjectStarted

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)


def once(act: Callable[[], None]) -> Callable[[Event], None]:
    """A listener that acts when the first download starts."""
    left = [act]

    def on_event(event: Event) -> None:
        if isinstance(event, ObjectStarted) and left:
            left.pop()()

    return on_event


def test_an_interrupted_call_has_ended_and_can_be_repeated(tmp_path: Path) -> None:
    interrupt = once(lambda: os.kill(os.getpid(), signal.SIGINT))
    options = ExportOptions(output=tmp_path)
    with Client(replace(SMALL, on_event=interrupt)) as dap:
        with pytest.raises(KeyboardInterrupt):
            dap.snapshot("canvas", ["course*"], options)
        assert dap.snapshot("canvas", ["course*"], options).failed == ()


def test_closing_the_client_ends_the_calls_of_other_threads(tmp_path: Path) -> None:
    begun = threading.Event()
    caught: list[DapError] = []

    def snapshot() -> None:
        try:
            client.snapshot("canvas", ["all"], ExportOptions(output=tmp_path))
        except DapError as error:
            caught.append(error)

    with Client(replace(SMALL, on_event=once(begun.set))) as client:
        other = threading.Thread(target=snapshot)
        other.start()
        assert begun.wait(20)
    other.join(20)
    assert [type(error) for error in caught] == [InterruptedRunError]


@pytest.mark.parametrize("closed", ["before", "after", "never"])
def test_abandoned_records_leave_no_files(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Client(SMALL) as client:
        rows: Any = client.records("canvas", "users")
        next(rows)
        if closed == "before":
            rows.close()
    if closed == "after":
        rows.close()
    assert list(tmp_path.iterdir()) == []


def test_closing_the_client_ends_records() -> None:
    with Client(SMALL) as client:
        rows = client.records("canvas", "users")
        next(rows)
    with pytest.raises(UsageError, match="not open"):
        list(rows)
