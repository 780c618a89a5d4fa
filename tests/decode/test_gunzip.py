import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.decode import gunzip as inflate
from dapkit.decode.gunzip import Inflater, crc32
from dapkit.errors import IntegrityError


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(inflate, "_codec", zlib)
    else:
        pytest.importorskip("isal")


def inflated(data: bytes, step: int = 1 << 20) -> bytes:
    inflater = Inflater()
    blocks = [block for start in range(0, len(data), step) for block in inflater.feed(data[start : start + step])]
    inflater.close()
    assert all(0 < len(block) <= 64 * 1024 for block in blocks)
    return b"".join(blocks)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
def test_members_of_any_size(level: int, step: int) -> None:
    bodies = [b"", b"x", os.urandom(500) * 9, b"ab" * 4000]
    data = b"".join(gzip.compress(body, level) for body in bodies)
    assert inflated(data, step) == b"".join(bodies)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_zeros_after_a_member_are_ignored(step: int) -> None:
    first, second = gzip.compress(b"a"), gzip.compress(b"b")
    assert inflated(first + bytes(100_000), step) == b"a"
    assert inflated(first + bytes(3) + second + bytes(1), step) == b"ab"
    for wrong in (bytes(9), bytes(3) + first, first + bytes(9) + b"x"):
        with pytest.raises(IntegrityError):
            inflated(wrong, step)


def test_large_output_is_split_into_small_blocks() -> None:
    body = b"\0" * 3_000_000 + os.urandom(200_000)
    assert inflated(gzip.compress(body)) == body


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=5), step=st.integers(1, 90))
def test_any_members_in_any_pieces(bodies: list[bytes], step: int) -> None:
    assert inflated(b"".join(map(gzip.compress, bodies)), step) == b"".join(bodies)


@given(body=st.binary(max_size=400), data=st.data())
def test_every_truncation_is_detected(body: bytes, data: st.DataObject) -> None:
    content = gzip.compress(body) + gzip.compress(body)
    first = len(content) // 2
    kept = data.draw(st.integers(0, len(content) - 1).filter(lambda count: count != first))
    with pytest.raises(IntegrityError):
        inflated(content[:kept])


@given(body=st.binary(max_size=400), data=st.data())
def test_a_changed_byte_changes_nothing_or_is_detected(body: bytes, data: st.DataObject) -> None:
    harmed = bytearray(gzip.compress(body))
    place = data.draw(st.integers(0, len(harmed) - 1))
    harmed[place] ^= data.draw(st.integers(1, 255))
    try:
        assert inflated(bytes(harmed)) == body
    except IntegrityError:
        return
    assert 3 <= place <= 9 or place == len(harmed) - 9, "only what the header says for people and padding are free"


@pytest.mark.parametrize("garbage", [b"\x1f", b"\x1f\x8b", b"garbage", b"<html>" * 9])
def test_garbage_after_the_last_member_is_rejected(garbage: bytes) -> None:
    with pytest.raises(IntegrityError):
        inflated(gzip.compress(b"rows") + garbage)


@pytest.mark.parametrize("data", [b"", b"{}\n" * 20, b"<html>", b"PAR1" * 9])
def test_other_data_is_rejected(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        inflated(data)


def test_crc32_equals_zlib() -> None:
    assert crc32(b"world", crc32(b"hello ", 0)) == zlib.crc32(b"hello world")
