"""Rendered objects, cached in a folder of limited size.

Rendering blocks and runs in threads, once per object however many requests want it at the same time. A reader of an
object holds a lease; the file stays until all leases are released. When the folder exceeds its limit, the least
recently used objects are removed. A request for a removed object renders the same bytes again.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dapkit.sandbox.data.dataset import Part
from dapkit.sandbox.service.checksums import checksum
from dapkit.sandbox.service.temp_folder import TempFolder

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedObject:
    """A rendered object: its file, size in bytes, CRC-32, and the checksum to send with it."""

    path: Path
    size: int
    crc32: int
    checksum: bytes


@dataclass(slots=True, kw_only=True)
class _Entry:
    rendering: "asyncio.Future[CachedObject]"
    leases: int = 0

    @property
    def size(self) -> int:
        """The size of the file, or 0 as long as there is none."""
        done = self.rendering.done() and not self.rendering.cancelled() and not self.rendering.exception()
        return self.rendering.result().size if done else 0


class ObjectCache:
    """Renders objects on demand. All methods belong to one event loop; only rendering happens in other threads.

    Args:
        render: writes a part's object to a path and returns its rows; blocks, and is called from several threads.
        limit: bytes to keep; leased objects may exceed it for a while.
        algorithm: of the checksum that is sent with objects.
        parent: where the cache creates its own folder, which is removed on `close`.
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
        self._folder = TempFolder(parent)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="sandbox-render")
        self._entries: OrderedDict[Part, _Entry] = OrderedDict()
        self._started = 0

    @asynccontextmanager
    async def lease(self, part: Part) -> AsyncIterator[CachedObject]:
        """Yield the object of a part, rendered first if necessary. Raises what rendering raises."""
        entry = self._entries.get(part)
        if entry is None:
            entry = self._start(part)
        self._entries.move_to_end(part)
        # No `await` between looking the entry up and counting the lease: `_trim` cannot remove it in between.
        entry.leases += 1
        try:
            # Shielded, because others may wait for the same rendering when this reader is cancelled.
            yield await asyncio.shield(entry.rendering)
        finally:
            entry.leases -= 1
            self._trim()

    @property
    def size(self) -> int:
        """Bytes of all cached objects."""
        return sum(entry.size for entry in self._entries.values())

    def close(self) -> None:
        """Stop rendering and remove the folder. Blocks until running threads are done."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._entries.clear()
        self._folder.close()

    def _start(self, part: Part) -> _Entry:
        # Each rendering has a new file name: a reader of an earlier file of the same part is not disturbed.
        self._started += 1
        path = self._folder.path / f"object-{self._started:06d}"
        loop = asyncio.get_running_loop()
        entry = _Entry(rendering=loop.run_in_executor(self._threads, self._render_object, part, path))
        self._entries[part] = entry
        entry.rendering.add_done_callback(lambda future: self._drop_failure(part, future))
        return entry

    def _render_object(self, part: Part, path: Path) -> CachedObject:
        self._render(part, path)
        crc32 = int.from_bytes(checksum("crc32", _chunks(path)), "big")
        sent = checksum(self._algorithm, _chunks(path))
        return CachedObject(path=path, size=path.stat().st_size, crc32=crc32, checksum=sent)

    def _drop_failure(self, part: Part, future: "asyncio.Future[CachedObject]") -> None:
        """Drop a failed rendering, so that the next request tries again."""
        if future.cancelled() or future.exception() is not None:
            self._entries.pop(part, None)

    def _trim(self) -> None:
        excess = self.size - self._limit
        for part, entry in list(self._entries.items()):
            if excess <= 0:
                return
            if entry.leases == 0 and entry.rendering.done():
                excess -= entry.size
                del self._entries[part]
                entry.rendering.result().path.unlink(missing_ok=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
