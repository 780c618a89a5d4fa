"""A TCP proxy that cuts connections: what tests of a lost link to a database stand on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.on_a_thread import served


@dataclass(slots=True, kw_only=True)
class CuttingProxy:
    """A running proxy to a port of this machine.

    `limit` is how many bytes a connection may send before both its sides are reset; None is no limit. `cuts` counts
    those that were.
    """

    to: int
    port: int = 0
    limit: int | None = None
    cuts: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the bytes of one connection both ways, until either side ends it or its limit is reached."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        back = asyncio.create_task(_carry(far_reader, writer))
        try:
            if await _carry(reader, far_writer, self.limit):
                self.cuts += 1
                writer.transport.abort()
                far_writer.transport.abort()
            await back
        finally:
            back.cancel()
            far_writer.transport.abort()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, limit: int | None = None) -> bool:
    """Carry bytes until the source ends; return whether a limit was reached before that."""
    carried = 0
    try:
        while chunk := await source.read(1 << 14):
            carried += len(chunk)
            if limit is not None and carried > limit:
                return True
            target.write(chunk)
            await target.drain()
    except ConnectionError:
        pass
    target.close()
    return False


@contextmanager
def cutting_proxy(to: int) -> Iterator[CuttingProxy]:
    """Serve a proxy on a thread of its own until the block ends."""
    proxy = CuttingProxy(to=to)
    with served(proxy.serve) as proxy.port:
        yield proxy
