"""Times as people write them on the command line, turned into what the service takes.

Pure: the local time zone is Python's own (`datetime.astimezone`) unless one is passed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from dapkit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time: the text that goes to the service, and whether the zone had to be assumed."""

    text: str
    utc: datetime
    assumed_local: bool


def parse_moment(text: str, *, zone: tzinfo | None = None) -> Moment | None:
    """Read an ISO 8601 date or date-time; return None when the text is neither.

    What already is UTC in the service's own spelling passes verbatim: watermarks go back as they came. A
    text without a zone is taken in `zone`, the machine's own by default, as the official command does.

    Raises:
        UsageError: the text is a date-time that cannot be put in UTC (the calendar's first and last days).
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
        message = f"{stripped} lies too close to an end of the calendar."
        raise UsageError(message) from None
    verbatim = not assumed_local and stripped.endswith("Z") and stripped[10:11] == "T"
    return Moment(text=stripped if verbatim else format_utc(utc), utc=utc, assumed_local=assumed_local)


def format_utc(moment: datetime) -> str:
    """Write an aware date-time in UTC as ISO 8601 with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
