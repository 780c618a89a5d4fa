"""A CONNECT proxy that also resolves a host name that no other server knows, for tests of proxies."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.on_a_thread import served


@dataclass(slots=True, kw_only=True)
class ConnectProxy:
    """A running proxy, and what was requested from it.

    It connects to this machine, for any requested host. `status` is its response; all but 200 are rejections.
    `targets` are the requested hosts with their ports, `headers` the names of the headers received.
    """

    port: int = 0
    status: int = 200
    targets: list[str] = field(default_factory=list)
    headers: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The URL for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to one CONNECT, and forward bytes in both directions until either side closes."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.targets.append(target)
        self.headers |= {line.partition(":")[0].lower() for line in head.splitlines()[1:]}
        if method != "CONNECT" or self.status != 200:
            writer.write(f"HTTP/1.1 {self.status} Refused\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_forward(reader, far_writer), _forward(far_reader, writer))


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
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
    """Run a proxy in its own thread until the block ends."""
    proxy = ConnectProxy(status=status)
    with served(proxy.serve) as proxy.port:
        yield proxy
