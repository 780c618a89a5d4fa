"""What `make` does with an interpreter that is too old. Nothing is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and an interpreter that is too old."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.18";; *) exit 1;; esac\n')
    old.chmod(0o755)
    return tmp_path


def make(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("python", "found"), [("./old-python", "Python 3.9.18"), ("no-python", "not found")])
def test_an_interpreter_that_is_too_old_or_missing_is_named(folder: Path, python: str, found: str) -> None:
    done = make(folder, "demo", f"PYTHON={python}")
    assert done.returncode == 2
    assert f"dapkit needs Python 3.11 or later. {python} is: " in done.stderr
    assert found in done.stderr
    assert "make demo PYTHON=python3.12" in done.stderr
    assert not (folder / ".venv").exists()


def test_an_environment_of_an_old_interpreter_is_replaced(folder: Path) -> None:
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(folder / "old-python", folder / ".venv" / "bin" / "python")
    (folder / ".venv" / "bin" / "dap").touch()
    assert make(folder, "demo", "PYTHON=./old-python").returncode == 2
    done = make(folder, "--dry-run", "demo", f"PYTHON={sys.executable}")
    assert f"{sys.executable} -m venv --clear .venv" in done.stdout


def test_a_usable_environment_is_kept(folder: Path) -> None:
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / ".venv" / "bin" / "dap").touch()
    done = make(folder, "--dry-run", "demo", "PYTHON=./old-python")
    assert done.returncode == 0
    assert "venv" in done.stdout
    assert "--clear" not in done.stdout
