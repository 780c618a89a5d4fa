"""Objects that have been rendered, kept in a folder of bounded size.

Rendering is blocking work and runs in threads, each object once however many ask for it at the same time.
Whoever reads an object holds a lease, during which its file stays. When the folder grows beyond its limit,
the objects that were used longest ago go; asking for one again renders the same bytes again.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dapkit.sandbox.data.dataset import Part
from dapkit.sandbox.service.checksums import checksum
from dapkit.sandbox.service.temp_folder import ScratchFolder

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledObject:
    """A rendered object: its file, size in bytes, rows, CRC-32, and the checksum that is sent with it."""

    path: Path
    size: int
    rows: int
    crc32: int
    checksum: bytes


@dataclass(slots=True, kw_only=True)
class _Entry:
    rendering: "asyncio.Future[SpooledObject]"
    leases: int = field(default=0)


class Spool:
    """Renders objects on demand and lends them out.

    Args:
        render: blocking and safe in threads; writes a part's object to a path and returns its rows.
        limit: bytes to keep; objects on loan may exceed it for a while.
        algorithm: of the checksum that is sent with objects.
        parent: where the spool makes its own folder, which goes when it closes.
    """

    def __init__(
        self,
        render: Callable[[Part, Path], int],
        *,
        limit: int = 2 << 30,
        algorithm: str = "crc32",
        parent: Path | None = None,
    ) -> None:
        self._render = render
        self._algorithm = algorithm
        self._limit = limit
        self._folder = ScratchFolder(parent)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="sandbox-render")
        self._entries: OrderedDict[Part, _Entry] = OrderedDict()
        self._made = 0

    @asynccontextmanager
    async def lease(self, part: Part) -> AsyncIterator[SpooledObject]:
        """Lend the object of a part, rendering it first if need be. What rendering raises is raised here."""
        entry = self._entries.get(part)
        if entry is None:
            entry = self._begin(part)
        self._entries.move_to_end(part)
        entry.leases += 1
        try:
            # Shielded: whoever else waits for the object must not lose it because this reader went away.
            yield await asyncio.shield(entry.rendering)
        finally:
            entry.leases -= 1
            self._trim()

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return sum(_size(entry) for entry in self._entries.values())

    def close(self) -> None:
        """Stop rendering and remove the folder."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._entries.clear()
        self._folder.close()

    def _begin(self, part: Part) -> _Entry:
        self._made += 1
        path = self._folder.path / f"object-{self._made:06d}"
        loop = asyncio.get_running_loop()
        entry = _Entry(rendering=loop.run_in_executor(self._threads, self._make, part, path))
        self._entries[part] = entry
        entry.rendering.add_done_callback(lambda future: self._forget_failure(part, future))
        return entry

    def _make(self, part: Part, path: Path) -> SpooledObject:
        rows = self._render(part, path)
        crc32 = int.from_bytes(checksum("crc32", _chunks(path)), "big")
        sent = checksum(self._algorithm, _chunks(path))
        return SpooledObject(path=path, size=path.stat().st_size, rows=rows, crc32=crc32, checksum=sent)

    def _forget_failure(self, part: Part, future: "asyncio.Future[SpooledObject]") -> None:
        if future.cancelled() or future.exception() is not None:
            self._entries.pop(part, None)

    def _trim(self) -> None:
        excess = self.size - self._limit
        for part, entry in list(self._entries.items()):
            if excess <= 0:
                return
            if entry.leases == 0 and entry.rendering.done():
                excess -= _size(entry)
                del self._entries[part]
                entry.rendering.result().path.unlink(missing_ok=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _size(entry: _Entry) -> int:
    done = entry.rendering.done() and not entry.rendering.cancelled() and not entry.rendering.exception()
    return entry.rendering.result().size if done else 0
