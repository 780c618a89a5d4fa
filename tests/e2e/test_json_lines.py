"""With --logformat json, everything on stderr is one JSON object per line, whatever happens."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import SandboxProcess, sandbox_process
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COMMON = ("timestamp", "level", "message", "dap_namespace", "dap_table", "dap_client_id", "run_id", "event", "job_id")
CANVAS = ("--namespace", "canvas", "--table")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    folder = tmp_path_factory.mktemp("json")
    with sandbox_process(folder / "state", scale=0.05) as running:
        running.set_data_time("2026-09-01T00:00:00Z")
        database = f"duckdb:{folder / 'college.duckdb'}"
        yield running.with_environ(DAP_STAGE=str(folder / "stage"), DAP_CONNECTION_STRING=database)


def lines_of(stderr: str) -> list[dict[str, Any]]:
    """Parse lines and check the fields that all have."""
    lines = [json.loads(line) for line in stderr.splitlines()]
    for line in lines:
        assert set(COMMON) <= set(line)
        assert line["level"] in {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"}
        assert line["timestamp"].endswith("Z")
    assert len({line["run_id"] for line in lines}) <= 1
    return lines


COMMANDS: list[tuple[tuple[str, ...], int]] = [
    (("snapshot", *CANVAS, "users,courses"), 0),
    (("snapshot", *CANVAS, "users", "--dry-run"), 0),
    (("snapshot", *CANVAS, "users,nosuch", "--json"), 3),
    (("snapshot", *CANVAS, "nosuch"), 30),
    (("incremental", *CANVAS, "users", "--since", "2026-08-01T00:00:00Z", "--loglevel", "debug"), 0),
    (("list", "--namespace", "canvas", "--loglevel", "debug"), 0),
    (("list", "--namespace", "nosuch"), 30),
    (("list",), 2),
    (("schema", *CANVAS, "users,nosuch"), 3),
    (("sync", *CANVAS, "users"), 0),
    (("initdb", *CANVAS, "users"), 59),
    (("reconcile", *CANVAS, "users"), 0),
    (("listdb", "--namespace", "canvas"), 0),
    (("dropdb", *CANVAS, "users"), 0),
    (("dropdb", *CANVAS, "users"), 58),
    (("verify", "downloads"), 0),
    (("verify", "."), 0),
    (("nosuch",), 2),
]
"""Commands in this order, and their exit codes."""


def test_every_line_is_an_object(sandbox: SandboxProcess, tmp_path: Path) -> None:
    for words, code in COMMANDS:
        done = sandbox.dap("--logformat", "json", *words, cwd=tmp_path)
        assert done.returncode == code, (words, done.stderr)
        lines = lines_of(done.stderr)
        if code:
            assert (lines[-1]["event"], lines[-1]["level"], lines[-1]["exit_code"]) == ("error", "ERROR", code)
        if "debug" in words:
            assert {"versions", "request"} <= {line["event"] for line in lines}
            assert "x-amz" not in done.stderr.lower()
        if "snapshot" in words:
            assert lines[0]["dap_namespace"] == "canvas"
            assert lines[0]["dap_client_id"] == sandbox.environ["DAP_CLIENT_ID"]


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stopped_command_ends_with_an_object(sandbox: SandboxProcess, tmp_path: Path, signals: int) -> None:
    sandbox.reset()
    sandbox.set_faults("stall@object")
    with sandbox.start("--logformat", "json", "snapshot", *CANVAS, "users", cwd=tmp_path) as running:
        wait_until(lambda: sandbox.traffic()["faults"], "the download has started")
        for _ in range(signals):
            running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    sandbox.set_faults()
    last = lines_of(stderr)[-1]
    assert (last["event"], last["code"], running.returncode) == ("error", "interrupted", 130)
    assert last["message"] == "Stopped; 0 of 1 table is complete"
