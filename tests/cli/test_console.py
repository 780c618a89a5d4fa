"""What a command prints, and where."""

import json
import logging
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dapkit.cli.console import Console
from dapkit.cli.summary import Report
from dapkit.config.settings import MessageSettings, read_settings
from dapkit.errors import DapError, InterruptedRunError, ServerError
from dapkit.events import Event, Notice, RunStarted, TablePhase, TablePhaseChanged
from dapkit.failures import TableFailed
from dapkit.model import Format, Query

BEGAN = RunStarted(
    namespace="canvas",
    tables=("a",),
    query=Query(format=Format.CSV),
    output=Path("out"),
    resumed_age=None,
    sandbox=False,
)
FAILED = (TableFailed(table="a", error=ServerError("It is 503", hint="Wait.")),)
EVENTS = (
    BEGAN,
    TablePhaseChanged(table="a", phase=TablePhase.QUEUED),
    Notice(message="Mind this."),
    *FAILED,
)


def messages(**given: Any) -> MessageSettings:
    return read_settings(given, {}).messages


def log_all(settings: MessageSettings, *, live: bool = False) -> None:
    with Console(settings, live=live) as console:
        for event in EVENTS:
            console.on_event(event)
        console.report(Report(totals="the summary", failed=FAILED))
        console.result("the result")


@pytest.mark.parametrize(
    ("given", "levels", "summary"),
    [
        ({}, ["info", "notice"], True),
        ({"log_level": "debug"}, ["debug", "info", "debug", "notice"], True),
        ({"log_level": "warning"}, [], True),
        ({"quiet": True}, [], False),
        ({"no_log_to_console": True}, [], True),
        ({"non_interactive": True}, ["info", "notice"], True),
        ({"no_log_to_console": True, "non_interactive": True}, [], False),
    ],
)
def test_the_log_level_filters_messages_and_a_failure_is_reported_once(
    given: dict[str, Any], levels: list[str], summary: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    log_all(messages(**given))
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    lines = captured.err.splitlines()
    assert [line.split()[2] for line in lines if line[:2] == "20"] == levels
    rest = [line for line in lines if line and line[:2] != "20"]
    assert rest == [*(["the summary"] if summary else []), "Failed: a: It is 503 [server]", "  Hint: Wait."]


@pytest.mark.parametrize(
    ("given", "events"),
    [
        ({}, ["run-started", "notice", "table-failed", "run-ended"]),
        ({"quiet": True}, ["table-failed"]),
        ({"no_log_to_console": True}, ["table-failed"]),
        ({"log_level": "error"}, ["table-failed"]),
    ],
)
def test_with_json_lines_everything_on_stderr_is_one(
    given: dict[str, Any], events: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log_all(messages(log_format="json", **given), live=True)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == events


def test_with_json_lines_warnings_of_other_libraries_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(messages(log_format="json")):
        logging.getLogger("asyncio").error("GET https://x.example/?sig=topsecret failed")
        warnings.showwarning("old", DeprecationWarning, "x.py", 1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["ERROR", "WARNING"]
    assert "topsecret" not in lines[0]["message"]


def test_lines_for_people_are_json_lines_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(messages(log_format="json")) as console:
        console.print(["Would request 1 table:", ""])
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "Would request 1 table:"


def fail(error: DapError, *events: Event, **given: Any) -> None:
    """End a command with an error after these events."""
    with suppress(DapError), Console(messages(**given)) as console:
        for event in events:
            console.on_event(event)
        raise error


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_an_interrupted_run_reports_its_progress_and_its_failures(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = InterruptedRunError("Stopped")
    fail(error, BEGAN, *FAILED, log_format=log_format)
    assert error.message == str(error) == "Stopped; 0 of 1 table is complete"
    assert capsys.readouterr().err.count("It is 503") == 1


def test_an_error_before_the_first_complete_table_has_no_progress() -> None:
    error = ServerError("It is 503")
    fail(error, BEGAN)
    assert error.message == "It is 503"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "Error: Stopped; 0 of 1 table is complete\nHint: Again."),
        ({"json": True}, '{"code": "interrupted", "message": "Stopped; 0 of 1 table is complete"'),
        ({"log_format": "json"}, '"level": "ERROR", "message": "Stopped; 0 of 1 table is complete"'),
    ],
)
def test_last_words_have_the_format_of_an_error(given: dict[str, Any], expected: str) -> None:
    with Console(messages(**given)) as console:
        console.on_event(BEGAN)
        assert expected in console.last_words(InterruptedRunError("Stopped", hint="Again."))


def test_the_error_is_a_line_of_the_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dap.log"
    with pytest.raises(ServerError), Console(messages(log_file=file)):
        raise ServerError("It is 503")
    assert file.read_text().splitlines()[-1].endswith("error   It is 503")
    assert capsys.readouterr().err == "", "`main` prints it"


def test_at_debug_level_the_first_line_lists_versions(capsys: pytest.CaptureFixture[str]) -> None:
    log_all(messages(log_level="debug", log_format="json"))
    first = json.loads(capsys.readouterr().err.splitlines()[0])
    assert first["event"] == "versions"
    assert {"dapkit", "Python", "platform", "OpenSSL", "aiohttp", "duckdb"} <= set(first["versions"])


def test_only_the_totals_are_wrapped_at_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "width", 20)
    with Console(messages()) as console:
        console.report(Report(totals="3 tables complete, in out/a_long_path", advice="a command that is copied"))
    assert capsys.readouterr().err.splitlines() == [
        "",
        "3 tables complete,",
        "  in out/a_long_path",
        "a command that is copied",
    ]


def test_the_log_file_gets_all_levels_and_is_appended_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = messages(log_file=tmp_path / "dap.log", quiet=True)
    log_all(settings)
    log_all(settings)
    lines = (tmp_path / "dap.log").read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["info", "notice", "error", "info"] * 2
    assert capsys.readouterr().err.count("Failed: a") == 2


def test_problems_are_printed_even_if_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ({"quiet": True}, {"no_log_to_console": True, "non_interactive": True}):
        with Console(messages(**given)) as console:
            console.report(Report(lines=("no",), problems=("because \x1b[2J",), totals="no", advice="no"))
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
    assert "the summary\n" in err
    assert err.count("It is 503") == 1
