"""Small building blocks for durable writes, and the meaning of the operating system's errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from dapkit.errors import DapError, DiskFullError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def disk_error(error: OSError, path: Path) -> DapError:
    """Return our error for an error of the operating system."""
    if error.errno in _FULL:
        return DiskFullError(f"The disk is full: {path} could not be written")
    reason = error.strerror or type(error).__name__
    return OutputError(f"Cannot access {path}: {reason}")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's errors inside the block into ours, naming the path."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Raises OutputError if that fails or the folder is not writable."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {path} is not writable")


def is_writable(folder: Path) -> bool:
    """Return whether a file can be written into the folder now; tries it."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"\n")
            file.flush()
    except OSError:
        return False
    return True


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk where the system can do that (Windows cannot open a folder)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that a crash leaves the old content or the new one, never a part."""
    partial = path.with_name(f".{path.name.lstrip('.')}.part")
    with disk_errors(path):
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            # The content must be on disk before the rename, and the rename before the caller continues.
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
