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
)
from dapkit.targets.base import Book, Standing

__all__ = ["LOGS", "REFRESH", "Purpose", "Refuse", "Road", "detour", "is_spent", "road"]

LOGS = "canvas_logs"
"""The namespace whose rows outlive the service's memory of them."""

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
    match standing:
        case Standing.UNBOOKED if repair:
            return Road.REPAIR
        case Standing.UNBOOKED:
            message = f"There is a table {table} that is not on the books"
            hint = (
                "If the official client left it half loaded, dap sync --repair fills it anew; else rename or drop it."
            )
            return Refuse(LayoutError(message, hint=hint, table=table))
        case Standing.ABSENT:
            if purpose is Purpose.UPDATE:
                return Refuse(NotReplicatedError(f"Table {table} is not in the database", table=table))
            return Road.INITIALISE
    assert book is not None, "what is booked has a line"
    if purpose is Purpose.INIT and again:
        return Road.LEAVE
    if purpose is Purpose.INIT:
        return Refuse(AlreadyReplicatedError(f"Table {table} is in the database already", table=table))
    if fresh_until is not None and book.watermark >= fresh_until:
        return Road.LEAVE
    return Road.CHANGE


def detour(purpose: Purpose, error: DapError) -> Road | None:
    """Return the road that remains when changes were refused; None when the error is final."""
    if purpose is Purpose.SYNC and isinstance(error, SnapshotRequiredError | OutOfRangeError | UnalterableError):
        return Road.REPLACE
    return None


def is_spent(until: datetime, book: Book, now: datetime) -> bool:
    """Whether an increment brings nothing although there must be news: the service gave an old job once more."""
    return until <= book.watermark and now - until > REFRESH
