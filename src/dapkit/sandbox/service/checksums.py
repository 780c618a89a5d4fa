"""The checksums that the object store can send, reckoned the plain way.

Those that Python does not come with are loops over bytes, some ten megabytes a second: enough for a sandbox, and
independent of what any client uses.
"""

import hashlib
import zlib
from collections.abc import Iterable

ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha256")
NONE = "none"

_CASTAGNOLI = 0x82F63B78
_NVME = 0x9A6C9329AC4BC9B5
"""The polynomials, lowest bit first."""


def checksum(algorithm: str, chunks: Iterable[bytes]) -> bytes:
    """Return the checksum of bytes that come in chunks; none for the algorithm `none`."""
    match algorithm:
        case "crc32":
            value = 0
            for chunk in chunks:
                value = zlib.crc32(chunk, value)
            return value.to_bytes(4, "big")
        case "crc32c":
            return _crc(chunks, _CASTAGNOLI, 4)
        case "crc64nvme":
            return _crc(chunks, _NVME, 8)
        case "sha256":
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
            return digest.digest()
    return b""


def _crc(chunks: Iterable[bytes], polynomial: int, width: int) -> bytes:
    """Reckon a CRC that begins and ends inverted, byte by byte with a table."""
    table = [_shifted(byte, polynomial) for byte in range(256)]
    ones = (1 << 8 * width) - 1
    value = ones
    for chunk in chunks:
        for byte in chunk:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ ones).to_bytes(width, "big")


def _shifted(byte: int, polynomial: int) -> int:
    value = byte
    for _ in range(8):
        value = (value >> 1) ^ (polynomial if value & 1 else 0)
    return value
