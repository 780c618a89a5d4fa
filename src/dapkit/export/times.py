"""PURE: the start and the end of an increment, as people and programs give them.

The command accepts texts; a time without a zone is local time there, as in the official client. The library accepts
aware datetimes and texts with a zone, because a program that runs on two machines must mean the same time on both.

A relative time, such as `2d` (two days ago) or `yesterday`, stays a text until the run begins: `fixed` turns it into a
time. A resumed run takes the time from its journal, which is named after the text.
"""

import calendar
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from dapkit.errors import UsageError
from dapkit.model import Query, format_utc, utc_time

TIME_HINT = "Use ISO 8601, for example 2026-09-01T00:00:00Z."
ZONE_HINT = "Use an aware datetime, such as datetime(2026, 9, 1, tzinfo=UTC), or a text with a zone."

_AGE = r"([0-9]{1,9})([mhd])"
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_DAYS = {"today": 0, "yesterday": 1}


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


def relative_time(text: str) -> str | None:
    """Return the usual spelling of a relative time: an age such as 2d, 4h or 90m, `today` or `yesterday`; else None."""
    word = text.strip().lower()
    return word if word in _DAYS or re.fullmatch(_AGE, word) else None


def impossible_part(text: str) -> str:
    """Say which part of a time does not exist, such as: there is no month 13. Empty if that is not the problem."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d))?(?::(\d\d))?)?", text.strip())
    if found is None:
        return ""
    year, month, day = (int(part) for part in found.groups()[:3])
    if year == 0:
        return "there is no year 0"
    if not 1 <= month <= 12:
        return f"there is no month {month}"
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return f"{year:04}-{month:02} has no day {day}"
    for name, part, most in zip(("hour", "minute", "second"), found.groups()[3:], (23, 59, 59), strict=True):
        if part is not None and int(part) > most:
            return f"there is no {name} {int(part)}"
    return ""


def fixed(query: Query, now: datetime, *, sandbox: bool = False, zone: tzinfo | None = None) -> Query:
    """Return a query whose relative times are replaced by those that they mean when a run begins.

    Args:
        query: of a new run.
        now: the time of the service's data.
        sandbox: whether that is the clock of a sandbox.
        zone: in which days begin; by default the machine's own.

    Raises:
        UsageError: the start is more than one day ahead, or later than the end. What is nearer is for the service to
            decide, because clocks differ.
    """
    since, until = (None if text is None else _fixed_time(text, now, zone) for text in (query.since, query.until))
    if since is not None and utc_time(since) > now + timedelta(days=1):
        clock = "the sandbox's clock" if sandbox else "this machine's clock"
        shown = format_utc(now.replace(microsecond=0))
        message = f"since is {since}, more than one day ahead of {clock} ({shown})"
        raise UsageError(message, hint="Use an earlier time.")
    if since is not None and until is not None:
        _require_order(since, utc_time(since), until, utc_time(until))
    return replace(query, since=since, until=until)


def _fixed_time(text: str, now: datetime, zone: tzinfo | None) -> str:
    word = relative_time(text)
    if word is None:
        return text
    try:
        if (age := re.fullmatch(_AGE, word)) is not None:
            moment = now - timedelta(seconds=int(age[1]) * _UNITS[age[2]])
        else:
            day = now.astimezone(zone).date() - timedelta(days=_DAYS[word])
            moment = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        return format_utc(moment.replace(microsecond=0))
    except OverflowError:
        raise UsageError(f"The time {text} is out of range", hint="Use a shorter age.") from None


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
        problem = impossible_part(value)
        raise UsageError(f"{name} is not a time: {value!r}{problem and f'; {problem}'}", hint=ZONE_HINT)
    if time.assumed_local:
        raise UsageError(f"{name} has no time zone: {value!r}", hint=ZONE_HINT)
    return time


def age_argument(value: object) -> str | None:
    """Return the usual spelling of an age such as 2d, if a program passes one: it needs no time zone. Else None."""
    word = relative_time(value) if isinstance(value, str) else None
    return None if word in _DAYS else word


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
    if isinstance(value, str) and parse_time(value) is None and not impossible_part(value):
        hint = (
            f"To continue from the results in a folder, pass Path({value!r}); a time looks like 2026-09-01T00:00:00Z."
        )
        raise UsageError(f"{name} is not a time: {value!r}", hint=hint)
    if not isinstance(value, str | datetime):
        raise UsageError(f"{name} must be a time or a Path, not {value!r}", hint=ZONE_HINT)
    return time_argument(name, value)


def require_order(since: ParsedTime, until: ParsedTime) -> None:
    """Raise UsageError if an increment would end before it starts."""
    _require_order(since.text, since.utc, until.text, until.utc)


def _require_order(since: str, start: datetime, until: str, end: datetime) -> None:
    if start > end:
        raise UsageError(f"since is later than until: {since}, {until}", hint="Swap since and until.")
