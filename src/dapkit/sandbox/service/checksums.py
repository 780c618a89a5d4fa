"""The checksums that the object store sends, computed in the simplest way.

The CRCs that Python does not include are loops over bytes, at about 10 MB/s. That is enough for a sandbox, and it is
independent of the libraries that clients use.
"""

import hashlib
import zlib
from collections.abc import Iterable

ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha256")
NONE = "none"

# Bit-reversed (lowest bit first), because these CRCs process the low bit of each byte first.
_CRC32C_POLYNOMIAL = 0x82F63B78
_CRC64NVME_POLYNOMIAL = 0x9A6C9329AC4BC9B5


def checksum(algorithm: str, chunks: Iterable[bytes]) -> bytes:
    """Return the checksum of the concatenated chunks, big-endian; empty for the algorithm `none`."""
    match algorithm:
        case "crc32":
            value = 0
            for chunk in chunks:
                value = zlib.crc32(chunk, value)
            return value.to_bytes(4, "big")
        case "crc32c":
            return _crc(chunks, _CRC32C_POLYNOMIAL, 4)
        case "crc64nvme":
            return _crc(chunks, _CRC64NVME_POLYNOMIAL, 8)
        case "sha256":
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
            return digest.digest()
    return b""


def _crc(chunks: Iterable[bytes], polynomial: int, width: int) -> bytes:
    """Compute a CRC of `width` bytes with a table of 256 entries, one step per byte."""
    table = [_table_entry(byte, polynomial) for byte in range(256)]
    # The register starts as all ones and is inverted at the end: otherwise leading zero bytes would not change the CRC.
    ones = (1 << 8 * width) - 1
    value = ones
    for chunk in chunks:
        for byte in chunk:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ ones).to_bytes(width, "big")


def _table_entry(byte: int, polynomial: int) -> int:
    value = byte
    for _ in range(8):
        value = (value >> 1) ^ (polynomial if value & 1 else 0)
    return value
