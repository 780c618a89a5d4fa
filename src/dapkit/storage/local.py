"""A folder on a local disk.

<name>          complete: written, verified, flushed and renamed, in this order
.<name>.part    a download that is running, or was interrupted and can be continued
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from dapkit.errors import IntegrityError, OutputError
from dapkit.storage.atomic import disk_errors, make_folder, replace_file, sync_folder
from dapkit.storage.base import ContentCheck

R = TypeVar("R")

_READ = 1 << 20
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends without it


class LocalFolder:
    """One folder. `lock` is the file that processes lock while they write into it."""

    resumable = True
    atomic_replace = True

    def __init__(self, path: Path, lock: Path | None = None) -> None:
        self.path = path
        self.lock = lock

    def __str__(self) -> str:
        return str(self.path)

    def create(self) -> None:
        """Create the folder if it does not exist. Raises OutputError if no files can be written to it."""
        make_folder(self.path)

    def names(self) -> list[str]:
        """Return the names of all entries, sorted. Raises OSError."""
        return sorted(path.name for path in self.path.iterdir())

    def size(self, name: str) -> int:
        """Return the size of a file in bytes. Raises OSError if there is no such file."""
        status = (self.path / name).stat()
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path / name))
        return status.st_size

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading. Raises OSError."""
        return (self.path / name).open("rb", buffering=0)

    def partial(self, name: str) -> "LocalPartialFile[R]":
        """Return the partial file that will get this name; nothing is created before the first write."""
        return LocalPartialFile(self.path / name)

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file durably and atomically."""
        replace_file(self.path / name, content)

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        path = self.path / name
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def flush(self) -> None:
        """Flush the folder's entries: a rename survives a power loss only when its folder was flushed."""
        with disk_errors(self.path):
            sync_folder(self.path)


class LocalPartialFile(Generic[R]):
    """The file `.<name>.part` next to the file that it becomes."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.part")
        self._check: ContentCheck[R] | None = None
        self._offset = 0
        self._descriptor: int | None = None

    def size(self) -> int:
        """Return how many bytes an earlier attempt left."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def start(self, check: ContentCheck[R], offset: int) -> None:
        """Begin an attempt that keeps the first `offset` bytes. The file is opened with the first write."""
        self._check = check
        self._offset = offset

    def write(self, chunks: Sequence[bytes]) -> None:
        """Check and append the chunks."""
        assert self._check is not None, "start comes before write"
        descriptor = self._open(self._check)
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        # Checked first: bytes that cannot belong to a valid file never reach the disk.
        self._check.update(data)
        with disk_errors(self.path):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def _open(self, check: ContentCheck[R]) -> int:
        """Open the file, once per attempt."""
        if self._descriptor is None:
            with disk_errors(self.path):
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
                os.ftruncate(self._descriptor, self._offset)
                # The check must see the complete file, so the kept part is read back. That also leaves the position
                # at the end, where writing continues.
                while chunk := os.read(self._descriptor, _READ):
                    check.update(chunk)
        return self._descriptor

    def verify(self, chunks: Sequence[bytes]) -> R:
        """Write the last chunks and return the result of the check."""
        assert self._check is not None, "start comes before verify"
        descriptor = self._open(self._check)
        if chunks:
            self.write(chunks)
        with disk_errors(self.path), os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            return self._check.finish(file)

    def flush(self) -> None:
        """Wait until the disk has the content."""
        assert self._descriptor is not None, "verify comes before flush"
        with disk_errors(self.path):
            os.fsync(self._descriptor)

    def commit(self) -> None:
        """Rename the file to its final name.

        Only after `flush`: a file system may write the new name to disk before the content, and a power loss in
        between would leave an empty file under the final name.
        """
        self.close()
        with disk_errors(self.final):
            self.path.replace(self.final)

    def suspend(self, chunks: Sequence[bytes]) -> None:
        """Write the last chunks that arrived and close."""
        try:
            if chunks:
                self.write(chunks)
        except IntegrityError:
            self.discard()
        except OutputError:
            pass  # what reached the disk is still the beginning of the file
        finally:
            self.close()

    def discard(self) -> int:
        """Close and delete the file; return how many bytes were lost. Raises OutputError if it cannot be deleted."""
        self.close()
        lost = self.size()
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
        return lost

    def close(self) -> None:
        """Close the file, if it is open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with disk_errors(self.path):
                os.close(descriptor)
