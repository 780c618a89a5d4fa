"""A TCP proxy that cuts connections, for tests of a lost connection to a database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.on_a_thread import served


@dataclass(slots=True, kw_only=True)
class CuttingProxy:
    """A running proxy to the port `to` of this machine.

    It resets both sides of a connection when the client has sent more bytes than the connection's limit, or instead of
    forwarding the response to a COMMIT. `limits` are those of the next connections in turn; later ones have none.
    `lost_commit_responses` is how many more responses to COMMIT get lost. `cuts` counts the connections it has reset.
    """

    to: int
    port: int = 0
    limits: list[int] = field(default_factory=list)
    lost_commit_responses: int = 0
    cuts: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the bytes of one connection in both directions, until either side closes it or it is cut."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        connection = _Connection(self, self.limits.pop(0) if self.limits else None)
        directions = [
            asyncio.create_task(connection.to_server(reader, far_writer)),
            asyncio.create_task(connection.to_client(far_reader, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += connection.cut
        finally:  # no await here: the task may be cancelled
            far_writer.transport.abort()
            for direction in directions:
                direction.cancel()


@dataclass(slots=True)
class _Connection:
    proxy: CuttingProxy
    limit: int | None
    cut: bool = False
    lose_response: bool = False

    async def to_server(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Forward what the client sends, until it closes or reaches its limit."""
        sent = 0
        with suppress(ConnectionError):
            while chunk := await source.read(1 << 14):
                sent += len(chunk)
                self.cut = self.limit is not None and sent > self.limit
                if self.cut:
                    return
                if self.proxy.lost_commit_responses and b"COMMIT" in chunk:
                    self.proxy.lost_commit_responses -= 1
                    self.lose_response = True
                target.write(chunk)
                await target.drain()

    async def to_client(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Forward what the server sends, until it closes or a response is to be lost."""
        with suppress(ConnectionError):
            while chunk := await source.read(1 << 14):
                self.cut = self.lose_response
                if self.cut:
                    return
                target.write(chunk)
                await target.drain()


@contextmanager
def cutting_proxy(to: int) -> Iterator[CuttingProxy]:
    """Run a proxy in its own thread until the block ends."""
    proxy = CuttingProxy(to=to)
    with served(proxy.serve) as proxy.port:
        yield proxy
