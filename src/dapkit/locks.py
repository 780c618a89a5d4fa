"""File locks between processes. The only module that knows how an operating system locks files.

A lock is advisory, belongs to the open file, and ends with the process, however that ends. The file contains one line
that names the holder, for the message of another process that finds it locked.
"""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        # Windows locks are mandatory: lock a byte far behind the contents, so that others can read who holds the lock.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """An exclusive lock on one file. It is not reentrant.

    Example:
        lock = FileLock(path)
        if lock.acquire(): ...
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Try once to take the lock; return whether it succeeded. Raises OSError if the file cannot be created."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()}\n".encode())
        return True

    def release(self) -> None:
        """Release the lock."""
        # The file stays: another process may have opened it already, and would then lock a file without a name.
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str:
        """Return a description of the process that holds the lock."""
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_of(path: Path) -> str | None:
    """Return a description of the process that holds a lock now, or None. The file is not created. Raises OSError."""
    if not path.exists():
        return None
    with FileLock(path) as lock:
        return None if lock.acquire() else lock.holder()
