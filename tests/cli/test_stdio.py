"""Streams that are closed, full, or lack characters: in this process where possible, else in a child process."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dapkit.cli import stdio

PROGRAM = "from dapkit.cli.main import run; run()"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def dap(redirected: str, *arguments: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command with its streams redirected as a shell does."""
    words = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-c", PROGRAM, *arguments]
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize(
    ("redirected", "reason"),
    [(">&-", "Bad file descriptor"), pytest.param(">/dev/full", "No space left on device", marks=needs_full)],
)
@pytest.mark.parametrize("arguments", [["--version"], ["--help"]], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_result_that_cannot_be_written_is_an_output_error(
    unbuffered: str, arguments: list[str], redirected: str, reason: str
) -> None:
    done = dap(redirected, *arguments, unbuffered=unbuffered)
    assert done.returncode == 42
    assert done.stderr.startswith(f"Error: Cannot write the result to stdout: {reason}\nHint: ")


@pytest.mark.parametrize("redirected", [">&-", pytest.param(">/dev/full", marks=needs_full)])
def test_a_closed_stdout_without_a_result_is_not_an_error(redirected: str, tmp_path: Path) -> None:
    done = dap(redirected, "verify", str(tmp_path))
    assert (done.returncode, "Cannot write" in done.stderr) == (46, False)


@pytest.mark.parametrize("redirected", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_without_stderr_the_exit_code_is_the_same(redirected: str, tmp_path: Path) -> None:
    assert dap(redirected, "list").returncode == 2
    done = dap(redirected, "doctor", "--json", "--base-url", "nonsense", "--output-directory", str(tmp_path))
    assert (done.returncode, done.stderr) == (48, "")
    assert done.stdout.startswith("{")


def test_a_command_works_with_all_streams_closed() -> None:
    assert dap("<&- >&- 2>&-", "--version").returncode == 42


def test_characters_outside_the_encoding_are_escaped_and_bytes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    poor = io.TextIOWrapper(written, encoding="ascii", errors="strict")
    for name in ("stdin", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    monkeypatch.setattr(sys, "stdout", poor)
    stdio.prepare()
    poor.write("k\xe4se \u732b \U0001f408 caf\udce9")
    poor.flush()
    assert written.getvalue() == rb"k\xe4se \u732b \U0001f408 caf" + b"\xe9"


def test_messages_that_cannot_be_written_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    stdio.write_error("anything")
