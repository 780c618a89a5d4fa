"""`dap doctor`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dapkit.cli import stdio
from dapkit.cli.console import Console
from dapkit.cli.exitcodes import BROKEN_PIPE

SANDBOX = ("--sandbox", "--sandbox-scale", "0.05")


def test_all_checks_pass_with_the_sandbox(dap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    outcome = dap(*SANDBOX, "doctor", "--json")
    made = json.loads(outcome.out)
    verdicts = {finding["check"]: finding["verdict"] for finding in made["findings"]}
    assert outcome.code == 0
    assert made["healthy"] is True
    assert {"credentials", "login", "clock", "response", "folder"} <= set(verdicts)
    assert {verdicts[check] for check in ("credentials", "login", "clock", "response", "folder")} == {"ok"}
    assert "Python " in made["findings"][0]["message"], "versions come first"
    assert not Path("downloads").exists()


def test_a_failed_check_is_printed_with_its_hint(dap: Callable[..., Any]) -> None:
    Path("downloads").touch()
    outcome = dap("doctor", "--base-url", "nonsense")
    assert outcome.code == 48
    assert "3 checks failed: credentials, address, folder" in outcome.err
    lines = outcome.out.splitlines()
    (place,) = (index for index, line in enumerate(lines) if line.startswith("fail  credentials"))
    assert "DAP_CLIENT_ID" in lines[place + 1]


def test_a_failed_check_as_json(dap: Callable[..., Any]) -> None:
    outcome = dap("doctor", "--base-url", "nonsense", "--json")
    assert json.loads(outcome.out)["healthy"] is False
    assert json.loads(outcome.err)["code"] == "diagnosis"


def test_a_reader_that_ends_early_causes_no_traceback(dap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(stdio, "discard", lambda _: None)
    monkeypatch.setattr(Console, "result", broken)
    outcome = dap(*SANDBOX, "doctor")
    assert (outcome.code, outcome.err) == (BROKEN_PIPE, "")
