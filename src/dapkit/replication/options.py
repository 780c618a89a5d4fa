"""What is wanted of a database: the options of `initdb`, `syncdb`, `sync` and `reconcile`."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dapkit.export.selection import ALIASES
from dapkit.replication.plan import check_age, check_expiry
from dapkit.results import SyncCommand
from dapkit.targets.base import LoadOptions, Target

__all__ = ["ReplicateOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateOptions:
    """What is wanted of a database.

    Attributes:
        command: which roads may be taken.
        namespace, tables, exclude: as `ExportOptions` has them.
        target: the database.
        stage: the folder under which files are kept on their way.
        load: how tables are loaded.
        if_stale: leave tables that are younger than this.
        repair: fill tables anew that the official client left half loaded.
        expire_logs: delete rows of logs that are older than this, which no other option does.
        wait: wait for another command that does the same, instead of ending with LockedError.
        connections: how many tables are loaded at once, as far as the target takes them.
        concurrency: of downloads, as `ExportOptions` has it.
        retry_timeout: how long failures of the service, and of the database, are borne, in seconds.
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
        check_expiry(ALIASES.get(self.namespace, self.namespace), self.expire_logs)
