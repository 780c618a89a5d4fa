"""Verification of objects while they arrive.

An `ObjectCheck` sees every byte of one object on its way to the disk. It checks the length, the CRC of each gzip
member, the structure of a Parquet file and the checksum that the object store sent, and counts the rows. It holds no
more than a block in memory. `verify_file` does the same for a file that is stored already. The result is a
`Verification`; it lists only the checks that were made.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from dapkit.decode.gunzip import Inflater
from dapkit.decode.parquet_check import MAGICS, check_parquet
from dapkit.decode.row_count import row_counter
from dapkit.errors import IntegrityError
from dapkit.model import Format
from dapkit.storage.base import Folder
from dapkit.transfer.checksums import Digest, cheapest, md5

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the store's headers say about an object.

    Attributes:
        length: of the complete object, in bytes.
        checksums: digest of the complete object by algorithm (crc32, crc32c, crc64nvme, md5, sha1, sha256).
        etag: as sent.
    """

    length: int | None = None
    checksums: Mapping[str, bytes] = field(default_factory=dict)
    etag: str | None = None

    @property
    def etag_digest(self) -> bytes | None:
        """The digest in the ETag, possibly the object's MD5. A match verifies the object; a mismatch means nothing."""
        text = (self.etag or "").strip('"')
        return bytes.fromhex(text) if re.fullmatch("[0-9a-fA-F]{32}", text) else None


NOTHING_EXPECTED = Expected()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is known about a complete object.

    Attributes:
        size: in bytes.
        sha256: hexadecimal, of the bytes as served.
        rows: None if they cannot be counted.
        verified_by: the checks that it passed, the strongest first: `checksum` (sent by the store), `crc` (of gzip, or
            of every page of a Parquet file), `structure` (of a Parquet file), `length` (as announced).
    """

    size: int
    sha256: str
    rows: int | None
    verified_by: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every byte is covered, so that every wrong byte would have been noticed."""
        return "checksum" in self.verified_by or "crc" in self.verified_by


class _Content(Protocol):
    """The checks that one format allows; `finish` returns the rows and the checks that were passed."""

    magics: tuple[bytes, ...]
    name: str

    def update(self, chunk: bytes | memoryview) -> None: ...
    def finish(self, file: BinaryIO) -> tuple[int | None, tuple[str, ...]]: ...


class _GzipContent:
    magics: tuple[bytes, ...] = (b"\x1f\x8b",)
    name = "gzip"

    def __init__(self, format: Format) -> None:  # noqa: A002 - the word of the service
        self._inflater = Inflater()
        self._counter = row_counter(format)
        self._empty = True

    def update(self, chunk: bytes | memoryview) -> None:
        self._empty = self._empty and not chunk
        count = self._counter.update
        for block in self._inflater.feed(chunk):
            count(block)

    def finish(self, file: BinaryIO) -> tuple[int | None, tuple[str, ...]]:  # noqa: ARG002 - all was seen in passing
        if self._empty:  # not gzip, but some programs write a part without rows like this
            return 0, ()
        self._inflater.close()
        # Zeros after the last member are allowed by gzip. But a member of which a power loss left only zeros looks
        # the same, so such a file does not count as covered by its CRCs.
        return self._counter.rows(), () if self._inflater.padded else ("crc",)


class _ParquetContent:
    magics: tuple[bytes, ...] = MAGICS
    name = "Parquet"

    def update(self, chunk: bytes | memoryview) -> None:
        """Do nothing: the pages can be located only with the footer, at the end of the file."""

    def finish(self, file: BinaryIO) -> tuple[int | None, tuple[str, ...]]:
        structure = check_parquet(file)
        verified_by = (("crc",) if structure.all_pages_verified else ()) + (
            ("structure",) if structure.readable else ()
        )
        return structure.rows, verified_by


