"""A lock is held by one process at a time and goes with it, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

from dapkit.locks import FileLock, holder_of

HOLD = "import sys; from pathlib import Path; from dapkit.locks import FileLock; l = FileLock(Path(sys.argv[1])); "
HOLD += "assert l.acquire(); print('held', flush=True); sys.stdin.read()"


def test_a_lock_is_exclusive_even_within_a_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path) as first, FileLock(path) as second:
        assert first.acquire()
        assert not second.acquire()
        assert second.holder().startswith("process ")
        first.release()
        assert second.acquire()


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with FileLock(path) as ours:
            assert not ours.acquire()
            assert f"process {holder.pid}" in ours.holder()
            holder.kill()
            holder.wait()
            assert ours.acquire()


def test_the_holder_of_a_lock_is_named_and_no_file_is_created(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    assert holder_of(path) is None
    assert not path.exists()
    with FileLock(path) as lock:
        assert lock.acquire()
        assert holder_of(path) == f"process {os.getpid()}"
    assert holder_of(path) is None
