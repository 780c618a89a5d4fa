"""The checksums that object stores send, computed while bytes pass.

CRC-32C and CRC-64/NVME, which the big stores send by default, need the library awscrt (`pip install
dapkit[checksums]`). Without it they are not computed, and `checksum` is missing from the checks that a file passed.
"""

import hashlib
from collections.abc import Callable, Collection
from functools import cache
from types import ModuleType
from typing import Final, Protocol, cast

from dapkit.decode.gunzip import crc32


class Digest(Protocol):
    """A running checksum."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add the next bytes."""

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""


class _Crc:
    """A running CRC. Stores write it with its highest byte first."""

    def __init__(self, compute: Callable[[bytes | memoryview, int], int], width: int) -> None:
        self._compute = compute
        self._width = width
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def cheapest(algorithms: Collection[str]) -> tuple[str, Digest] | None:
    """Return the cheapest of these algorithms with a new digest; None if none of them can be computed.

    SHA-256 is not considered: it is computed for the manifest anyway.
    """
    for algorithm in _CHEAPEST_FIRST:
        if algorithm in algorithms and (digest := _digest_of(algorithm)) is not None:
            return algorithm, digest
    return None


def md5() -> Digest:
    """Return a running MD5, used as a checksum only."""
    return hashlib.md5(usedforsecurity=False)


_CHEAPEST_FIRST: Final = ("crc64nvme", "crc32c", "crc32", "sha1", "md5")


def _digest_of(algorithm: str) -> Digest | None:
    match algorithm:
        case "crc32":
            return _Crc(crc32, 4)
        case "sha1":
            return hashlib.sha1(usedforsecurity=False)
        case "md5":
            return md5()
    library = _awscrt()
    if library is None:
        return None
    return _Crc(library.crc32c, 4) if algorithm == "crc32c" else _Crc(library.crc64nvme, 8)


@cache
def _awscrt() -> ModuleType | None:
    """Import the library when a store sends the first checksum that needs it; None if it is not installed."""
    try:
        from awscrt import checksums  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return cast(ModuleType, checksums)
