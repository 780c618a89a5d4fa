"""PURE: the start and the end of an increment, as people and programs give them.

The command accepts texts; a time without a zone is local time there, as in the official client. The library accepts
aware datetimes and texts with a zone, because a program that runs on two machines must mean the same time on both.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from dapkit.errors import UsageError
from dapkit.model import format_utc

TIME_HINT = "Use ISO 8601, for example 2026-09-01T00:00:00Z."
ZONE_HINT = "Use an aware datetime, such as datetime(2026, 9, 1, tzinfo=UTC), or a text with a zone."


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTime:
    """A point in time: the text to send to the service, and whether its time zone had to be assumed."""

    text: str
    utc: datetime
    assumed_local: bool


def parse_time(text: str, *, zone: tzinfo | None = None) -> ParsedTime | None:
    """Read an ISO 8601 date or date-time; return None if the text is neither.

    A time in UTC in the service's own notation is passed on unchanged, so that watermarks are sent back exactly. A time
    without a zone is taken in `zone`, or in the machine's own as in the official client.

    Raises:
        UsageError: the time has no equivalent in UTC (on the first and last day of the calendar).
    """
    stripped = text.strip()
    try:
        value = datetime.fromisoformat(stripped)
    except ValueError:
        return None
    assumed_local = value.tzinfo is None
    try:
        utc = (value.replace(tzinfo=zone) if assumed_local and zone else value).astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        raise UsageError(f"The time {stripped} is out of range") from None
    verbatim = not assumed_local and stripped.endswith(("Z", "+00:00")) and stripped[10:11] == "T"
    return ParsedTime(text=stripped if verbatim else format_utc(utc), utc=utc, assumed_local=assumed_local)


def time_argument(name: str, value: object) -> ParsedTime:
    """Read a time that a program passes as the argument `name`.

    Raises:
        UsageError: it is neither an aware datetime nor a text that is a time with a zone.
    """
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise UsageError(f"{name} has no time zone: {value.isoformat()}", hint=ZONE_HINT)
        value = value.isoformat().replace("+00:00", "Z")
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a time, not {value!r}", hint=ZONE_HINT)
    time = parse_time(value)
    if time is None:
        raise UsageError(f"{name} is not a time: {value!r}", hint=ZONE_HINT)
    if time.assumed_local:
        raise UsageError(f"{name} has no time zone: {value!r}", hint=ZONE_HINT)
    return time


def start_argument(name: str, value: object) -> ParsedTime | Path:
    """Read the start of an increment: a time as in `time_argument`, or the folder of earlier results as a Path.

    Raises:
        UsageError: it is anything else. A text that is not a time may be meant as a folder, so the hint says how to
            pass one.
    """
    if isinstance(value, Path):
        if not value.is_dir():
            raise UsageError(f"{name} is not a folder: {value}", hint="Give the folder that earlier results are in.")
        return value
    if isinstance(value, str) and parse_time(value) is None:
        hint = (
            f"To continue from the results in a folder, pass Path({value!r}); a time looks like 2026-09-01T00:00:00Z."
        )
        raise UsageError(f"{name} is not a time: {value!r}", hint=hint)
    if not isinstance(value, str | datetime):
        raise UsageError(f"{name} must be a time or a Path, not {value!r}", hint=ZONE_HINT)
    return time_argument(name, value)


def require_order(since: ParsedTime, until: ParsedTime) -> None:
    """Raise UsageError if an increment would end before it starts."""
    if since.utc > until.utc:
        raise UsageError(f"since is later than until: {since.text}, {until.text}", hint="Swap since and until.")
