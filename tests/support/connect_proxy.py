"""A proxy that knows CONNECT and finds hosts that nobody else knows: what tests of proxies stand on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.on_a_thread import served


@dataclass(slots=True, kw_only=True)
class ConnectProxy:
    """A running proxy, and what it was asked for.

    Every host is led to this machine. `status` is what it answers; anything but 200 is a refusal.
    """

    port: int = 0
    status: int = 200
    wanted: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its address for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one CONNECT, and carry bytes both ways until either side ends."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.wanted.append(target)
        self.shown |= {line.partition(":")[0].lower() for line in head.splitlines()[1:]}
        if method != "CONNECT" or self.status != 200:
            writer.write(f"HTTP/1.1 {self.status} Refused\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    except ConnectionError:
        return
    finally:
        target.close()


@contextmanager
def connect_proxy(status: int = 200) -> Iterator[ConnectProxy]:
    """Serve a proxy on a thread of its own until the block ends."""
    proxy = ConnectProxy(status=status)
    with served(proxy.serve) as proxy.port:
        yield proxy
