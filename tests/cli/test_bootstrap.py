"""The command's first moments, before anybody handles a signal."""

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
def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_word(module: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module), "list", "--help"], capture_output=True, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (130, b"", b"")


def test_where_ctrl_c_is_to_be_ignored_it_is() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PROGRAM.format(module="click")
    child = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, check=True)
    assert child.stdout.startswith(b"dapkit ")


def test_a_command_that_begins_is_interrupted_as_usual() -> None:
    before = signal.signal(signal.SIGINT, entry.end)
    try:
        entry.begin()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_is_the_command() -> None:
    child = subprocess.run([sys.executable, "-m", "dapkit.cli", "--version"], capture_output=True, check=True)
    assert child.stdout.startswith(b"dapkit ")


def test_the_code_is_that_of_a_stopped_run() -> None:
    assert InterruptedRunError.exit_code == entry.STOPPED
