"""Fixtures of the command line's tests: running it in this process, and results of the engine to show."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dapkit.cli.main import main
from dapkit.errors import DapError
from dapkit.model import Format, Query
from dapkit.results import RunResult, TableFailed, TableResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the variables and folders of the person who runs the tests out of them."""
    for name in os.environ:
        if name.startswith("DAP_") or name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / "sandbox"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def dap(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def table_result() -> Callable[..., TableResult]:
    """Make a table's result; what matters to a test is passed."""

    def make(table: str = "courses", **fields: Any) -> TableResult:
        defaults: dict[str, Any] = {
            "job_id": f"id-{table}",
            "folder": Path("out") / f"job_id-{table}",
            "files": 2,
            "bytes": 1500,
            "rows": 1234,
            "schema_version": 1,
            "at": "2026-09-01T00:00:00Z",
            "since": None,
            "until": None,
            "verified_by": "crc",
            "reused": False,
        }
        return TableResult(table=table, **{**defaults, **fields})

    return make


@pytest.fixture
def run_result() -> Callable[..., RunResult]:
    """Make a run's result from the complete tables and the errors of those that failed."""

    def make(done: Sequence[TableResult] = (), failed: dict[str, DapError] | None = None, **fields: Any) -> RunResult:
        defaults: dict[str, Any] = {
            "namespace": "canvas",
            "query": Query(format=Format.JSONL),
            "output": Path("out"),
            "fetched": 3000,
            "refetched": 0,
            "seconds": 12.34,
            "sandbox": False,
        }
        failures = tuple(TableFailed(table=table, error=error) for table, error in (failed or {}).items())
        return RunResult(done=tuple(done), failed=failures, **{**defaults, **fields})

    return make
