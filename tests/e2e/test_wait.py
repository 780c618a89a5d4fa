"""The same command twice on one database: the second waits for the first, but not for one that was killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, sandbox_process
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path / "state", scale=0.05) as running:
        running.set_data_time("2026-09-01T00:00:00Z")
        yield running.with_environ(DAP_STAGE=str(tmp_path / "stage"), DAP_READ_TIMEOUT="60")


@pytest.mark.parametrize("verb", ["sync", "initdb", "syncdb", "reconcile"])
def test_a_waiting_command_continues_when_the_first_is_killed(
    sandbox: SandboxProcess, tmp_path: Path, verb: str
) -> None:
    url = f"duckdb:{tmp_path / 'college.duckdb'}"
    sandbox = sandbox.with_environ(DAP_CONNECTION_STRING=url)
    if verb != "initdb":
        assert sandbox.dap("sync", "--namespace", "canvas", "--table", "users").returncode == 0
        sandbox.advance(400)
    arguments = [verb, "--namespace", "canvas", "--table", "users"]
    sandbox.set_faults("stall@data")
    with sandbox.start(*arguments) as first:
        wait_until(lambda: sandbox.traffic()["faults"], "the first command downloads, so it holds the lock")
        assert sandbox.dap(*arguments).returncode == 47
        with sandbox.start(*arguments, "--wait") as second:
            assert second.stderr is not None
            assert any("waiting for it" in line.lower() for line in second.stderr)
            first.kill()
            first.wait(timeout=20)
            sandbox.set_faults()
            _, stderr = second.communicate(timeout=60)
            assert second.returncode == 0, stderr
