"""A temporary folder that goes with its process: at once when that ends well, else when the next one begins.

A lock file beside each folder says whether its process lives. It is made and held before the folder exists.
"""

import os
import secrets
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from dapkit.locks import FileLock

PREFIX = "dapkit-spool-"


class ScratchFolder:
    """A folder of one's own, empty at first.

    Args:
        parent: where it is made, and where folders of dead processes are removed; the temporary directory by default.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _sweep(parent)
        lock = FileLock(parent / f"{PREFIX}{secrets.token_hex(8)}.lock")
        while not lock.acquire():  # somebody sweeps, and saw the file before it was held
            lock = FileLock(parent / f"{PREFIX}{secrets.token_hex(8)}.lock")
        self.path = lock.path.with_suffix("")
        self.path.mkdir(mode=0o700)
        self.close = weakref.finalize(self, _remove, lock)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*.lock"):
        lock = FileLock(path)
        try:
            if _ours(path) and lock.acquire():
                _remove(lock)
        except OSError:
            continue  # gone meanwhile


def _ours(path: Path) -> bool:
    """Whether a path is a file of this user's: in a folder that all may write to, others may plant anything."""
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


def _remove(lock: FileLock) -> None:
    shutil.rmtree(lock.path.with_suffix(""), ignore_errors=True)
    lock.release()
    with suppress(OSError):  # somebody else removes it just now
        lock.path.unlink()
