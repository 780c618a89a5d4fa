"""PURE: whether a failed request is repeated, and after which pause.

Every request to the service may be repeated: a query equal to that of an existing job returns that job. So the only
question is how long to continue, and `RetryPolicy` answers it. As long as the service has never responded, its address
is probably wrong, so a few attempts are enough. Once it has responded, requests are retried for a quarter of an hour,
because a run of many hours must survive an outage.
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

# A service may reject every second request at random. With a first pause of half a second and growth by half, the
# pauses of one request then add up to less than a second on average, while a real outage soon reaches one attempt a
# minute for each table and download.
FIRST_PAUSE: Final = 0.5
MAX_PAUSE: Final = 60.0
_GROWTH: Final = 1.5

# A short retry timeout would be used up by one or two long pauses: there must be room for at least this many.
_MIN_PAUSES_PER_TIMEOUT: Final = 15

# A 429 without Retry-After. Budgets are counted over a minute, so half a second later the answer would be the same.
_FIRST_RATE_LIMIT_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long one request is retried. Waiting because of a 429 or our own rate limit does not count.

    Args:
        initial_attempts: attempts as long as the service has never responded, or never with readable JSON.
        initial_seconds: seconds after which no further attempt is made as long as the service has never responded.
        seconds: seconds of attempts and pauses once the service has responded.
        unreadable_attempts: attempts that may end in an unreadable response once readable ones have been received.
        rate_limited_attempts: attempts that may end in a 429.
        max_retry_after: the longest pause in seconds that a 429 may ask for; a longer one is an error.
        token_renewals: how often a rejected token is renewed.
    """

    initial_attempts: int = 3
    initial_seconds: float = 20.0
    seconds: float = 900.0
    unreadable_attempts: int = 5
    rate_limited_attempts: int = 30
    max_retry_after: float = 900.0
    token_renewals: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One attempt that failed.

    Args:
        error: how it failed.
        retry_after: the pause in seconds that the service asks for, if it does.
        token_sent: whether the request carried a token, which can be renewed.
        unreadable: whether the response was no JSON at all, so that it probably comes from a proxy or gateway.
    """

    error: DapError
    retry_after: float | None = None
    token_sent: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptHistory:
    """The attempts of one request so far, including the latest failure.

    Args:
        failures: failed attempts, except those that ended in a 429 or a rejected token.
        rate_limited: attempts that ended in a 429.
        token_renewals: how often the token was renewed for this request.
        seconds: duration of failed attempts and pauses.
        service_responded: whether the service has ever responded, to this or another request.
        response_understood: whether a response could ever be decoded.
    """

    failures: int = 0
    rate_limited: int = 0
    token_renewals: int = 0
    seconds: float = 0.0
    service_responded: bool = False
    response_understood: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeat the request after this many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class RenewToken:
    """Get a new token and repeat the request at once."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Fail with this error."""

    error: DapError


def classify(
    attempt: FailedAttempt, history: AttemptHistory, policy: RetryPolicy, jitter: float
) -> Retry | RenewToken | GiveUp:
    """Decide what to do after a failed attempt.

    Args:
        attempt: the failed attempt.
        history: all attempts of the request, this one included.
        policy: how long to continue.
        jitter: a random number from 0 to 1, so that many clients do not return at the same moment.
    """
    error = attempt.error
    match error:
        case RejectedCredentialsError():
            # Only a token may have expired; an id and secret that were rejected at the login are simply wrong.
            renew = attempt.token_sent and history.token_renewals < policy.token_renewals
            return RenewToken() if renew else GiveUp(error)
        case RateLimitedError():
            return _after_rate_limit(attempt, history, policy, jitter)
        case TlsError():
            return GiveUp(error)
        case NetworkError() if not history.service_responded:
            retry = history.failures < policy.initial_attempts and history.seconds < policy.initial_seconds
        case NetworkError() | ServerError():
            retry = history.seconds < policy.seconds
        case UnexpectedResponseError() if attempt.unreadable:
            # Between two good responses, an error page of a proxy is a temporary failure. From the start, it means
            # that the base URL or the proxy is wrong.
            limit = policy.unreadable_attempts if history.response_understood else policy.initial_attempts
            retry = history.failures < limit
        case _:
            return GiveUp(error)
    if not retry:
        return GiveUp(error)
    pause = retry_pause(history.failures, policy.seconds, jitter)
    return Retry(pause if attempt.retry_after is None else max(pause, min(attempt.retry_after, MAX_PAUSE)))


def retry_pause(failures: int, timeout: float, jitter: float) -> float:
    """Return the seconds to wait after so many failures in a row.

    Args:
        failures: number of failures in a row.
        timeout: seconds for which the work is retried in all.
        jitter: a random number from 0 to 1 that shortens the pause by up to a half.
    """
    longest = min(MAX_PAUSE, max(FIRST_PAUSE, timeout / _MIN_PAUSES_PER_TIMEOUT))
    return _exponential_pause(FIRST_PAUSE, failures, longest, jitter)


def add_failure(history: AttemptHistory, error: DapError, seconds: float) -> AttemptHistory:
    """Return the history with one more attempt that failed after so many seconds."""
    match error:
        case RateLimitedError():
            # The service works and only asks us to slow down: this must not use up the time for outages.
            return replace(history, rate_limited=history.rate_limited + 1)
        case RejectedCredentialsError():
            return history
        case _:
            return replace(history, failures=history.failures + 1, seconds=history.seconds + max(0.0, seconds))


def parse_retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header (a number or a date) asks for; None if it is neither.

    Args:
        header: the header's value.
        now: the time to compare a date with: the response's own `Date` if it has one, since our clock may be wrong.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    date = parse_http_date(text)
    return None if date is None else max(0.0, date - now)


def parse_http_date(text: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None if it is not one."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()


def _after_rate_limit(
    attempt: FailedAttempt, history: AttemptHistory, policy: RetryPolicy, jitter: float
) -> Retry | GiveUp:
    if history.rate_limited >= policy.rate_limited_attempts:
        return GiveUp(attempt.error)
    if attempt.retry_after is None:
        return Retry(_exponential_pause(_FIRST_RATE_LIMIT_PAUSE, history.rate_limited, MAX_PAUSE, jitter))
    if attempt.retry_after > policy.max_retry_after:
        message = f"{attempt.error.message}; it asks for a pause of {attempt.retry_after:.0f} seconds"
        return GiveUp(RateLimitedError(excerpt(message, 500), uuid=attempt.error.uuid))
    # Exactly as long as the service says, without jitter: an earlier request would be rejected again.
    return Retry(attempt.retry_after)


def _exponential_pause(first: float, failures: int, longest: float, jitter: float) -> float:
    exponent = min(30, max(0, failures - 1))  # beyond, the float would overflow; the maximum is reached long before
    return min(longest, first * _GROWTH**exponent) * (1.0 - jitter / 2)
