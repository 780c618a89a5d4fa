"""The start of the command, before it handles signals."""

import signal
import subprocess
import sys

import pytest

from dapkit.cli import bootstrap as entry
from dapkit.errors import InterruptedRunError

PROGRAM = """
import os, sys

class Striking:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), 2)

sys.meta_path.insert(0, Striking())
from dapkit.cli.bootstrap import run
run()
"""


@pytest.mark.parametrize(
    "module", ["signal", "dapkit.cli.main", "click", "dapkit.cli.commands.list", "dapkit.api.connection"]
)
def test_ctrl_c_during_imports_ends_the_command_silently(module: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module), "list", "--help"], capture_output=True, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (130, b"", b"")


def test_ctrl_c_stays_ignored_if_the_parent_ignores_it() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PROGRAM.format(module="click")
    child = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, check=True)
    assert child.stdout.startswith(b"dapkit ")


def test_once_a_command_starts_ctrl_c_raises_as_usual() -> None:
    before = signal.signal(signal.SIGINT, entry.end)
    try:
        entry.restore_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_package_can_be_run_as_a_module() -> None:
    child = subprocess.run([sys.executable, "-m", "dapkit", "--version"], capture_output=True, check=True)
    assert child.stdout.startswith(b"dapkit ")


def test_the_exit_code_is_that_of_an_interrupted_run() -> None:
    assert InterruptedRunError.exit_code == entry.STOPPED
