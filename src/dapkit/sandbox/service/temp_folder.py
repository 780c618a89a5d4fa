"""A temporary folder that is removed with its process: at once if that ends normally, else by the next process.

A lock file next to each folder tells whether its process still runs: the operating system releases the lock when the
process ends, however it ends.
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

PREFIX = "dapkit-sandbox-"


class TempFolder:
    """An empty private folder.

    Args:
        parent: where to create it, and where to remove folders of dead processes; by default the temporary directory.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        # Lock first, then create the folder: a folder without a held lock may be removed by any other process.
        lock = FileLock(parent / f"{PREFIX}{secrets.token_hex(8)}.lock")
        while not lock.acquire():  # another process found the new file before we locked it, and is about to remove it
            lock = FileLock(parent / f"{PREFIX}{secrets.token_hex(8)}.lock")
        self.path = lock.path.with_suffix("")
        self.path.mkdir(mode=0o700)
        # finalize also runs at the end of the interpreter, and only once however often it is called.
        self.close = weakref.finalize(self, _remove, lock)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*.lock"):
        lock = FileLock(path)
        try:
            if _is_own_file(path) and lock.acquire():
                _remove(lock)
        except OSError:
            continue  # another process removed it in the meantime


def _is_own_file(path: Path) -> bool:
    """Return whether a path is a regular file of this user. In a shared folder, others may plant links and files."""
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


def _remove(lock: FileLock) -> None:
    # The lock file goes last: a crash in between would otherwise leave a folder that no process ever finds. It is
    # released before it is deleted, because Windows does not delete an open file.
    shutil.rmtree(lock.path.with_suffix(""), ignore_errors=True)
    lock.release()
    with suppress(OSError):  # another process may remove it at the same time
        lock.path.unlink()
