"""The cache renders an object once, leases it, and removes it when space is needed."""

import asyncio
import threading
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dapkit.sandbox.data.dataset import DataQuery, Part
from dapkit.sandbox.service.object_cache import ObjectCache

QUERY = DataQuery(namespace="canvas", table="users", format="csv", until_ms=0)


def part(index: int) -> Part:
    return Part(query=QUERY, ranges=((index, 100),))


class Writer:
    """Writes a part as 100 bytes as soon as the gate is open, and records the parts."""

    def __init__(self) -> None:
        self.rendered: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def __call__(self, part: Part, path: Path) -> int:
        self.rendered.append(part.ranges[0][0])
        assert self.gate.wait(10)
        if self.fails:
            raise RuntimeError("disk failure")
        path.write_bytes(bytes([part.ranges[0][0]]) * 100)
        return 7


def play(
    writer: Writer, scenario: Callable[[ObjectCache], Awaitable[None]], *, limit: int = 1000, parent: Path
) -> None:
    async def main() -> None:
        cache = ObjectCache(writer, limit=limit, parent=parent)
        try:
            await scenario(cache)
        finally:
            writer.gate.set()
            cache.close()
            await asyncio.sleep(0)
        assert list(parent.iterdir()) == []

    asyncio.run(main())


def test_an_object_is_described_and_rendered_once(tmp_path: Path) -> None:
    writer = Writer()

    async def scenario(cache: ObjectCache) -> None:
        for _ in range(3):
            async with cache.lease(part(1)) as item:
                assert item.path.read_bytes() == b"\x01" * 100
                assert (item.size, item.crc32) == (100, zlib.crc32(b"\x01" * 100))
                assert item.checksum == item.crc32.to_bytes(4, "big")

    play(writer, scenario, parent=tmp_path)
    assert writer.rendered == [1]


def test_concurrent_requests_share_one_rendering(tmp_path: Path) -> None:
    writer = Writer()
    writer.gate.clear()

    async def scenario(cache: ObjectCache) -> None:
        async def read() -> bytes:
            async with cache.lease(part(2)) as item:
                return item.path.read_bytes()

        readers = [asyncio.create_task(read()) for _ in range(5)]
        await asyncio.sleep(0)
        readers[0].cancel()
        await asyncio.sleep(0)
        writer.gate.set()
        assert await asyncio.gather(*readers[1:]) == [b"\x02" * 100] * 4

    play(writer, scenario, parent=tmp_path)
    assert writer.rendered == [2]


def test_the_least_recently_used_object_is_removed_first(tmp_path: Path) -> None:
    writer = Writer()

    async def scenario(cache: ObjectCache) -> None:
        for index in (1, 2, 1, 3):
            async with cache.lease(part(index)):
                pass
        assert cache.size == 200
        async with cache.lease(part(1)), cache.lease(part(3)):
            assert writer.rendered == [1, 2, 3]
        async with cache.lease(part(2)):
            assert writer.rendered == [1, 2, 3, 2]

    play(writer, scenario, limit=200, parent=tmp_path)


def test_a_leased_object_stays(tmp_path: Path) -> None:
    async def scenario(cache: ObjectCache) -> None:
        async with cache.lease(part(1)) as first:
            async with cache.lease(part(2)) as second:
                pass
            assert first.path.exists()
            assert not second.path.exists()
        assert not first.path.exists()

    play(Writer(), scenario, limit=50, parent=tmp_path)


def test_a_failed_rendering_is_raised_and_not_cached(tmp_path: Path) -> None:
    writer = Writer()
    writer.fails = True

    async def scenario(cache: ObjectCache) -> None:
        with pytest.raises(RuntimeError, match="disk"):
            async with cache.lease(part(1)):
                pass
        await asyncio.sleep(0)
        writer.fails = False
        async with cache.lease(part(1)) as item:
            assert item.size == 100

    play(writer, scenario, parent=tmp_path)
    assert writer.rendered == [1, 1]
