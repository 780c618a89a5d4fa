"""PURE: by which road a table gets to be equal to the service, from what stands in the database and what was asked.

First the road to set out on; then, when the service or the database refuses it, the road that remains.
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
from dapkit.model import Table, TypeKind
from dapkit.results import SyncAction, SyncCommand
from dapkit.targets.base import RetentionCutoff, SyncState, TableStatus, watermark_text

__all__ = [
    "EVENT_TIME",
    "LOGS",
    "REFRESH",
    "Rejected",
    "check_age",
    "check_expiry",
    "data_loss_warning",
    "dropped_manually",
    "expiry",
    "fallback",
    "is_stale_job",
    "plan_action",
    "staleness_warning",
]

LOGS = "canvas_logs"
"""The namespace whose rows outlive the service's memory of them."""

KEPT = timedelta(days=30)
"""How long the service keeps rows of logs."""

NEAR = timedelta(days=21)
"""The age from which on a table of logs is in danger: a week of failing runs, and rows begin to be lost."""

EVENT_TIME = "timestamp"
"""The column that says when a logged event was."""

LONGEST = timedelta(days=365_000)
"""The longest age: longer than any data's, and short enough to be subtracted from a date."""

REFRESH = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The table is not touched, for this reason."""

    error: DapError


def plan_action(
    command: SyncCommand,
    table: str,
    status: TableStatus,
    state: SyncState | None,
    *,
    fresh_until: datetime | None = None,
    repair: bool = False,
    again: bool = False,
) -> SyncAction | Rejected:
    """Decide how a table sets out.

    Args:
        command: what the command is for.
        table: its name.
        status: what stands where it should be.
        state: its line, if it has one.
        fresh_until: a table whose watermark is not before this time is left as it is.
        repair: whether a table that is not on the books may be one that was half loaded.
        again: whether it was tried before in this run, so that what is on the books may be of our own making.
    """
    error = _obstacle(command, table, status, repair=repair)
    if error is not None:
        return Rejected(error)
    if status is TableStatus.UNMANAGED:
        return SyncAction.REPAIR
    if status in (TableStatus.ABSENT, TableStatus.DROPPED):
        return SyncAction.INITIAL_LOAD
    assert state is not None, "what is booked has a line"
    if command is SyncCommand.INIT and again:
        return SyncAction.SKIP
    if command is SyncCommand.INIT:
        return Rejected(AlreadyReplicatedError(f"Table {table} is in the database already", table=table))
    if fresh_until is not None and state.watermark >= fresh_until:
        return SyncAction.SKIP
    return SyncAction.INCREMENTAL


def _obstacle(command: SyncCommand, table: str, status: TableStatus, *, repair: bool) -> DapError | None:
    """Return why what stands there is not touched; None when it is no obstacle."""
    match status:
        case TableStatus.UNMANAGED if not repair:
            message = f"There is a table {table} that is not on the books"
            hint = (
                "If the official client left it half loaded, dap sync --repair fills it anew; else rename or drop it."
            )
            return IncompatibleLayoutError(message, hint=hint, table=table)
        case TableStatus.NOT_A_TABLE:
            message = f"Where table {table} should be there is a view, or the like"
            hint = "Rename or drop it, and run the same command again."
            return IncompatibleLayoutError(message, hint=hint, table=table)
        case TableStatus.DROPPED if command is SyncCommand.UPDATE:
            hint = "`dap sync` or `dap initdb` loads it anew; `dap dropdb` takes it off the books."
            return NotReplicatedError(dropped_manually(table), hint=hint, table=table)
        case TableStatus.ABSENT if command is SyncCommand.UPDATE:
            return NotReplicatedError(f"Table {table} is not in the database", table=table)
    return None


def dropped_manually(table: str) -> str:
    """Say of a table that somebody dropped or renamed what is known of it."""
    return f"Table {table} is on the books, but no longer in the database"


def fallback(command: SyncCommand, error: DapError) -> SyncAction | None:
    """Return the road that remains when changes were refused; None when the error is final."""
    if command is SyncCommand.SYNC and isinstance(
        error, SnapshotRequiredError | OutOfRangeError | SchemaChangeNotSupportedError
    ):
        return SyncAction.FULL_REFRESH
    return None


def is_stale_job(until: datetime, state: SyncState, now: datetime) -> bool:
    """Whether an increment brings nothing although there must be news: the service gave an old job once more."""
    return until <= state.watermark and now - until > REFRESH


def staleness_warning(state: SyncState, now: datetime) -> str | None:
    """Return what is to be said of a table of logs whose age nears what the service keeps; None of any other."""
    if state.namespace != LOGS or now - state.watermark < NEAR:
        return None
    days = (now - state.watermark).days
    return (
        f"{state.table} was last brought up to date {days} days ago. The service keeps logs for {KEPT.days} days;"
        " what is older and was not fetched is lost. Sync them at least weekly."
    )


def data_loss_warning(state: SyncState, until: datetime) -> str | None:
    """Return what is to be said of a table of logs that was not brought up to date in time; None of any other.

    Args:
        state: its line as it was before.
        until: the time of what the service had now.
    """
    begin = until - KEPT
    if state.namespace != LOGS or state.watermark >= begin:
        return None
    return (
        f"{state.table} was not brought up to date for more than the {KEPT.days} days that the service keeps logs:"
        f" rows between {watermark_text(state.watermark)} and {watermark_text(begin)} may be lost for good."
    )


def check_age(age: timedelta | None) -> None:
    """Raise UsageError when an age is longer than anything can be old."""
    if age is not None and age > LONGEST:
        raise UsageError(f"An age of {age.days:,} days is too long", hint="Write it in days, such as 400d.")


def check_expiry(namespace: str, age: timedelta | None) -> None:
    """Raise UsageError unless rows of this age may be deleted in the namespace."""
    check_age(age)
    if age is None:
        return
    if namespace != LOGS:
        raise UsageError(f"Only rows of {LOGS} expire, not those of {namespace}", hint="Leave --expire-logs out.")
    if age < KEPT + timedelta(days=1):
        message = f"The service keeps logs for {KEPT.days} days, and would bring again what expires earlier"
        raise UsageError(message, hint=f"Give --expire-logs at least {KEPT.days + 1}d.")


def expiry(table: Table, watermark: datetime, now: datetime, age: timedelta) -> RetentionCutoff | None:
    """Return which rows of a table are older than `age`; None when it does not say how old they are.

    What is gone cannot be fetched again, so the service's time, in the watermark, and ours must both say so: one clock
    that is wrong deletes nothing.
    """
    column = table.column(EVENT_TIME)
    if column is None or column.type.kind is not TypeKind.DATETIME:
        return None
    return RetentionCutoff(column=column.name, before=min(watermark, now) - age)
