"""The options of `initdb`, `syncdb`, `sync` and `reconcile`."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dapkit.export.selection import ALIASES
from dapkit.replication.plan import check_age, check_expire_logs
from dapkit.results import SyncCommand
from dapkit.targets.base import LoadOptions, Target

__all__ = ["ReplicateOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateOptions:
    """What to load into which database, and how.

    Attributes:
        command: decides which actions are allowed.
        namespace, tables, exclude: as in `ExportOptions`.
        target: the database.
        stage: the folder under which downloads are staged.
        load: how tables are loaded.
        if_stale: skip tables updated more recently than this.
        repair: reload tables that the official client left half loaded.
        expire_logs: delete log rows older than this; without it, they are kept forever.
        wait: wait for another command that does the same instead of raising LockedError.
        connections: how many tables are loaded at the same time, if the target allows it.
        concurrency: of downloads, as in `ExportOptions`.
        retry_timeout: how long to retry temporary failures of the service and of the database, in seconds.

    Raises:
        UsageError: an age is invalid.
    """

    command: SyncCommand
    namespace: str
    tables: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    target: Target
    stage: Path
    load: LoadOptions = field(default_factory=LoadOptions)
    if_stale: timedelta | None = None
    repair: bool = False
    expire_logs: timedelta | None = None
    wait: bool = False
    connections: int = 4
    concurrency: int = 8
    retry_timeout: float = 900.0

    def __post_init__(self) -> None:
        check_age(self.if_stale)
        check_expire_logs(ALIASES.get(self.namespace, self.namespace), self.expire_logs)
