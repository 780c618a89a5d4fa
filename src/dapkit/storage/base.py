"""The storage of one result, as downloads, manifests and verification see it.

The interface is small enough for a store that can neither rename nor append, such as an object store: a file is a
stream that appears under its name only when it is complete. What only some stores can do is a property.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class ContentCheck(Protocol[R_co]):
    """Checks the bytes of one file while they are written."""

    def update(self, chunk: bytes | memoryview, /) -> None:
        """Take the next bytes. Raises IntegrityError if no valid file can begin like this."""

    def finish(self, file: BinaryIO, /) -> R_co:
        """Return the result of the check.

        Args:
            file: the complete file, for formats that are described at their end.

        Raises:
            IntegrityError: the file is invalid.
        """


class PartialFile(Protocol[R]):
    """One file that is being written. It appears under its name with `commit`, and not before.

    All methods may block and are called one at a time, from any thread. Each raises DiskFullError or OutputError if
    the store fails.
    """

    def size(self) -> int:
        """Return how many bytes an earlier attempt left. Always 0 if the folder is not resumable."""

    def start(self, check: ContentCheck[R], offset: int) -> None:
        """Begin an attempt that keeps the first `offset` bytes of the earlier one. Does not block."""

    def write(self, chunks: Sequence[bytes]) -> None:
        """Check and append the chunks. Raises IntegrityError if no valid file can begin like this."""

    def verify(self, chunks: Sequence[bytes]) -> R:
        """Write the last chunks and return the result of the check. Raises IntegrityError if the file is invalid."""

    def flush(self) -> None:
        """Wait until everything that was written would survive a power loss."""

    def commit(self) -> None:
        """Make the file, verified and flushed, appear under its name. Replaces an existing file."""

    def suspend(self, chunks: Sequence[bytes]) -> None:
        """Write the last chunks that arrived and close, so that a later attempt can continue after them."""

    def discard(self) -> int:
        """Close and delete what was written; return how many bytes were lost."""

    def close(self) -> None:
        """Release resources; what was written stays where the folder is resumable."""


class Folder(Protocol):
    """The files of one result. Names are single path components. Methods block.

    Each method raises DiskFullError or OutputError if the store fails, unless it says otherwise.
    """

    def __str__(self) -> str:
        """Return the address of the folder, for messages."""

    @property
    def resumable(self) -> bool:
        """Whether partial files outlast the process, so that an interrupted download can be continued."""

    @property
    def atomic_replace(self) -> bool:
        """Whether a new file takes over an existing name in one step. Otherwise delete the old file first."""

    @property
    def lock(self) -> Path | None:
        """The lock that a process holds while it writes. None if processes cannot disturb each other's files."""

    def create(self) -> None:
        """Create the folder if it does not exist. Raises OutputError if no files can be written to it."""

    def names(self) -> list[str]:
        """Return the names of all entries, sorted. Raises OSError."""

    def size(self, name: str) -> int:
        """Return the size of a file in bytes. Raises OSError if there is no such file."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading, seekable and unbuffered. Raises OSError."""

    def partial(self, name: str) -> "PartialFile[R]":
        """Return the partial file that will get this name; nothing is created before the first write."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file durably. Readers see the old content or the new one, never a part."""

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""

    def flush(self) -> None:
        """Wait until the names of all committed files would survive a power loss."""
