"""What commands do with tables, and the results: values that reports, events and the library share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from dapkit.errors import DapError
from dapkit.failures import TableFailed as TableFailed  # noqa: PLC0414, it is part of every result
from dapkit.failures import error_of
from dapkit.formatting import html_table


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
    """A table that is complete on disk.

    Attributes:
        table: its name.
        job_id: the service's job.
        folder: the folder of the job.
        files: its files, in the order of the service.
        bytes: their size.
        rows: their number of rows; None if they could not be counted.
        schema_version: the version of the table's schema that they follow.
        watermark: where the next increment starts, as the service wrote it. Pass this text as `since`.
        at: the time that a snapshot shows (UTC).
        since: the start of an increment (UTC).
        until: the end of an increment (UTC).
        verified_by: the checks that every file passed, joined by `+`.
        reused: whether all files had already been downloaded.
    """

    table: str
    job_id: str
    folder: Path
    files: tuple[Path, ...]
    bytes: int
    rows: int | None
    schema_version: int | None
    watermark: str
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    verified_by: str
    reused: bool


Display = tuple[str, Sequence[str], Iterable[Sequence[object]]]
"""What notebooks show of a result: a title, headings, and rows."""


class TablesResult:
    """What the results of all calls for several tables have in common: which are done, and which failed."""

    __slots__ = ()
    done: Sequence[object]
    failed: tuple[TableFailed, ...]

    @property
    def error(self) -> DapError | None:
        """The error that the command ends with: the tables' own if all failed alike, else PartialFailureError."""
        return error_of(len(self.done), self.failed)

    def raise_for_failed(self) -> None:
        """Raise `error` if a table failed."""
        if self.error is not None:
            raise self.error

    def _display(self) -> Display:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show, and one of the tables that failed."""
        shown = html_table(*self._display())
        if not self.failed:
            return shown
        errors = [(each.table, each.error.code, each.error.message, each.error.hint) for each in self.failed]
        return shown + html_table("Failed", ("table", "error", "message", "what to do"), errors)


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
        missing: keys that are only in the service.
        extra: keys that are only in the database.
        repeated: keys that are in the database more than once.
        differing: by column, the number of compared rows whose value differs.
        missing_keys: examples of missing keys.
        extra_keys: examples of extra keys.
        repeated_keys: examples of repeated keys.
        values: examples of values that differ.
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
    """A table in a database that is up to date: what was done, and its watermark now.

    `younger_than` is the age below which the table was skipped; None if the service was asked.
    """

    table: str
    action: SyncAction
    counts: LoadStats
    watermark: datetime
    schema_version: int
    seconds: float
    younger_than: timedelta | None = None
