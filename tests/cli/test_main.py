"""The group, its help, where options are accepted, and how errors end."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from dapkit import __version__
from dapkit.cli import main as entry
from dapkit.cli import stdio
from dapkit.cli.exitcodes import BROKEN_PIPE
from dapkit.cli.main import COMMANDS, main
from dapkit.cli.options import SectionedOption, merged
from dapkit.errors import DapError, StalledError

HEAVY = {"aiohttp", "asyncio", "duckdb", "isal", "msgspec", "pyarrow", "rich"}


def group() -> click.Group:
    return entry.dap


def test_without_arguments_the_help_is_printed(dap: Callable[..., Any]) -> None:
    bare, asked, short = dap(), dap("--help"), dap("-h")
    assert (bare.code, asked.code) == (0, 0)
    assert bare.out == asked.out == short.out
    for command in COMMANDS:
        assert f"  {command} " in bare.out


def test_the_version_is_printed(dap: Callable[..., Any]) -> None:
    assert dap("--version").out == f"dapkit {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text(name: str, dap: Callable[..., Any]) -> None:
    outcome = dap(name, "--help")
    assert outcome.code == 0
    assert "Examples:" in outcome.out
    command = group().get_command(click.Context(group()), name)
    assert command is not None
    assert command.name == name
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name]
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None)


LONGEST = {"snapshot": 60, "incremental": 60, "list": 30, "schema": 35, "verify": 20, "doctor": 30, "sandbox": 95}
"""The most lines of a command's help; 45 for the others."""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_short_and_fits_a_terminal(name: str, dap: Callable[..., Any]) -> None:
    lines = dap(name, "--help").out.splitlines()
    assert len(lines) <= LONGEST.get(name, 45)
    assert [line for line in lines if len(line) > 80] == []
    assert any("see dap --help" in line for line in lines)
    assert not any("--client-id" in line or "--loglevel" in line for line in lines)


def test_the_help_of_the_group_shows_the_shared_options_and_fits_a_terminal(dap: Callable[..., Any]) -> None:
    text = dap("--help").out
    assert [line for line in text.splitlines() if len(line) > 80] == []
    for name in ("--client-id", "--sandbox-seed", "--loglevel", "--retry-timeout"):
        assert name in text


def test_the_former_name_of_retry_timeout_is_accepted_and_not_shown(dap: Callable[..., Any]) -> None:
    assert "--patience" not in dap("--help").out
    assert dap("--patience", "5", "list", "--help").code == 0


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from dapkit.cli.main import main; main(sys.argv[1:]); "
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    child = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert HEAVY & set(child.stderr.split()) == set()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("snapshoot", "snapshot"), ("Snapshot", "snapshot"), ("increment", "incremental"), ("doctr", "doctor")],
)
def test_a_misspelt_command_is_answered_with_the_nearest_name(typed: str, meant: str, dap: Callable[..., Any]) -> None:
    outcome = dap(typed)
    assert outcome.code == 2
    assert f"Did you mean {meant}" in outcome.err


def test_an_unknown_command_is_answered_with_all_names(dap: Callable[..., Any]) -> None:
    assert "Commands: snapshot, incremental" in dap("zzz").err


def test_a_misspelt_option_is_answered_with_the_nearest_name(dap: Callable[..., Any]) -> None:
    outcome = dap("list", "--namespce", "canvas")
    assert outcome.code == 2
    assert "--namespace" in outcome.err
    assert "See dap list --help." in outcome.err
    assert "--until" in dap("incremental", "--then", "2026-01-01").err, "some guides call it so"


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (["--client-id", "one"], [], "one"),
        ([], ["--client-id", "two"], "two"),
        (["--client-id", "one"], ["--client-id", "two"], "two"),
        ([], [], None),
    ],
)
def test_shared_options_are_accepted_before_and_after_the_command(
    before: list[str], after: list[str], value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    @click.command("list")
    @click.option("--client-id", cls=SectionedOption)
    @click.option("--quiet", is_flag=True)
    @click.pass_context
    def probe(context: click.Context, /, **_given: Any) -> None:
        seen.append(merged(context))

    monkeypatch.setattr(entry.LazyGroup, "get_command", lambda *_: probe)
    assert main(["--quiet", *before, "list", *after]) == 0
    assert seen[0]["client_id"] == value
    assert seen[0]["quiet"] is True


def test_every_official_global_flag_is_accepted_in_both_places(dap: Callable[..., Any]) -> None:
    flags = [
        *("--base-url", "https://x", "--client-id", "a", "--client-secret", "b", "--loglevel", "DEBUG"),
        *("--logfile", "log", "--logformat", "json", "--no-log-to-console", "--no-tracking"),
        *("--non-interactive", "--console-theme", "high-contrast-bw"),
    ]
    for arguments in ([*flags, "list", "--help"], ["list", *flags, "--help"]):
        assert dap(*arguments).code == 0


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (
            StalledError("No data arrived", table="users", uuid="u", hint="Wait."),
            20,
            ["Error: users: No data arrived", "uuid for support: u", "Hint: Wait."],
        ),
        (StalledError("users stalled", table="users", hint="Wait."), 20, ["Error: users stalled", "Hint: Wait."]),
        (KeyboardInterrupt(), 130, ["Error: Stopped", "Hint: Run the command again."]),
        (BrokenPipeError(), BROKEN_PIPE, []),
    ],
)
def test_an_error_is_printed_with_its_code_and_hint(
    error: BaseException,
    code: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    dap: Callable[..., Any],
) -> None:
    monkeypatch.setattr(entry.dap, "main", failing(error))
    monkeypatch.setattr(stdio, "discard", lambda _: None)
    outcome = dap("list")
    assert (outcome.code, outcome.err.splitlines()) == (code, lines)


def test_control_characters_are_escaped(monkeypatch: pytest.MonkeyPatch, dap: Callable[..., Any]) -> None:
    monkeypatch.setattr(entry.dap, "main", failing(StalledError("a\x1b[2J", uuid="u\x07", hint="h\x9b")))
    assert dap("list").err == "Error: a [2J\nuuid for support: u \nHint: h \n"


def test_an_error_can_be_printed_as_json(monkeypatch: pytest.MonkeyPatch, dap: Callable[..., Any]) -> None:
    error: DapError = StalledError("No data arrived", table="users", job_id="j", uuid="u")
    monkeypatch.setattr(entry.dap, "main", failing(error))
    assert json.loads(dap("list", "--json").err) == error.as_dict()


def test_an_error_can_be_the_last_json_line(monkeypatch: pytest.MonkeyPatch, dap: Callable[..., Any]) -> None:
    error: DapError = StalledError("No data arrived", table="users", job_id="j", uuid="u")
    monkeypatch.setattr(entry.dap, "main", failing(error))
    line = json.loads(dap("list", "--json", "--logformat", "json").err)
    assert error.as_dict().items() <= line.items()
    assert (line["level"], line["event"], line["dap_table"]) == ("ERROR", "error", "users")


def test_a_closed_pipe_is_not_reported_as_an_error() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "from dapkit.cli.main import run; run()", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(timeout=20) == BROKEN_PIPE
