"""The options of a sync, and the request that a sync carries out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dapkit.config import arguments
from dapkit.export.options import MOST_DOWNLOADS
from dapkit.export.selection import ALIASES
from dapkit.replication.plan import check_age, check_expire_logs
from dapkit.results import SyncCommand
from dapkit.targets.base import LoadOptions, Target

MOST_TABLES = 64
"""Servers usually allow about a hundred connections, for all programs together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How tables are loaded into a database: the options of `dap sync`.

    Attributes:
        exclude: tables or patterns that are left out.
        stage: folder for files that wait to be loaded; `DAP_STAGE` or the user's cache by default.
        load: what to do with values that the database cannot store, and with columns that the schema no longer has.
        if_stale: skip tables updated more recently than this.
        repair: reload tables that the official client left half loaded.
        expire_logs: delete rows of `canvas_logs` older than this, at least 31 days.
        wait: if another command is loading the namespace, wait for it instead of raising LockedError.
        connections: how many tables are loaded at once, as far as the target allows it.
        concurrency: how many files are downloaded at once.

    Raises:
        UsageError: a value is invalid.
    """

    exclude: Sequence[str] = ()
    stage: Path | str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    if_stale: timedelta | None = None
    repair: bool = False
    expire_logs: timedelta | None = None
    wait: bool = False
    connections: int = 4
    concurrency: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", arguments.names("exclude", self.exclude, empty=True))
        arguments.optional(arguments.folder, "stage", self.stage)
        arguments.require("load", self.load, LoadOptions, "LoadOptions")
        arguments.optional(arguments.age, "if_stale", self.if_stale)
        arguments.optional(arguments.age, "expire_logs", self.expire_logs)
        arguments.flag("repair", self.repair)
        arguments.flag("wait", self.wait)
        arguments.number("connections", self.connections, least=1, most=MOST_TABLES, integer=True)
        arguments.number("concurrency", self.concurrency, least=1, most=MOST_DOWNLOADS, integer=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest(SyncOptions):
    """Which tables to load into which database, and how.

    `command` says which actions are allowed. `retry_timeout` is how long to keep retrying temporary failures of the
    service and of the database, in seconds.

    Raises:
        UsageError: `if_stale` or `expire_logs` is out of range.
    """

    command: SyncCommand
    namespace: str
    tables: Sequence[str]
    target: Target
    stage: Path
    retry_timeout: float = 900.0

    def __post_init__(self) -> None:
        SyncOptions.__post_init__(self)  # a class with slots has no super() here
        check_age(self.if_stale)
        check_expire_logs(ALIASES.get(self.namespace, self.namespace), self.expire_logs)
