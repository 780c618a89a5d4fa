"""Ctrl-C in every phase: the command stops soon, with its exit code, and says how to resume."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import DAP, SandboxProcess, files, sandbox_process, snapshot_arguments
from tests.support.waiting import wait_until

LIMIT = 10.0  # seconds from Ctrl-C to the end: far less than the timeouts below, yet enough on a busy machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), scale=0.3) as sandbox:
        yield sandbox.with_environ(DAP_READ_TIMEOUT="60", DAP_RETRY_TIMEOUT="600")


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    running.reset()
    yield running
    running.set_faults()


def stop(running: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> str:
    """Stop a running command as Ctrl-C does; return its stderr."""
    assert running.poll() is None, "it has already ended"
    sent = time.monotonic()
    running.send_signal(number)
    _, stderr = running.communicate(timeout=20)
    took = time.monotonic() - sent
    assert running.returncode == 130, stderr
    assert took < LIMIT, f"{took:.1f} s: {stderr}"
    assert "Traceback" not in stderr
    assert "Stopped" in stderr
    assert "again" in stderr.splitlines()[-1]
    return stderr


def faults(sandbox: SandboxProcess) -> int:
    return sum(sandbox.traffic()["faults"].values())


@pytest.mark.parametrize("endpoint", ["login", "list", "data", "url", "object"])
def test_stop_while_the_service_does_not_respond(sandbox: SandboxProcess, tmp_path: Path, endpoint: str) -> None:
    sandbox.set_faults(f"stall@{endpoint}")
    arguments = snapshot_arguments(tmp_path / "out", tables=("user*", "courses"))
    with sandbox.start(*arguments) as running:
        wait_until(lambda: faults(sandbox) > 0, f"a stall at {endpoint}")
        time.sleep(0.1)
        assert "resumes where it stopped" in stop(running)
    sandbox.set_faults()
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_while_waiting_for_jobs(tmp_path: Path, number: signal.Signals) -> None:
    with sandbox_process(tmp_path / "state", job_seconds=600.0) as sandbox:
        arguments = snapshot_arguments(tmp_path / "out")
        with sandbox.start(*arguments) as running:
            wait_until(lambda: "202" in sandbox.traffic()["responses"].get("job", {}), "a poll")
            assert "resumes where it stopped" in stop(running, number)
        submitted = sandbox.traffic()["responses"]["data"]["202"]
        sandbox.skip(700)
        done = sandbox.dap(*arguments)
        assert done.returncode == 0, done.stderr
        assert "resuming" in done.stderr
        assert sandbox.traffic()["responses"]["data"] == {"202": submitted}, "jobs were submitted again"


def test_stop_during_downloads(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.set_faults("slow:0.3s@object")
    arguments = snapshot_arguments(tmp_path / "out", tables=("submissions",))
    with sandbox.start(*arguments) as running:
        wait_until(lambda: len(files(tmp_path / "out")) > 5, "some files are complete")
        stop(running)
    kept = files(tmp_path / "out")
    sandbox.set_faults()
    assert sandbox.dap(*arguments).returncode == 0
    assert files(tmp_path / "out").items() > kept.items()
    assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0


@pytest.mark.parametrize("fault", ["503@login", "503@data", "503@object", "429:60s@data", "failed-job"])
def test_stop_during_the_pause_before_a_retry(sandbox: SandboxProcess, tmp_path: Path, fault: str) -> None:
    sandbox.set_faults(fault)
    with sandbox.start(*snapshot_arguments(tmp_path / "out")) as running:
        assert running.stderr is not None
        assert any("Retrying in" in line for line in running.stderr), "no retry was announced"
        stop(running)


def test_stop_while_waiting_for_the_same_run(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.set_faults("stall@object")
    arguments = snapshot_arguments(tmp_path / "out")
    with sandbox.start(*arguments) as first:
        wait_until(lambda: faults(sandbox) > 0, "the first run is downloading")
        with sandbox.start(*arguments, "--wait") as second:
            assert second.stderr is not None
            assert any("waiting for it" in line.lower() for line in second.stderr)
            stop(second)
        stop(first)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--namespace", "canvas"],
        ["schema", "--namespace", "canvas", "--table", "all"],
        ["incremental", "--namespace", "canvas", "--table", "all", "--since", "2026-01-01T00:00:00Z"],
    ],
)
def test_stop_other_commands(sandbox: SandboxProcess, tmp_path: Path, arguments: list[str]) -> None:
    sandbox.set_faults("stall@login")
    with sandbox.start(*arguments, cwd=tmp_path) as running:
        wait_until(lambda: faults(sandbox) > 0, "a stall at login")
        stop(running)


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is needed")
def test_on_a_terminal_the_cursor_is_restored(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.set_faults("stall@object")
    ours, theirs = os.openpty()
    environ = {**sandbox.environ, "TERM": "xterm-256color"}
    command = [str(DAP), *snapshot_arguments(tmp_path / "out")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=theirs) as running:
        os.close(theirs)
        wait_until(lambda: faults(sandbox) > 0, "the run is downloading")
        time.sleep(0.3)
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        output = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                output += chunk
        except OSError:  # the terminal's other end is closed
            os.close(ours)
        assert running.wait(timeout=20) == 130
        assert time.monotonic() - sent < LIMIT
    assert output.rfind(b"\x1b[?25h") > output.rfind(b"\x1b[?25l") > -1
    assert b"Traceback" not in output
    assert b"resumes where it stopped" in output


@pytest.mark.parametrize("form", [(), ("--csv",), ("--parquet", "rows.parquet")])
def test_stop_while_a_query_runs(tmp_path: Path, form: tuple[str, ...]) -> None:
    endless = "SELECT bit_xor(hash(i)) FROM range(1000000000000) AS r(i)"
    words = [str(DAP), "--sandbox", "sql", *form, endless]
    environ = {**os.environ, "DAP_SANDBOX_HOME": str(tmp_path)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environ) as running:
        time.sleep(2.0)  # nothing tells from outside that the query runs
        stop(running)
    assert not (tmp_path / "rows.parquet").exists()
