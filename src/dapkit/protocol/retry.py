"""Whether a request that failed is sent again, and when.

Every request of the service may be repeated: a query equal to that of a job returns that job. So the only
question is for how long it makes sense, which `RetryPolicy` answers: briefly as long as no answer ever came from
that address, since it is probably wrong; for a quarter of an hour afterwards, since a run of many hours must
survive an outage.

Pauses grow with each request's own failures, by half. So they stay short where only some requests fail (of which
every second may: the pauses of one then add up to less than a second on average), and grow long for everything
that is under way when nothing is answered, which is no more than the tables and downloads of a run.
"""

from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from dapkit.errors import (
    DapError,
    NetworkError,
    RateLimitedError,
    RejectedCredentialsError,
    ServerError,
    TlsError,
    UnexpectedResponseError,
)
from dapkit.protocol.redaction import excerpt

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
_GROWTH: Final = 1.5
_FEWEST_PAUSES: Final = 15
"""Patience has room for so many of the longest pauses, so that a short one is not used up by waiting."""

_FIRST_RATE_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long one request may go on failing. Seconds; pauses for 429 and for the pace are not counted.

    Args:
        first_attempts: attempts while no answer ever came, or none that could be read.
        first_seconds: seconds after which no further attempt is made while no answer ever came.
        seconds: seconds of attempts and pauses once an answer came.
        garbled: attempts of which what came was no message, once messages were read.
        rate_limited: attempts that may end in a 429.
        longest_demand: the longest pause demanded with a 429 that is obeyed; a longer one fails.
        renewals: how often a rejected token is renewed.
    """

    first_attempts: int = 3
    first_seconds: float = 20.0
    seconds: float = 900.0
    garbled: int = 5
    rate_limited: int = 30
    longest_demand: float = 900.0
    renewals: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One attempt that failed.

    Args:
        error: how it failed.
        demand: the pause in seconds that the service demands, if it does.
        renewable: whether it showed a token, in whose place another may be accepted.
        garbled: whether what came was no message at all, as when something in between answers in the service's name.
    """

    error: DapError
    demand: float | None = None
    renewable: bool = False
    garbled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptHistory:
    """What one request went through, the present failure included.

    Args:
        failures: failed attempts, those that ended in a 429 or a renewal not counted.
        rate_limited: attempts that ended in a 429.
        renewals: times that its token was renewed for it.
        spent: seconds of failed attempts and pauses.
        answered: whether the service ever gave any answer, to this or another request.
        understood: whether an answer could ever be read.
    """

    failures: int = 0
    rate_limited: int = 0
    renewals: int = 0
    spent: float = 0.0
    answered: bool = False
    understood: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Send it again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Get a new token and send it again at once."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up with this error."""

    error: DapError


def classify(
    trouble: FailedAttempt, trail: AttemptHistory, retry_timeout: RetryPolicy, chance: float
) -> Retry | Renew | GiveUp:
    """Return what to do about a failed attempt.

    Args:
        trouble: how it failed.
        trail: what the request went through so far, this failure included.
        retry_timeout: how long it may go on.
        chance: a random number from 0 to 1 that spreads the pauses of many clients.
    """
    error = trouble.error
    match error:
        case RejectedCredentialsError():
            return Renew() if trouble.renewable and trail.renewals < retry_timeout.renewals else GiveUp(error)
        case RateLimitedError():
            return _after_rate_limit(trouble, trail, retry_timeout, chance)
        case TlsError():
            return GiveUp(error)
        case NetworkError() if not trail.answered:
            again = trail.failures < retry_timeout.first_attempts and trail.spent < retry_timeout.first_seconds
        case NetworkError() | ServerError():
            again = trail.spent < retry_timeout.seconds
        case UnexpectedResponseError() if trouble.garbled:
            again = trail.failures < (retry_timeout.garbled if trail.understood else retry_timeout.first_attempts)
        case _:
            return GiveUp(error)
    if not again:
        return GiveUp(error)
    pause = pause_after(trail.failures, retry_timeout.seconds, chance)
    return Retry(pause if trouble.demand is None else max(pause, min(trouble.demand, LONGEST_PAUSE)))


def pause_after(failures: int, retry_timeout: float, chance: float) -> float:
    """Return the seconds to wait before what failed is tried again.

    Args:
        failures: how often it failed in a row.
        retry_timeout: seconds for which it may go on failing.
        chance: a random number from 0 to 1 that spreads the pauses of many.
    """
    longest = min(LONGEST_PAUSE, max(FIRST_PAUSE, retry_timeout / _FEWEST_PAUSES))
    return _growing(FIRST_PAUSE, failures, longest, chance)


def lengthened(trail: AttemptHistory, error: DapError, seconds: float) -> AttemptHistory:
    """Return the trail with one more attempt that took so many seconds and failed like this."""
    match error:
        case RateLimitedError():
            return replace(trail, rate_limited=trail.rate_limited + 1)
        case RejectedCredentialsError():
            return trail
        case _:
            return replace(trail, failures=trail.failures + 1, spent=trail.spent + max(0.0, seconds))


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header demands, as a number or a date; None if neither.

    Args:
        header: the header's value.
        now: the time with which a date is compared: the answer's own `Date` where it has one.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    moment = http_date(text)
    return None if moment is None else max(0.0, moment - now)


def http_date(text: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None for anything else."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _after_rate_limit(
    trouble: FailedAttempt, trail: AttemptHistory, retry_timeout: RetryPolicy, chance: float
) -> Retry | GiveUp:
    if trail.rate_limited >= retry_timeout.rate_limited:
        return GiveUp(trouble.error)
    if trouble.demand is None:
        return Retry(_growing(_FIRST_RATE_PAUSE, trail.rate_limited, LONGEST_PAUSE, chance))
    if trouble.demand > retry_timeout.longest_demand:
        said = f"{trouble.error.message} It wants a pause of {trouble.demand:.0f} seconds."
        return GiveUp(RateLimitedError(excerpt(said, 500), uuid=trouble.error.uuid))
    return Retry(trouble.demand)


def _growing(first: float, failures: int, longest: float, chance: float) -> float:
    """Return a pause that grows by half with every failure, of which chance takes up to a half."""
    full = min(longest, first * _GROWTH ** min(30, max(0, failures - 1)))
    return full * (1.0 - chance / 2)
