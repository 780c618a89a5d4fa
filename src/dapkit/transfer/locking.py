"""File locks between processes, held for as long as a block runs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dapkit.client.clock import Clock
from dapkit.errors import LockedError
from dapkit.events import Listener, Notice
from dapkit.locks import FileLock
from dapkit.storage.atomic import disk_errors, make_folder

LOCK_POLL = 0.5  # seconds between two attempts to take a lock that another process holds


def busy_handler(message: str, on_event: Listener, *, wait: bool) -> Callable[[str], None]:
    """Return an `on_busy` for `hold_lock` that sends a notice and waits, or raises LockedError."""

    def on_busy(holder: str) -> None:
        if not wait:
            raise LockedError(f"{message} ({holder})")
        on_event(Notice(message=f"{message} ({holder}). Waiting for it to finish."))

    return on_busy


@asynccontextmanager
async def hold_lock(path: Path, clock: Clock, on_busy: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold a lock. Its file and folder are created if they do not exist.

    Args:
        path: the file to lock.
        clock: for waiting.
        on_busy: called once, with the holder, if another process holds the lock. Waiting starts unless it raises.

    Raises:
        OutputError: the file cannot be created.
    """
    make_folder(path.parent)
    with FileLock(path) as lock:
        reported = False
        while not _acquire(lock):
            if not reported:
                on_busy(lock.holder())
                reported = True
            await clock.sleep(LOCK_POLL)
        yield


def _acquire(lock: FileLock) -> bool:
    with disk_errors(lock.path):
        return lock.acquire()
