"""What a command prints, and where."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from dapkit.cli.console import Console
from dapkit.config.settings import MessageSettings, read_settings
from dapkit.errors import ServerError
from dapkit.events import Notice, RunStarted, TablePhase, TablePhaseChanged
from dapkit.model import Format, Query
from dapkit.results import TableFailed

BEGAN = RunStarted(
    namespace="canvas",
    tables=("a",),
    query=Query(format=Format.CSV),
    output=Path("out"),
    resumed_age=None,
    sandbox=False,
)
EVENTS = (
    BEGAN,
    TablePhaseChanged(table="a", phase=TablePhase.QUEUED),
    Notice(message="Mind this."),
    TableFailed(table="a", error=ServerError("It is 503")),
)


def messages(**given: Any) -> MessageSettings:
    return read_settings(given, {}).messages


def log_all(settings: MessageSettings, *, live: bool = False) -> None:
    with Console(settings, live=live) as console:
        for event in EVENTS:
            console.on_event(event)
        console.print(["the summary"])
        console.result("the result")


@pytest.mark.parametrize(
    ("given", "levels", "summary"),
    [
        ({}, ["info", "notice", "error"], True),
        ({"log_level": "debug"}, ["info", "debug", "notice", "error"], True),
        ({"log_level": "warning"}, ["error"], True),
        ({"quiet": True}, ["error"], False),
        ({"no_log_to_console": True}, [], True),
        ({"non_interactive": True}, ["info", "notice", "error"], True),
        ({"no_log_to_console": True, "non_interactive": True}, [], False),
    ],
)
def test_the_log_level_filters_messages(
    given: dict[str, Any], levels: list[str], summary: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    log_all(messages(**given))
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    lines = captured.err.splitlines()
    assert ("the summary" in lines) == summary
    assert [line.split()[2] for line in lines if line != "the summary"] == levels


def test_json_lines_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    log_all(messages(log_format="json", quiet=True))
    assert json.loads(capsys.readouterr().err)["code"] == "server"


def test_the_log_file_gets_all_levels_and_is_appended_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = messages(log_file=tmp_path / "dap.log", quiet=True)
    log_all(settings)
    log_all(settings)
    lines = (tmp_path / "dap.log").read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["info", "notice", "error"] * 2
    assert capsys.readouterr().err.count("\n") == 2


def test_failures_are_printed_even_if_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ({"quiet": True}, {"no_log_to_console": True, "non_interactive": True}):
        with Console(messages(**given)) as console:
            console.print(["because \x1b[2J"], failed=True)
        assert capsys.readouterr().err == "because  [2J\n"


def test_notices_from_every_source_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(messages()) as console:
        console.on_event(Notice(message="Mind this."))
        console.notice("And that.")
        assert console.notices == ("Mind this.", "And that.")
    assert capsys.readouterr().err.count("notice") == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("given", [{}, {"no_log_to_console": True}, {"log_format": "json"}], ids=str)
def test_a_full_disk_under_the_log_file_is_reported_once(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    log_all(messages(log_file=Path("/dev/full"), **given))
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    assert captured.err.count("/dev/full") == 1


def test_closing_the_console_removes_its_log_handlers() -> None:
    before = list(logging.getLogger("dapkit").handlers)
    log_all(messages())
    assert logging.getLogger("dapkit").handlers == before


def test_tracebacks_are_logged_at_debug_level_only(capsys: pytest.CaptureFixture[str]) -> None:
    for level, traced in (("info", False), ("debug", True)):
        with pytest.raises(ValueError, match="broken"), Console(messages(log_level=level)):
            raise ValueError("broken")
        assert ("Traceback" in capsys.readouterr().err) == traced


def test_a_result_is_always_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(messages()) as console:
        console.result("users\x1b[2J\n", "more")
    assert capsys.readouterr().out == "users\\x1b[2J\\n\tmore\n"


def test_a_result_can_be_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(messages()) as console:
        console.json_result({"größe": 1})
    assert json.loads(capsys.readouterr().out) == {"größe": 1}


def test_a_dumb_terminal_gets_log_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log_all(read_settings({}, {"TERM": "dumb"}).messages, live=True)
    err = capsys.readouterr().err
    assert "snapshot of 1 table" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("given", [{"non_interactive": True}, {"quiet": True}, {"log_format": "json"}, {}], ids=str)
def test_live_progress_needs_a_terminal_and_no_option_that_disables_it(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: bool(given))
    log_all(messages(**given), live=True)
    assert "\x1b" not in capsys.readouterr().err


def test_with_live_progress_only_warnings_and_errors_are_written_as_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    log_all(messages(), live=True)
    err = capsys.readouterr().err
    assert "\x1b" in err
    assert "Mind this." in err
    assert "It is 503" in err
    assert "snapshot of 1 table" not in err
    assert err.endswith("the summary\n")
