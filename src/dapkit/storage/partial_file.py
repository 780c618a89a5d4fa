"""One file on its way: written beside its final name, checked as it grows, flushed, then renamed.

All methods block on the disk or the processor, and are called one at a time for each file: in a worker thread, or
where the object is small anywhere but for `flush`, which alone waits for the disk itself.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dapkit.errors import IntegrityError, OutputError
from dapkit.model import Format
from dapkit.storage.atomic import disk_errors
from dapkit.transfer.integrity import Expected, ObjectCheck, Verification

_READ = 1 << 20
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends without it


class PartialFile:
    """The file `.<name>.part` beside the name it will get."""

    def __init__(self, final: Path, format: Format) -> None:  # noqa: A002 (the field's word)
        self.final = final
        self.path = final.with_name(f".{final.name}.part")
        self._format = format
        self._check: ObjectCheck | None = None
        self._offset = 0
        self._inherited = True
        self._descriptor: int | None = None

    def size(self) -> int:
        """Return how many bytes an earlier attempt left."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def begin(self, expected: Expected, offset: int) -> None:
        """Set out to write after `offset` bytes of an earlier attempt. Nothing blocks before the first write."""
        self._check = ObjectCheck(self._format, expected)
        self._offset = offset
        self._inherited = self._inherited and offset > 0

    def write(self, chunks: Sequence[bytes]) -> None:
        """Check and append.

        Raises:
            IntegrityError: what is there so far cannot be the beginning of a right file.
            DiskFullError, OutputError: the disk does not take it.
        """
        assert self._check is not None, "begin comes before write"
        descriptor = self._open(self._check)
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._check.update(data)
        with disk_errors(self.path):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def _open(self, check: ObjectCheck) -> int:
        """Open the file, and have the bytes of the earlier attempt checked again."""
        if self._descriptor is None:
            with disk_errors(self.path):
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
                os.ftruncate(self._descriptor, self._offset)
                while chunk := os.read(self._descriptor, _READ):
                    check.update(chunk)
        return self._descriptor

    def finish(self, chunks: Sequence[bytes]) -> Verification:
        """Write the last chunks, prove the whole, flush it and give it its final name."""
        verification = self.verify_file(chunks)
        self.flush()
        self.place()
        return verification

    def verify_file(self, chunks: Sequence[bytes]) -> Verification:
        """Write the last chunks and prove the whole.

        Raises:
            IntegrityError: it is not right; or it begins with what an earlier process left, which was not flushed and
                may have holes after a power loss, and nothing can tell.
            DiskFullError, OutputError: the disk does not take it, or does not give it back.
        """
        assert self._check is not None, "begin comes before prove"
        self._open(self._check)
        if chunks:
            self.write(chunks)
        with disk_errors(self.path):
            verification = self._check.finish(self.path)
        if self._inherited and not verification.complete:
            raise IntegrityError("Nothing proves the part of the object that an interrupted run left")
        return verification

    def flush(self) -> None:
        """Wait until the disk has what was written."""
        assert self._descriptor is not None, "prove comes before flush"
        with disk_errors(self.path):
            os.fsync(self._descriptor)

    def place(self) -> None:
        """Give the file, proven and flushed, its final name."""
        self.close()
        with disk_errors(self.final):
            self.path.replace(self.final)

    def pause(self, chunks: Sequence[bytes]) -> None:
        """Write what came before the connection was lost, and close: the next attempt may go on from here."""
        try:
            if chunks:
                self.write(chunks)
        except IntegrityError:
            self.discard()
        except OutputError:
            pass  # what the disk did take is still the beginning of the object
        finally:
            self.close()

    def discard(self) -> int:
        """Close and remove the file; return how many bytes were lost with it. Raises OutputError if it stays."""
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
