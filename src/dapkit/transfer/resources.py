"""What simultaneous downloads share: the session, worker threads, disk space, pauses that the store requested."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from dapkit.client.clock import Clock
from dapkit.client.session import Session
from dapkit.errors import DiskFullError
from dapkit.storage.atomic import disk_errors
from dapkit.transfer.workers import WorkerPool


class DiskSpace:
    """Free space of a disk, less what running downloads have reserved and not written yet.

    Without reservations, several downloads would each see the same free space and fill the disk together.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reserved = 0

    def reserve(self, size: int) -> None:
        """Set bytes aside. Raises DiskFullError if they are not available."""
        with disk_errors(self._folder):
            free = shutil.disk_usage(self._folder).free
        needed = size + self._reserved
        if needed > free:
            raise DiskFullError(f"{self._folder} has {free:,} bytes free, but {needed:,} bytes are needed")
        self._reserved += size

    def release(self, size: int) -> None:
        """Give bytes back that were written, or will not be."""
        self._reserved -= size


@dataclass(slots=True)
class StoreBackoff:
    """The time before which no request may be sent to the object store, because it answered 429."""

    until: float = 0.0

    def extend(self, until: float) -> None:
        """Send nothing before this time. A later time that was set before stays."""
        self.until = max(self.until, until)


@dataclass(slots=True)
class TransferStats:
    """Bytes received over the network, and how many of them had been received before."""

    fetched: int = 0
    refetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadResources:
    """What all downloads of a run share. `retry_timeout` is in seconds."""

    session: Session
    worker_pool: WorkerPool
    disk_space: DiskSpace
    retry_timeout: float = 900.0
    stats: TransferStats = field(default_factory=TransferStats)
    store_backoff: StoreBackoff = field(default_factory=StoreBackoff)

    @property
    def clock(self) -> Clock:
        """The session's clock."""
        return self.session.clock
