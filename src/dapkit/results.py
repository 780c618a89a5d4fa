"""What commands are asked to do to a table, and what comes of it: the values that results and events are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dapkit.errors import DapError
from dapkit.model import Query


class SyncCommand(StrEnum):
    """The command that a replication run serves; it decides which actions are allowed."""

    SYNC = "sync"
    """Any action that makes the target equal to the service."""

    INIT = "initdb"
    """Load tables that are not in the target yet."""

    UPDATE = "syncdb"
    """Update tables that are in the target already."""


class SyncAction(StrEnum):
    """How a table of the target is made equal to the service."""

    INITIAL_LOAD = "initial-load"
    INCREMENTAL = "incremental"
    FULL_REFRESH = "full-refresh"
    REPAIR = "repair"
    """Reload a table that the official client left half loaded."""

    SKIP = "skip"
    """Nothing can be new: leave the table as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """One table, whole on disk. `verified_by` names the weakest check that each of its files passed."""

    table: str
    job_id: str
    folder: Path
    files: int
    bytes: int
    rows: int | None
    schema_version: int | None
    at: str | None
    since: str | None
    until: str | None
    verified_by: str
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFailed:
    """A table failed for good in this run; the others go on."""

    table: str
    error: DapError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. `fetched` counts bytes off the network, `refetched` those of them fetched a second time."""

    namespace: str
    query: Query
    output: Path
    done: tuple[TableResult, ...]
    failed: tuple[TableFailed, ...]
    fetched: int
    refetched: int
    seconds: float
    sandbox: bool
    incremental: bool = False
    notices: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStats:
    """What a load did: rows written (new or changed), deleted, deleted for their age; values repaired by column."""

    written: int
    deleted: int = 0
    expired: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDifference:
    """A value that differs: the key, the column, the value in the database and the one in the service."""

    key: tuple[Any, ...]
    column: str
    actual: Any
    expected: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a live table differs from what it should hold: counts, and some keys and values of each kind.

    Attributes:
        rows: how many the live table has.
        compared: of how many rows the values were compared; keys always are.
        missing, extra, repeated: how many keys are missing, too many, there more than once.
        differing: by column, in how many of the compared rows the value differs.
        columns_not_compared: columns that the truth has in a form in which they cannot be compared.
    """

    rows: int
    compared: int
    missing: int
    extra: int
    repeated: int
    differing: Mapping[str, int]
    missing_keys: tuple[tuple[Any, ...], ...] = ()
    extra_keys: tuple[tuple[Any, ...], ...] = ()
    repeated_keys: tuple[tuple[Any, ...], ...] = ()
    values: tuple[ValueDifference, ...] = ()
    columns_not_compared: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.extra or self.repeated or self.differing)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoaded:
    """A table of the database is where the service is: by which road, what was done, and its watermark now."""

    table: str
    action: SyncAction
    counts: LoadStats
    watermark: datetime
    schema_version: int
    seconds: float
