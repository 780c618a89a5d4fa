"""A TCP proxy that cuts connections: what tests of a lost link to a database stand on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.on_a_thread import served


@dataclass(slots=True, kw_only=True)
class CuttingProxy:
    """A running proxy to a port of this machine.

    Both sides of a connection are reset when it sent more bytes than its limit, or when an answer to COMMIT comes that
    is to be lost. `limits` are those of the next connections, one after another; later ones have none. `lost_answers`
    is how many more answers to COMMIT are lost. `cuts` counts the connections that were reset.
    """

    to: int
    port: int = 0
    limits: list[int] = field(default_factory=list)
    lost_answers: int = 0
    cuts: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the bytes of one connection both ways, until either side ends it or it is cut."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        link = _Link(self, self.limits.pop(0) if self.limits else None)
        ways = [
            asyncio.create_task(link.there(reader, far_writer)),
            asyncio.create_task(link.back(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += link.cut
        finally:  # without waiting for anything, since whoever waits may be cancelled
            far_writer.transport.abort()
            for way in ways:
                way.cancel()


@dataclass(slots=True)
class _Link:
    proxy: CuttingProxy
    limit: int | None
    cut: bool = False
    deaf: bool = False

    async def there(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carry what the client sends, until it ends or its limit is reached."""
        carried = 0
        with suppress(ConnectionError):
            while chunk := await source.read(1 << 14):
                carried += len(chunk)
                self.cut = self.limit is not None and carried > self.limit
                if self.cut:
                    return
                if self.proxy.lost_answers and b"COMMIT" in chunk:
                    self.proxy.lost_answers -= 1
                    self.deaf = True
                target.write(chunk)
                await target.drain()

    async def back(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carry what the server answers, until it ends or an answer is to be lost."""
        with suppress(ConnectionError):
            while chunk := await source.read(1 << 14):
                self.cut = self.deaf
                if self.cut:
                    return
                target.write(chunk)
                await target.drain()


@contextmanager
def cutting_proxy(to: int) -> Iterator[CuttingProxy]:
    """Serve a proxy on a thread of its own until the block ends."""
    proxy = CuttingProxy(to=to)
    with served(proxy.serve) as proxy.port:
        yield proxy
