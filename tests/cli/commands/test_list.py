"""`dap list`, of a small sandbox."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dapkit.client.session import Session

SANDBOX = ("--sandbox", "--sandbox-scale", "0.05")


def test_names_are_printed_one_per_line(dap: Callable[..., Any]) -> None:
    outcome = dap(*SANDBOX, "list", "--namespace", "canvas")
    names = outcome.out.splitlines()
    assert outcome.code == 0
    assert names == sorted(names)
    assert {"courses", "users"} <= set(names)
    assert outcome.err == ""


def test_names_can_be_printed_as_a_json_array(dap: Callable[..., Any]) -> None:
    outcome = dap("list", "--namespace", "catalog", "--json", *SANDBOX)
    assert json.loads(outcome.out) == dap(*SANDBOX, "list", "--namespace", "catalog").out.splitlines()


def test_control_characters_in_names_are_escaped(dap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def tables(*_: object) -> tuple[str, ...]:
        return ("us\x1b[2Jers\n",)

    monkeypatch.setattr(Session, "tables", tables)
    assert dap(*SANDBOX, "list", "--namespace", "canvas").out == "us\\x1b[2Jers\\n\n"
    assert json.loads(dap(*SANDBOX, "list", "--namespace", "canvas", "--json").out) == ["us\x1b[2Jers\n"]


def test_the_misspelt_namespace_of_the_official_pages_is_accepted(dap: Callable[..., Any]) -> None:
    outcome = dap(*SANDBOX, "list", "--namespace", "canvas_log")
    assert (outcome.code, outcome.out) == (0, "web_logs\n")
    assert "Using canvas_logs instead" in outcome.err


def test_an_unknown_namespace_is_not_found(dap: Callable[..., Any]) -> None:
    outcome = dap(*SANDBOX, "list", "--namespace", "nonsense")
    assert (outcome.code, outcome.out) == (30, "")
    assert "Error:" in outcome.err
