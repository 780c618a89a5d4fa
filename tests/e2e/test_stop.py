"""Ctrl-C in every phase, through the installed command: soon, with its exit code, and saying how to go on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import DAP, SandboxProcess, files, sandbox_process, snapshot_words

LIMIT = 2.0  # seconds from Ctrl-C to the end

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), scale=0.3) as sandbox:
        yield sandbox.with_environ(DAP_READ_TIMEOUT="60", DAP_PATIENCE="600")


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    running.reset()
    yield running
    running.misbehave()


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.02)


def stop(running: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> str:
    """Stop a command that is at work, as Ctrl-C does; return what it said."""
    assert running.poll() is None, "it ended before it was stopped"
    sent = time.monotonic()
    running.send_signal(number)
    _, told = running.communicate(timeout=20)
    took = time.monotonic() - sent
    assert running.returncode == 130, told
    assert took < LIMIT, f"{took:.1f} s: {told}"
    assert "Traceback" not in told
    assert "Stopped." in told
    assert "again" in told.splitlines()[-1]
    return told


def faults(sandbox: SandboxProcess) -> int:
    return sum(sandbox.traffic()["faults"].values())


@pytest.mark.parametrize("endpoint", ["login", "list", "data", "url", "object"])
def test_while_the_service_is_silent(sandbox: SandboxProcess, tmp_path: Path, endpoint: str) -> None:
    sandbox.misbehave(f"stall@{endpoint}")
    words = snapshot_words(tmp_path / "out", tables=("user*", "courses"))
    with sandbox.start(*words) as running:
        until(lambda: faults(sandbox) > 0, f"silence at {endpoint}")
        time.sleep(0.1)
        assert "goes on from where it was" in stop(running)
    sandbox.misbehave()
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_jobs_are_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    with sandbox_process(tmp_path / "state", job_seconds=600.0) as sandbox:
        words = snapshot_words(tmp_path / "out")
        with sandbox.start(*words) as running:
            until(lambda: "202" in sandbox.traffic()["responses"].get("job", {}), "a poll")
            assert "goes on from where it was" in stop(running, number)
        asked = sandbox.traffic()["responses"]["data"]["202"]
        sandbox.skip(700)
        done = sandbox.dap(*words)
        assert done.returncode == 0, done.stderr
        assert "continuing" in done.stderr
        assert sandbox.traffic()["responses"]["data"] == {"202": asked}, "jobs were asked for again"


def test_while_files_come(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.misbehave("slow:0.3s@object")
    words = snapshot_words(tmp_path / "out", tables=("submissions",))
    with sandbox.start(*words) as running:
        until(lambda: len(files(tmp_path / "out")) > 5, "some files are whole")
        stop(running)
    kept = files(tmp_path / "out")
    sandbox.misbehave()
    assert sandbox.dap(*words).returncode == 0
    assert files(tmp_path / "out").items() > kept.items()
    assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0


@pytest.mark.parametrize("fault", ["503@login", "503@data", "503@object", "429:60s@data", "failed-job"])
def test_during_the_pause_after_a_failure(sandbox: SandboxProcess, tmp_path: Path, fault: str) -> None:
    sandbox.misbehave(fault)
    with sandbox.start(*snapshot_words(tmp_path / "out")) as running:
        assert running.stderr is not None
        assert any("Again in" in line for line in running.stderr), "no pause was told"
        stop(running)


def test_while_the_same_run_is_waited_for(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.misbehave("stall@object")
    words = snapshot_words(tmp_path / "out")
    with sandbox.start(*words) as first:
        until(lambda: faults(sandbox) > 0, "the first run is fetching")
        with sandbox.start(*words, "--wait") as second:
            assert second.stderr is not None
            assert any("Waiting for it" in line for line in second.stderr)
            stop(second)
        stop(first)


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--namespace", "canvas"],
        ["schema", "--namespace", "canvas", "--table", "all"],
        ["incremental", "--namespace", "canvas", "--table", "all", "--since", "2026-01-01T00:00:00Z"],
    ],
)
def test_other_commands(sandbox: SandboxProcess, tmp_path: Path, words: list[str]) -> None:
    sandbox.misbehave("stall@login")
    with sandbox.start(*words, cwd=tmp_path) as running:
        until(lambda: faults(sandbox) > 0, "silence at the login")
        stop(running)


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is needed")
def test_on_a_terminal_the_cursor_comes_back(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.misbehave("stall@object")
    ours, theirs = os.openpty()
    environ = {**sandbox.environ, "TERM": "xterm-256color"}
    command = [str(DAP), *snapshot_words(tmp_path / "out")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=theirs) as running:
        os.close(theirs)
        until(lambda: faults(sandbox) > 0, "the run is fetching")
        time.sleep(0.3)
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        told = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                told += chunk
        except OSError:  # the terminal's other end is closed
            os.close(ours)
        assert running.wait(timeout=20) == 130
        assert time.monotonic() - sent < LIMIT
    assert told.rfind(b"\x1b[?25h") > told.rfind(b"\x1b[?25l") > -1
    assert b"Traceback" not in told
    assert b"goes on from where it was" in told
