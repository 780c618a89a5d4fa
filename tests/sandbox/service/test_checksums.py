"""Checksums against the published check values, however the bytes are split into chunks."""

import hashlib

import pytest

from dapkit.sandbox.service.checksums import ALGORITHMS, NONE, checksum

KNOWN = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "sha256": hashlib.sha256(b"123456789").hexdigest(),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("chunks", [[b"123456789"], [b"1", b"", b"2345678", b"9"]])
def test_the_check_values(algorithm: str, chunks: list[bytes]) -> None:
    assert checksum(algorithm, chunks).hex() == KNOWN[algorithm]


def test_the_algorithm_none_gives_no_checksum() -> None:
    assert checksum(NONE, [b"123456789"]) == b""