class ObjectCheck:
    """Checks one object while it arrives (see `ContentCheck`).

    Call `update` with its bytes in order, then `finish`: from any thread, but one call at a time.

    Args:
        format: of the object.
        expected: what the store said about it.
        inherited: whether the first bytes come from an earlier process. They were not flushed, so a power loss may
            have left gaps in them. The object is then accepted only if a check covers every byte.
        stored: whether it is a file, which unlike a download cannot end before its first byte.
    """

    def __init__(
        self,
        format: Format,  # noqa: A002 - as above
        expected: Expected = NOTHING_EXPECTED,
        *,
        inherited: bool = False,
        stored: bool = False,
    ) -> None:
        self._expected = expected
        self._inherited = inherited
        self._stored = stored
        self._content: _Content = _GzipContent(format) if format.gzipped else _ParquetContent()
        self._sha256 = hashlib.sha256()
        self._algorithm, self._digest = _chosen(expected, by_etag=not format.gzipped)
        self._head = b""
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes. Raises IntegrityError if they cannot belong to an object of this format and length."""
        self.size += len(chunk)
        if self._expected.length is not None and self.size > self._expected.length:
            raise IntegrityError(f"More than the announced {self._expected.length} bytes were received")
        if len(self._head) < 4:
            self._head = (self._head + bytes(chunk[:16]))[:16]
            self._check_head()
        self._sha256.update(chunk)
        if self._digest is not None:
            self._digest.update(chunk)
        self._content.update(chunk)

    def finish(self, file: BinaryIO) -> Verification:
        """Return the result of all checks.

        Raises:
            IntegrityError: the object is truncated or corrupt, or does not match what the store said.
            OSError: the file cannot be read.
        """
        length = self._expected.length
        if length is not None and self.size != length:
            raise IntegrityError(f"Only {self.size} of the announced {length} bytes were received")
        checksum = self._matches_checksum()
        if not self.size and length is None and not checksum and not self._stored:
            raise IntegrityError("Nothing was received, although the store did not announce an empty object")
        rows, verified_by = self._content.finish(file)
        verification = Verification(
            size=self.size,
            sha256=self._sha256.hexdigest(),
            rows=rows,
            verified_by=(("checksum",) if checksum else ()) + verified_by + (("length",) if length is not None else ()),
        )
        if self._inherited and not verification.complete:
            raise IntegrityError("The part that an interrupted run left cannot be verified")
        return verification

    def _check_head(self) -> None:
        magics = self._content.magics
        if self._head and not any(magic.startswith(self._head[: len(magic)]) for magic in magics):
            raise IntegrityError(f"The object is not a {self._content.name} file: it begins with {self._head!r}")

    def _matches_checksum(self) -> bool:
        """Return whether the store's checksum verifies the object. A mismatch is an error, except for an ETag."""
        expected = self._expected
        if self._algorithm == "sha256":
            actual = self._sha256.digest()
        elif self._digest is not None:
            actual = self._digest.digest()
        else:
            return False
        if self._algorithm == "etag":
            return actual == expected.etag_digest
        if actual != expected.checksums[self._algorithm]:
            raise IntegrityError(f"The object does not match the {self._algorithm} checksum that the store sent")
        return True


def _chosen(expected: Expected, *, by_etag: bool) -> tuple[str, Digest | None]:
    """Return the one checksum to verify and the digest to compute for it. SHA-256 is computed in any case.

    An ETag is tried only where nothing better covers the bytes: gzip has its own CRC, Parquet often has none.
    """
    if "sha256" in expected.checksums:
        return "sha256", None
    if (chosen := cheapest(expected.checksums)) is not None:
        return chosen
    if by_etag and expected.etag_digest is not None:
        return "etag", md5()
    return "", None


def verify_file(folder: Folder, name: str, format: Format, expected: Expected = NOTHING_EXPECTED) -> Verification:  # noqa: A002 - as above
    """Check a stored file from its first byte to its last, in bounded memory.

    Raises:
        IntegrityError: it is truncated or corrupt.
        OSError: it cannot be read.
    """
    check = ObjectCheck(format, expected, stored=True)
    buffer = bytearray(_PIECE)
    with folder.open(name) as file:
        while count := file.readinto(buffer):  # type: ignore[attr-defined] # a raw file, see Folder.open
            check.update(memoryview(buffer)[:count])
        return check.finish(file)


def expected_from_headers(headers: Mapping[str, str], status: int) -> Expected:
    """Return what the headers of a response say about the object. What cannot be understood is left out.

    Args:
        headers: of the response, names in any case.
        status: 200; or 206 if the body is a part, so that some headers describe the part and not the object.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    checksums: dict[str, bytes] = {}
    for header in _CHECKSUM_HEADERS.keys() & lower.keys():
        algorithm = header.rpartition("-")[2]
        _add(checksums, algorithm, _CHECKSUM_HEADERS[header], lower[header])
    if "x-goog-hash" in lower:
        for part in lower["x-goog-hash"].split(","):
            algorithm, _, digest = part.strip().partition("=")
            _add(checksums, algorithm, {"md5": 16, "crc32c": 4}.get(algorithm, -1), digest)
    if status == 206:
        total = lower.get("content-range", "").rpartition("/")[2]
    else:
        total = lower.get("content-length", "")
        if "content-md5" in lower:
            _add(checksums, "md5", 16, lower["content-md5"])
    length = int(total) if total.isascii() and total.isdigit() else None
    return Expected(length=length, checksums=checksums, etag=lower.get("etag"))


_CHECKSUM_HEADERS: Mapping[str, int] = {
    "x-amz-checksum-crc32": 4,
    "x-amz-checksum-crc32c": 4,
    "x-amz-checksum-crc64nvme": 8,
    "x-amz-checksum-sha1": 20,
    "x-amz-checksum-sha256": 32,
}
"""Headers that end in the name of an algorithm, and the length of its digest in bytes."""


def _add(checksums: dict[str, bytes], algorithm: str, length: int, text: str) -> None:
    """Add a base64 digest. One of a multipart upload (`…-3`) or of another length does not cover the object itself."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(digest) == length:
        checksums[algorithm] = digest
