"""Two equal commands on one database, through the installed command: the second waits, but for nobody who is dead."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, sandbox_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path / "state", scale=0.05) as running:
        running.set_data_time("2026-09-01T00:00:00Z")
        yield running.with_environ(DAP_STAGE=str(tmp_path / "stage"), DAP_READ_TIMEOUT="60")


@pytest.mark.parametrize("verb", ["sync", "initdb", "syncdb", "reconcile"])
def test_a_killed_command_is_not_waited_for(sandbox: SandboxProcess, tmp_path: Path, verb: str) -> None:
    url = f"duckdb:{tmp_path / 'college.duckdb'}"
    sandbox = sandbox.with_environ(DAP_CONNECTION_STRING=url)
    if verb != "initdb":
        assert sandbox.dap("sync", "--namespace", "canvas", "--table", "users").returncode == 0
        sandbox.advance(400)
    words = [verb, "--namespace", "canvas", "--table", "users"]
    sandbox.misbehave("stall@data")
    with sandbox.start(*words) as first:
        assert first.stderr is not None
        assert any("into duckdb:" in line for line in first.stderr), "it holds the lock by then"
        assert sandbox.dap(*words).returncode == 47
        with sandbox.start(*words, "--wait") as second:
            assert second.stderr is not None
            assert any("Waiting for it" in line for line in second.stderr)
            first.kill()
            first.wait(timeout=20)
            sandbox.misbehave()
            _, told = second.communicate(timeout=60)
            assert second.returncode == 0, told
