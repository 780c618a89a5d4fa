"""A temporary folder is removed with its process, however that ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dapkit.sandbox.service.temp_folder import PREFIX, TempFolder

PROGRAM = """
import sys
from pathlib import Path
from dapkit.sandbox.service.temp_folder import TempFolder
folder = TempFolder(Path(sys.argv[1]))
(folder.path / "object").write_text("much")
print(folder.path, flush=True)
sys.stdin.read()
"""


def begin(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process with a folder that is not empty."""
    words = [sys.executable, "-c", PROGRAM, str(parent)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def test_close_removes_the_folder(tmp_path: Path) -> None:
    folder = TempFolder(tmp_path)
    (folder.path / "object").touch()
    assert folder.path.parent == tmp_path
    folder.close()
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_removed_when_its_process_ends(tmp_path: Path) -> None:
    child, folder = begin(tmp_path)
    assert (folder / "object").exists()
    child.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_processes_are_removed_and_others_stay(tmp_path: Path) -> None:
    (killed, left), (living, kept) = begin(tmp_path), begin(tmp_path)
    killed.kill()
    killed.communicate()
    assert (left / "object").exists()
    folder = TempFolder(tmp_path)
    assert not left.exists()
    assert (kept / "object").exists()
    living.communicate("")
    folder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users here")
def test_files_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / f"{PREFIX}link.lock").symlink_to(precious)
    theirs = tmp_path / f"{PREFIX}theirs.lock"
    theirs.write_text("theirs")
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    TempFolder(tmp_path).close()
    assert (precious.read_text(), theirs.read_text()) == ("mine", "theirs")
