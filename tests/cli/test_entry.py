"""The command's first moments, before anybody handles a signal."""

import subprocess
import sys

import pytest

from dapkit.cli import entry
from dapkit.errors import InterruptedRunError

PROGRAM = """
import signal, sys

class Striking:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Striking())
from dapkit.cli.entry import run
run()
"""


@pytest.mark.parametrize("module", ["dapkit.cli.main", "click", "dapkit.errors"])
def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_word(module: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module), "--version"], capture_output=True, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (130, b"", b"")


def test_it_is_the_command() -> None:
    child = subprocess.run([sys.executable, "-m", "dapkit.cli", "--version"], capture_output=True, check=True)
    assert child.stdout.startswith(b"dapkit ")


def test_the_code_is_that_of_a_stopped_run() -> None:
    assert InterruptedRunError.exit_code == entry.STOPPED
