"""PURE: by which road a table gets to be equal to the service, from what stands in the database and what was asked.

First the road to set out on; then, when the service or the database refuses it, the road that remains.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    LayoutError,
    NotReplicatedError,
    OutOfRangeError,
    SnapshotRequiredError,
    UnalterableError,
    UsageError,
)
from dapkit.model import Kind, Table
from dapkit.targets.base import Book, Expiry, Standing, watermark_text

__all__ = [
    "EVENT_TIME",
    "LOGS",
    "REFRESH",
    "Purpose",
    "Refuse",
    "Road",
    "check_age",
    "check_expiry",
    "detour",
    "expiry",
    "gone_by_hand",
    "is_spent",
    "lost",
    "overdue",
    "road",
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


class Purpose(StrEnum):
    """What a command is for."""

    SYNC = "sync"
    """Whatever it takes."""

    INIT = "initdb"
    """Bring tables that are not there."""

    UPDATE = "syncdb"
    """Bring tables that are there up to date."""


class Road(StrEnum):
    """How a table gets there."""

    INITIALISE = "initialise"
    CHANGE = "change"
    REPLACE = "replace"
    REPAIR = "repair"
    """A half-loaded table is filled anew."""

    LEAVE = "leave"
    """Nothing can be new: it is left as it is."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The table is not touched, for this reason."""

    error: DapError


def road(
    purpose: Purpose,
    table: str,
    standing: Standing,
    book: Book | None,
    *,
    fresh_until: datetime | None = None,
    repair: bool = False,
    again: bool = False,
) -> Road | Refuse:
    """Decide how a table sets out.

    Args:
        purpose: what the command is for.
        table: its name.
        standing: what stands where it should be.
        book: its line, if it has one.
        fresh_until: a table whose watermark is not before this time is left as it is.
        repair: whether a table that is not on the books may be one that was half loaded.
        again: whether it was tried before in this run, so that what is on the books may be of our own making.
    """
    error = _obstacle(purpose, table, standing, repair=repair)
    if error is not None:
        return Refuse(error)
    if standing is Standing.UNBOOKED:
        return Road.REPAIR
    if standing in (Standing.ABSENT, Standing.LOST):
        return Road.INITIALISE
    assert book is not None, "what is booked has a line"
    if purpose is Purpose.INIT and again:
        return Road.LEAVE
    if purpose is Purpose.INIT:
        return Refuse(AlreadyReplicatedError(f"Table {table} is in the database already", table=table))
    if fresh_until is not None and book.watermark >= fresh_until:
        return Road.LEAVE
    return Road.CHANGE


def _obstacle(purpose: Purpose, table: str, standing: Standing, *, repair: bool) -> DapError | None:
    """Return why what stands there is not touched; None when it is no obstacle."""
    match standing:
        case Standing.UNBOOKED if not repair:
            message = f"There is a table {table} that is not on the books"
            hint = (
                "If the official client left it half loaded, dap sync --repair fills it anew; else rename or drop it."
            )
            return LayoutError(message, hint=hint, table=table)
        case Standing.OTHER:
            message = f"Where table {table} should be there is a view, or the like"
            hint = "Rename or drop it, and run the same command again."
            return LayoutError(message, hint=hint, table=table)
        case Standing.LOST if purpose is Purpose.UPDATE:
            hint = "`dap sync` or `dap initdb` loads it anew; `dap dropdb` takes it off the books."
            return NotReplicatedError(gone_by_hand(table), hint=hint, table=table)
        case Standing.ABSENT if purpose is Purpose.UPDATE:
            return NotReplicatedError(f"Table {table} is not in the database", table=table)
    return None


def gone_by_hand(table: str) -> str:
    """Say of a table that somebody dropped or renamed what is known of it."""
    return f"Table {table} is on the books, but no longer in the database"


def detour(purpose: Purpose, error: DapError) -> Road | None:
    """Return the road that remains when changes were refused; None when the error is final."""
    if purpose is Purpose.SYNC and isinstance(error, SnapshotRequiredError | OutOfRangeError | UnalterableError):
        return Road.REPLACE
    return None


def is_spent(until: datetime, book: Book, now: datetime) -> bool:
    """Whether an increment brings nothing although there must be news: the service gave an old job once more."""
    return until <= book.watermark and now - until > REFRESH


def overdue(book: Book, now: datetime) -> str | None:
    """Return what is to be said of a table of logs whose age nears what the service keeps; None of any other."""
    if book.namespace != LOGS or now - book.watermark < NEAR:
        return None
    days = (now - book.watermark).days
    return (
        f"{book.table} was last brought up to date {days} days ago. The service keeps logs for {KEPT.days} days;"
        " what is older and was not fetched is lost. Sync them at least weekly."
    )


def lost(book: Book, until: datetime) -> str | None:
    """Return what is to be said of a table of logs that was not brought up to date in time; None of any other.

    Args:
        book: its line as it was before.
        until: the time of what the service had now.
    """
    begin = until - KEPT
    if book.namespace != LOGS or book.watermark >= begin:
        return None
    return (
        f"{book.table} was not brought up to date for more than the {KEPT.days} days that the service keeps logs:"
        f" rows between {watermark_text(book.watermark)} and {watermark_text(begin)} may be lost for good."
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


def expiry(table: Table, watermark: datetime, now: datetime, age: timedelta) -> Expiry | None:
    """Return which rows of a table are older than `age`; None when it does not say how old they are.

    What is gone cannot be fetched again, so the service's time, in the watermark, and ours must both say so: one clock
    that is wrong deletes nothing.
    """
    column = table.column(EVENT_TIME)
    if column is None or column.type.kind is not Kind.DATETIME:
        return None
    return Expiry(column=column.name, before=min(watermark, now) - age)
