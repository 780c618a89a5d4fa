"""What commands do with tables, and the results: values that reports, events and the library share."""

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
    """Any action that makes the target match the service."""

    INIT = "initdb"
    """Load tables that are not in the target yet."""

    UPDATE = "syncdb"
    """Update tables that are in the target already."""


class SyncAction(StrEnum):
    """How a table of the target is updated to match the service."""

    INITIAL_LOAD = "initial-load"
    INCREMENTAL = "incremental"
    FULL_REFRESH = "full-refresh"
    REPAIR = "repair"
    """Reload a table that the official client left half loaded."""

    SKIP = "skip"
    """There cannot be new data: leave the table as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """A table that is complete on disk. `verified_by` names the checks that every file passed."""

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
    """A table that failed for good in this run; the others continue."""

    table: str
    error: DapError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. `fetched`: bytes received over the network; `refetched`: those received a second time."""

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
    """What a load did: rows inserted or updated, deleted, deleted because of age; values repaired by column."""

    written: int
    deleted: int = 0
    expired: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDifference:
    """A value that differs: `actual` in the database, `expected` from the service."""

    key: tuple[Any, ...]
    column: str
    actual: Any
    expected: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a table in a database differs from the service: counts, and examples of each kind.

    Attributes:
        rows: rows in the database.
        compared: rows whose values were compared; keys are always compared.
        missing, extra, repeated: keys that are only in the service, only in the database, in the database repeatedly.
        differing: by column, the number of compared rows whose value differs.
        missing_keys, extra_keys, repeated_keys, values: examples.
        columns_not_compared: columns that were not compared, because the service no longer has them in this form.
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
        """Whether no difference was found."""
        return not (self.missing or self.extra or self.repeated or self.differing)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoaded:
    """A table in a database that is up to date: what was done, and its watermark now."""

    table: str
    action: SyncAction
    counts: LoadStats
    watermark: datetime
    schema_version: int
    seconds: float
