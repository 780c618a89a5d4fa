"""Fixtures of the commands for databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Dap = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The database of this test."""
    return tmp_path / "college.duckdb"


@pytest.fixture
def db(dap: Dap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dap:
    """Run a command of the sandbox against the database of this test."""
    for name, value in {
        "DAP_SANDBOX_HOME": str(tmp_path / "home"),
        "DAP_SANDBOX_SCALE": "0.05",
        "DAP_SANDBOX_JOB_SECONDS": "0",
        "DAP_STAGE": str(tmp_path / "stage"),
        "DAP_CONNECTION_STRING": f"duckdb:{tmp_path / 'college.duckdb'}",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, tables: str = "users,courses", namespace: str = "canvas") -> Any:
        wants = [] if words[0] == "listdb" else ["--table", tables]
        return dap("--sandbox", words[0], "--namespace", namespace, *wants, *words[1:])

    return run
