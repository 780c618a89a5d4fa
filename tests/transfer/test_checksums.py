"""Checksums against published check values, in pieces, and without the library that some need."""

import sys
from collections.abc import Iterator

import pytest

from dapkit.transfer import checksums
from dapkit.transfer.checksums import cheapest

KNOWN = {
    ("crc32", b"123456789"): "cbf43926",
    ("crc32c", b"123456789"): "e3069283",
    ("crc32c", bytes(32)): "8a9136aa",
    ("crc32c", b"\xff" * 32): "62a8ab43",
    ("crc32c", bytes(range(32))): "46dd794e",
    ("crc64nvme", b"123456789"): "ae8b14860a799888",
    ("crc64nvme", bytes(4096)): "6482d367eb22b64e",
    ("crc64nvme", b"\xff" * 4096): "c0ddba7302eca3ac",
    ("sha1", b"123456789"): "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    ("md5", b"123456789"): "25f9e794323b453885f5181f1b624d0b",
}


@pytest.mark.parametrize(("algorithm", "data"), KNOWN)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_published_check_values(algorithm: str, data: bytes, step: int) -> None:
    chosen = cheapest({algorithm})
    assert chosen is not None
    name, digest = chosen
    assert name == algorithm
    for start in range(0, len(data), step):
        digest.update(memoryview(data)[start : start + step])
    assert digest.digest().hex() == KNOWN[algorithm, data]


@pytest.mark.parametrize(
    ("algorithms", "expected"),
    [({"md5", "crc32c"}, "crc32c"), ({"crc32c", "crc64nvme"}, "crc64nvme"), ({"sha1", "md5"}, "sha1")],
)
def test_the_cheapest_algorithm_is_chosen(algorithms: set[str], expected: str) -> None:
    chosen = cheapest(algorithms)
    assert chosen is not None
    assert chosen[0] == expected


@pytest.mark.parametrize("algorithms", [set[str](), {"sha256"}, {"xxh3"}])
def test_algorithms_that_cannot_be_computed(algorithms: set[str]) -> None:
    assert cheapest(algorithms) is None


@pytest.fixture
def _without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "awscrt", None)
    checksums._awscrt.cache_clear()
    yield
    checksums._awscrt.cache_clear()


@pytest.mark.usefixtures("_without_library")
def test_without_the_library_the_next_cheapest_is_chosen_if_there_is_one() -> None:
    assert cheapest({"crc32c", "crc64nvme"}) is None
    chosen = cheapest({"crc32c", "sha1"})
    assert chosen is not None
    assert chosen[0] == "sha1"
