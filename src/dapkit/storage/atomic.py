"""Writing to disk so that a crash leaves the old state or the new one, never half of either."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from dapkit.errors import DapError, DiskFullError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def disk_error(error: OSError, path: Path) -> DapError:
    """Say what an operating system's error means for the output folder."""
    if error.errno in _FULL:
        return DiskFullError(f"The disk is full: {path} could not be written")
    reason = error.strerror or type(error).__name__
    return OutputError(f"{path} cannot be used: {reason}")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's errors inside the block into ours, naming the path."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents. Raises OutputError when it cannot be, or cannot be written to."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {path} is not writable")


def takes_files(folder: Path) -> bool:
    """Whether a file can be written into the folder now."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"\n")
            file.flush()
    except OSError:
        return False
    return True


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, where the system can (Windows cannot open a folder)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file whole: beside its name, flushed, renamed, the folder flushed."""
    partial = path.with_name(f".{path.name.lstrip('.')}.part")
    with disk_errors(path):
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
