"""PURE: what to do with a table: load it, update it, reload it, skip it or reject it.

`plan_action` decides from the command and from what is in the database. If the service or the database then rejects the
action, `fallback` returns the one that remains.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    IncompatibleLayoutError,
    NotReplicatedError,
    OutOfRangeError,
    SchemaChangeNotSupportedError,
    SnapshotRequiredError,
    UsageError,
)
from dapkit.model import Table, TypeKind, format_utc
from dapkit.protocol.namespaces import LOGS
from dapkit.results import SyncAction, SyncCommand
from dapkit.targets.base import RetentionCutoff, SyncState, TableStatus

LOG_RETENTION = timedelta(days=30)
"""How long the service keeps rows of the namespace `LOGS`; a database keeps them longer."""

WARNING_AGE = timedelta(days=21)
"""Age from which a log table is reported: if runs fail for another week, rows begin to be lost."""

EVENT_TIME_COLUMN = "timestamp"
"""The column of a log table that contains the time of the event."""

MAX_AGE = timedelta(days=365_000)
"""Longer than any data is old, and short enough to be subtracted from a date."""

REFRESH_INTERVAL = timedelta(hours=4)
"""The service's data is at most this old. Data that is older comes from an old job."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The table must not be changed, for this reason."""

    error: DapError


def plan_action(
    command: SyncCommand,
    table: str,
    status: TableStatus,
    state: SyncState | None,
    *,
    skip_from: datetime | None = None,
    repair: bool = False,
    retried: bool = False,
) -> SyncAction | Rejected:
    """Decide what to do with a table.

    Args:
        command: the command that runs.
        table: the table's name.
        status: what is in the database under this name.
        state: the table's sync state, if it has one.
        skip_from: skip the table if its watermark is at this time or later.
        repair: whether an unmanaged table may be one that the official client left half loaded.
        retried: whether this run has tried the table before, so that the sync state may be its own.
    """
    error = _rejection_reason(command, table, status, repair=repair)
    if error is not None:
        return Rejected(error)
    if status is TableStatus.UNMANAGED:
        return SyncAction.REPAIR
    if status in (TableStatus.ABSENT, TableStatus.DROPPED):
        return SyncAction.INITIAL_LOAD
    assert state is not None, "a managed table has a sync state"
    if command is SyncCommand.INIT:
        # The commit of the first try may have succeeded although its response was lost: then the table is done.
        if retried:
            return SyncAction.SKIP
        return Rejected(AlreadyReplicatedError(f"Table {table} is already in the database", table=table))
    if skip_from is not None and state.watermark >= skip_from:
        return SyncAction.SKIP
    return SyncAction.INCREMENTAL


def _rejection_reason(command: SyncCommand, table: str, status: TableStatus, *, repair: bool) -> DapError | None:
    """Return why the table must not be changed; None if nothing prevents it."""
    match status:
        case TableStatus.UNMANAGED if not repair:
            message = f"Table {table} exists but is not managed by dapkit"
            hint = (
                "If the official client left it half loaded, use `dap sync --repair` to reload it. Otherwise rename it."
            )
            return IncompatibleLayoutError(message, hint=hint, table=table)
        case TableStatus.NOT_A_TABLE:
            return not_a_table_error(table)
        case TableStatus.DROPPED if command is SyncCommand.UPDATE:
            hint = "Use `dap sync` or `dap initdb` to load it again, or `dap dropdb` to remove its sync state."
            return NotReplicatedError(dropped_table_message(table), hint=hint, table=table)
        case TableStatus.ABSENT if command is SyncCommand.UPDATE:
            return NotReplicatedError(f"Table {table} is not in the database", table=table)
    return None


def not_a_table_error(table: str) -> DapError:
    """Return the error for a view or another object under the name of a table: it belongs to the user."""
    hint = "Rename or drop it yourself, then run the same command again; nothing was changed."
    return IncompatibleLayoutError(f"{table} exists but is not a table", hint=hint, table=table)


def dropped_table_message(table: str) -> str:
    """Return the message for a table that was dropped or renamed while it was managed."""
    return f"Table {table} has a sync state, but is no longer in the database"


def fallback(command: SyncCommand, error: DapError) -> SyncAction | None:
    """Return what to do when an increment was rejected; None if the error is final."""
    if command is SyncCommand.SYNC and isinstance(
        error, SnapshotRequiredError | OutOfRangeError | SchemaChangeNotSupportedError
    ):
        return SyncAction.FULL_REFRESH
    return None


def is_stale_job(until: datetime, state: SyncState, now: datetime) -> bool:
    """Whether the service returned an old job for an increment, although there must be newer data."""
    return until <= state.watermark and now - until > REFRESH_INTERVAL


def staleness_warning(state: SyncState, now: datetime) -> str | None:
    """Return a warning if a log table has not been updated for long; None otherwise."""
    if state.namespace != LOGS or now - state.watermark < WARNING_AGE:
        return None
    days = (now - state.watermark).days
    return (
        f"{state.table} was last updated {days} days ago. The service keeps logs for {LOG_RETENTION.days} days;"
        " older rows that were not downloaded are lost. Sync them at least weekly."
    )


def data_loss_warning(state: SyncState, until: datetime) -> str | None:
    """Return a warning if a log table was updated too late, so that rows are missing; None otherwise.

    Args:
        state: its sync state before the update.
        until: the watermark of the update.
    """
    earliest = until - LOG_RETENTION
    if state.namespace != LOGS or state.watermark >= earliest:
        return None
    return (
        f"{state.table} was not updated within the {LOG_RETENTION.days} days for which the service keeps logs:"
        f" rows between {format_utc(state.watermark)} and {format_utc(earliest)} may be lost permanently."
    )


def check_age(age: timedelta | None) -> None:
    """Raise UsageError if an age is too long to be subtracted from a date."""
    if age is not None and age > MAX_AGE:
        raise UsageError(f"A duration of {age.days:,} days is too long", hint="Use a shorter one, such as 400d.")


def check_expire_logs(namespace: str, age: timedelta | None) -> None:
    """Raise UsageError unless rows of this age may be deleted in the namespace."""
    check_age(age)
    if age is None:
        return
    if namespace != LOGS:
        raise UsageError(f"Only rows of {LOGS} can expire, not those of {namespace}", hint="Omit --expire-logs.")
    if age < LOG_RETENTION + timedelta(days=1):
        # Rows that the service still has would come back with the next full refresh.
        message = f"The service keeps logs for {LOG_RETENTION.days} days, so younger rows cannot expire"
        raise UsageError(message, hint=f"Set --expire-logs to at least {LOG_RETENTION.days + 1}d.")


def retention_cutoff(table: Table, watermark: datetime, now: datetime, age: timedelta) -> RetentionCutoff | None:
    """Return which rows of a table are older than `age`; None if it has no time of the event."""
    column = table.column(EVENT_TIME_COLUMN)
    if column is None or column.type.kind is not TypeKind.DATETIME:
        return None
    # Deleted rows cannot be downloaded again. So both the service's clock (the watermark) and ours must agree that they
    # are old: a single wrong clock deletes nothing.
    return RetentionCutoff(column=column.name, before=min(watermark, now) - age)
