"""Whether an object is whole and unharmed, told while it arrives.

An `ObjectCheck` follows one object beside the network: its length, the gzip CRC to the last member, the
structure of a Parquet file, the checksum that the store sent, and the rows as they pass. It holds no more
than a block. `verify_file` does the same for a file that is on disk already. What was found is a `Verification`; what
could not be proven is absent from it, and never guessed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dapkit.decode.gunzip import Inflater
from dapkit.decode.parquet_check import MAGICS, check_parquet
from dapkit.decode.row_count import row_counter
from dapkit.errors import IntegrityError
from dapkit.model import Format
from dapkit.transfer.checksums import Digest, cheapest, md5

__all__ = ["NOTHING_EXPECTED", "Expected", "ObjectCheck", "Verification", "expected_from_headers", "verify_file"]

_PIECE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the store announced of an object.

    Attributes:
        length: of the whole object, in bytes.
        checksums: digest by algorithm (crc32, crc32c, crc64nvme, md5, sha1, sha256), those of the whole
            object.
        etag: as sent, for `If-Range`.
    """

    length: int | None = None
    checksums: Mapping[str, bytes] = field(default_factory=dict)
    etag: str | None = None

    @property
    def etag_digest(self) -> bytes | None:
        """What may be the object's MD5: proof when it is; no verdict when not, for ETags are free."""
        text = (self.etag or "").strip('"')
        return bytes.fromhex(text) if re.fullmatch("[0-9a-fA-F]{32}", text) else None


NOTHING_EXPECTED = Expected()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is known of a whole object.

    Attributes:
        size: in bytes.
        sha256: hexadecimal, of the bytes as served.
        rows: None when they cannot be counted.
        verified_by: which checks it passed, the strongest first: `checksum` (the store sent one), `crc` (gzip, or
            every page of a Parquet file), `structure` (Parquet), `length` (as announced).
    """

    size: int
    sha256: str
    rows: int | None
    verified_by: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether no byte could be wrong unnoticed: also when not all of them came over the network just now."""
        return "checksum" in self.verified_by or "crc" in self.verified_by


class _Content(Protocol):
    """What a format can say of its content; `finish` returns the rows and the checks passed."""

    magics: tuple[bytes, ...]

    def update(self, chunk: bytes | memoryview) -> None: ...
    def finish(self, path: Path) -> tuple[int | None, tuple[str, ...]]: ...


class _GzipContent:
    magics: tuple[bytes, ...] = (_GZIP_MAGIC,)

    def __init__(self, format: Format) -> None:  # noqa: A002 - the word of the service
        self._inflater = Inflater()
        self._counter = row_counter(format)

    def update(self, chunk: bytes | memoryview) -> None:
        count = self._counter.update
        for block in self._inflater.feed(chunk):
            count(block)

    def finish(self, path: Path) -> tuple[int | None, tuple[str, ...]]:  # noqa: ARG002 - all was seen in passing
        self._inflater.close()
        return self._counter.rows(), () if self._inflater.padded else ("crc",)


class _ParquetContent:
    magics: tuple[bytes, ...] = MAGICS

    def update(self, chunk: bytes | memoryview) -> None:
        """Nothing: where things are is known only once the footer, the end of the file, is here."""

    def finish(self, path: Path) -> tuple[int | None, tuple[str, ...]]:
        structure = check_parquet(path)
        verified_by = (("crc",) if structure.pages_proven else ()) + (("structure",) if structure.judged else ())
        return structure.rows, verified_by


class ObjectCheck:
    """Follows one object while it arrives.

    Call `update` with its bytes in order, then `finish`: from any threads, but one call at a time.
    """

    def __init__(self, format: Format, expected: Expected = NOTHING_EXPECTED) -> None:  # noqa: A002 - as above
        self._expected = expected
        self._content: _Content = _GzipContent(format) if format.gzipped else _ParquetContent()
        self._sha256 = hashlib.sha256()
        self._algorithm, self._digest = _chosen(expected, by_etag=not format.gzipped)
        self._head = b""
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the object.

        Raises:
            IntegrityError: they cannot belong to a whole object of this format and length.
        """
        self.size += len(chunk)
        if self._expected.length is not None and self.size > self._expected.length:
            raise IntegrityError(f"More came than the {self._expected.length} bytes that were announced.")
        if len(self._head) < 4:
            self._head = (self._head + bytes(chunk[:16]))[:16]
            self._check_head()
        self._sha256.update(chunk)
        if self._digest is not None:
            self._digest.update(chunk)
        self._content.update(chunk)

    def finish(self, path: Path) -> Verification:
        """Return what is proven of the object, all of whose bytes are in the file at `path`.

        Raises:
            IntegrityError: the object is truncated, harmed, or not what the store says it is.
            OSError: the file cannot be read.
        """
        length = self._expected.length
        if length is not None and self.size != length:
            raise IntegrityError(f"{self.size} of the {length} bytes that were announced came.")
        checksum = self._verdict()
        rows, verified_by = self._content.finish(path)
        return Verification(
            size=self.size,
            sha256=self._sha256.hexdigest(),
            rows=rows,
            verified_by=(("checksum",) if checksum else ()) + verified_by + (("length",) if length is not None else ()),
        )

    def _check_head(self) -> None:
        magics = self._content.magics
        if self._head and not any(magic.startswith(self._head[: len(magic)]) for magic in magics):
            raise IntegrityError(f"The object is no {self._named()} file: it begins with {self._head!r}.")

    def _named(self) -> str:
        return "gzip" if isinstance(self._content, _GzipContent) else "Parquet"

    def _verdict(self) -> bool:
        """Return whether the store's checksum proves the object; one that disagrees (no ETag) is an error."""
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
            raise IntegrityError(f"The object does not match the {self._algorithm} checksum that the store sent.")
        return True


def _chosen(expected: Expected, *, by_etag: bool) -> tuple[str, Digest | None]:
    """Return the one checksum to verify, and what reckons it; SHA-256 is reckoned anyway."""
    if "sha256" in expected.checksums:
        return "sha256", None
    if (chosen := cheapest(expected.checksums)) is not None:
        return chosen
    if by_etag and expected.etag_digest is not None:
        return "etag", md5()
    return "", None


def verify_file(path: Path, format: Format, expected: Expected = NOTHING_EXPECTED) -> Verification:  # noqa: A002 - as above
    """Check a file on disk from its first byte to its last, in bounded memory.

    Raises:
        IntegrityError: it is not whole, or harmed.
        OSError: it cannot be read.
    """
    check = ObjectCheck(format, expected)
    buffer = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            check.update(buffer[:count])
    return check.finish(path)


def expected_from_headers(headers: Mapping[str, str], status: int) -> Expected:
    """Return what an answer of the object store says of the object; what cannot be understood is left out.

    Args:
        headers: of the answer, names in any case.
        status: 200, or 206 when the body is a part: then only what concerns the whole object counts.
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
"""The header that ends in an algorithm's name, and the length of its digest."""


def _add(checksums: dict[str, bytes], algorithm: str, length: int, text: str) -> None:
    """Add a digest in base64; one of parts (`…-3`) or of another length says nothing of the whole object."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(digest) == length:
        checksums[algorithm] = digest
