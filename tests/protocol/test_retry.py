"""Which failures are retried, and after which pauses."""

import pytest

from dapkit import errors
from dapkit.errors import DapError
from dapkit.protocol.retry import (
    AttemptHistory,
    FailedAttempt,
    GiveUp,
    RenewToken,
    Retry,
    RetryPolicy,
    add_failure,
    classify,
    parse_http_date,
    parse_retry_after,
    retry_pause,
)

NOW = 1_700_000_000.0
KNOWN = AttemptHistory(failures=1, service_responded=True, response_understood=True)


def step(
    error: DapError, history: AttemptHistory = KNOWN, jitter: float = 0.0, **more: object
) -> Retry | RenewToken | GiveUp:
    return classify(FailedAttempt(error=error, **more), history, RetryPolicy(), jitter)  # type: ignore[arg-type]  # values of several types


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(header: str | None, expected: float | None) -> None:
    assert parse_retry_after(header, NOW) == expected


def test_http_date() -> None:
    assert parse_http_date("Tue, 14 Nov 2023 22:13:20 GMT") == NOW
    assert parse_http_date(None) is None


@pytest.mark.parametrize(
    "error",
    [
        errors.TlsError("x"),
        errors.RequestError("x"),
        errors.OutOfRangeError("x"),
        errors.SnapshotRequiredError("x"),
        errors.TableNotFoundError("x"),
        errors.ExpiredError("x"),
        errors.ForbiddenError("x"),
        errors.AccountDisabledError("x"),
        errors.AccountMaintenanceError("x"),
        errors.UnexpectedResponseError("x"),
        errors.RejectedCredentialsError("x"),
    ],
)
def test_permanent_failures_are_not_retried(error: DapError) -> None:
    assert step(error) == GiveUp(error)


@pytest.mark.parametrize(("renewals", "expected"), [(0, RenewToken), (1, GiveUp)])
def test_a_rejected_token_is_renewed_once(renewals: int, expected: type) -> None:
    error = errors.RejectedCredentialsError("x")
    assert (
        type(step(error, AttemptHistory(token_renewals=renewals, service_responded=True), token_sent=True)) is expected
    )


@pytest.mark.parametrize("error", [errors.ServerError("x"), errors.NetworkError("x"), errors.StalledError("x")])
@pytest.mark.parametrize(
    ("failures", "jitter", "pause"),
    [(1, 0.0, 0.5), (2, 0.0, 0.75), (3, 0.0, 1.125), (12, 0.0, 43.25), (13, 0.0, 60.0), (500, 0.0, 60.0),
     (3, 1.0, 0.5625), (500, 1.0, 30.0)],
)  # fmt: skip
def test_pauses_grow_by_half_up_to_a_minute_with_jitter(
    error: DapError, failures: int, jitter: float, pause: float
) -> None:
    outcome = step(error, AttemptHistory(failures=failures, service_responded=True), jitter)
    assert isinstance(outcome, Retry)
    assert outcome.after == pytest.approx(pause, rel=0.001)


@pytest.mark.parametrize(
    ("timeout", "longest"), [(3600.0, 60.0), (900.0, 60.0), (300.0, 20.0), (20.0, 4 / 3), (1.0, 0.5)]
)
def test_a_short_timeout_has_short_pauses(timeout: float, longest: float) -> None:
    assert retry_pause(1000, timeout, 0.0) == pytest.approx(longest)


def test_pauses_are_short_if_every_second_request_fails() -> None:
    """The mean over all requests: each further failure is half as likely, and its pause is longer by half."""
    mean = sum(retry_pause(failures, 900.0, 0.5) * 0.5**failures for failures in range(1, 100))
    assert mean < 1.0


def test_an_outage_of_15_minutes_takes_about_thirty_attempts() -> None:
    waited, attempts = 0.0, 0
    while waited < 900:
        attempts += 1
        waited += retry_pause(attempts, 900.0, 0.5)
    assert 20 < attempts < 40


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ServerError("x"), AttemptHistory(failures=2, seconds=5.0)),
        (errors.RateLimitedError("x"), AttemptHistory(failures=1, rate_limited=1, seconds=2.0)),
        (errors.RejectedCredentialsError("x"), AttemptHistory(failures=1, seconds=2.0)),
    ],
)
def test_rate_limits_and_rejected_tokens_do_not_use_up_the_timeout(error: DapError, expected: AttemptHistory) -> None:
    assert add_failure(AttemptHistory(failures=1, seconds=2.0), error, 3.0) == expected


@pytest.mark.parametrize(("seconds", "retried"), [(0.0, True), (899.0, True), (900.0, False)])
def test_an_outage_is_retried_for_15_minutes(seconds: float, retried: bool) -> None:
    outcome = step(errors.UnreachableError("x"), AttemptHistory(failures=20, seconds=seconds, service_responded=True))
    assert isinstance(outcome, Retry) is retried


@pytest.mark.parametrize(
    ("failures", "seconds", "retried"), [(1, 0.0, True), (2, 1.0, True), (3, 2.0, False), (1, 20.0, False)]
)
def test_a_host_that_never_responded_is_not_retried_for_long(failures: int, seconds: float, retried: bool) -> None:
    outcome = step(errors.UnreachableError("x"), AttemptHistory(failures=failures, seconds=seconds))
    assert isinstance(outcome, Retry) is retried


def test_a_server_error_counts_as_a_response() -> None:
    assert isinstance(
        step(errors.ServerError("x"), AttemptHistory(failures=10, seconds=100, service_responded=True)), Retry
    )


@pytest.mark.parametrize(
    ("failures", "understood", "retried"), [(2, False, True), (3, False, False), (4, True, True), (5, True, False)]
)
def test_unreadable_responses_are_retried_a_few_times(failures: int, understood: bool, retried: bool) -> None:
    history = AttemptHistory(failures=failures, service_responded=True, response_understood=understood)
    outcome = step(errors.UnexpectedResponseError("x"), history, unreadable=True)
    assert isinstance(outcome, Retry) is retried


@pytest.mark.parametrize(
    ("retry_after", "times", "pause"),
    [(30.0, 1, 30.0), (0.0, 1, 0.0), (None, 1, 10.0), (None, 2, 15.0), (None, 9, 60.0)],
)
def test_the_pause_after_a_429(retry_after: float | None, times: int, pause: float) -> None:
    history = AttemptHistory(rate_limited=times, service_responded=True)
    assert step(errors.RateLimitedError("x"), history, retry_after=retry_after) == Retry(pause)


def test_the_number_of_429s_is_limited() -> None:
    error = errors.RateLimitedError("x")
    assert step(error, AttemptHistory(rate_limited=30, service_responded=True), retry_after=1.0) == GiveUp(error)


def test_a_429_with_a_pause_of_hours_fails_with_that_reason() -> None:
    outcome = step(errors.RateLimitedError("Too often", uuid="u"), retry_after=7200.0)
    assert isinstance(outcome, GiveUp)
    assert "7200 seconds" in outcome.error.message
    assert outcome.error.uuid == "u"


@pytest.mark.parametrize(("retry_after", "pause"), [(0.0, 0.5), (20.0, 20.0), (3600.0, 60.0)])
def test_retry_after_of_a_server_error_is_respected_up_to_a_minute(retry_after: float, pause: float) -> None:
    assert step(errors.ServerError("x"), retry_after=retry_after) == Retry(pause)
