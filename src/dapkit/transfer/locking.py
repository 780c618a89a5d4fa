"""Holding a file lock for as long as a block runs, and waiting for it where another process has it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dapkit.client.clock import Clock
from dapkit.errors import LockedError
from dapkit.events import Listener, Notice
from dapkit.locks import FileLock
from dapkit.storage.atomic import disk_errors, make_folder
from dapkit.transfer.names import job_folder

LOCK_POLL = 0.5  # seconds between two looks at a lock that another process holds


def job_lock(output: Path, job_id: str) -> Path:
    """Return the lock that keeps two runs from fetching the same job at the same time."""
    return output / ".dap" / "locks" / f"{job_folder(job_id)}.lock"


def when_busy(message: str, on_event: Listener, *, wait: bool) -> Callable[[str], None]:
    """Return what `holding` calls when another process is at work: tell that it is waited for, or raise LockedError."""

    def busy(holder: str) -> None:
        if not wait:
            raise LockedError(f"{message} ({holder})")
        on_event(Notice(message=f"{message} ({holder}): waiting for it."))

    return busy


@asynccontextmanager
async def holding(path: Path, clock: Clock, busy: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock of this file, whose folder is made when it is missing.

    Args:
        path: the lock's file.
        clock: the time in which is waited.
        busy: called once, with who holds the lock, before waiting for it; raises what is to be raised instead.

    Raises:
        OutputError: the file cannot be made.
    """
    make_folder(path.parent)
    with FileLock(path) as lock:
        told = False
        while not _acquired(lock):
            if not told:
                busy(lock.holder())
                told = True
            await clock.sleep(LOCK_POLL)
        yield


def _acquired(lock: FileLock) -> bool:
    with disk_errors(lock.path):
        return lock.acquire()
