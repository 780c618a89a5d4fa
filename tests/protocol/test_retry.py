"""What a failure means for the next attempt, as tables."""

import pytest

from dapkit import errors
from dapkit.errors import DapError
from dapkit.protocol.retry import (
    AttemptHistory,
    FailedAttempt,
    GiveUp,
    Renew,
    Retry,
    RetryPolicy,
    classify,
    http_date,
    lengthened,
    pause_after,
    retry_after,
)

NOW = 1_700_000_000.0
KNOWN = AttemptHistory(failures=1, answered=True, understood=True)


def step(error: DapError, trail: AttemptHistory = KNOWN, chance: float = 0.0, **more: object) -> Retry | Renew | GiveUp:
    return classify(FailedAttempt(error=error, **more), trail, RetryPolicy(), chance)  # type: ignore[arg-type]  # mixed kinds


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
    assert retry_after(header, NOW) == expected


def test_an_http_date() -> None:
    assert http_date("Tue, 14 Nov 2023 22:13:20 GMT") == NOW
    assert http_date(None) is None


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
def test_what_will_not_pass_fails_at_once(error: DapError) -> None:
    assert step(error) == GiveUp(error)


@pytest.mark.parametrize(("renewals", "expected"), [(0, Renew), (1, GiveUp)])
def test_a_token_is_renewed_once(renewals: int, expected: type) -> None:
    error = errors.RejectedCredentialsError("x")
    assert type(step(error, AttemptHistory(renewals=renewals, answered=True), renewable=True)) is expected


@pytest.mark.parametrize("error", [errors.ServerError("x"), errors.NetworkError("x"), errors.StalledError("x")])
@pytest.mark.parametrize(
    ("failures", "chance", "pause"),
    [(1, 0.0, 0.5), (2, 0.0, 0.75), (3, 0.0, 1.125), (12, 0.0, 43.25), (13, 0.0, 60.0), (500, 0.0, 60.0),
     (3, 1.0, 0.5625), (500, 1.0, 30.0)],
)  # fmt: skip
def test_pauses_grow_by_half_up_to_a_minute_and_chance_spreads_them(
    error: DapError, failures: int, chance: float, pause: float
) -> None:
    outcome = step(error, AttemptHistory(failures=failures, answered=True), chance)
    assert isinstance(outcome, Retry)
    assert outcome.after == pytest.approx(pause, rel=0.001)


@pytest.mark.parametrize(
    ("retry_timeout", "longest"), [(3600.0, 60.0), (900.0, 60.0), (300.0, 20.0), (20.0, 4 / 3), (1.0, 0.5)]
)
def test_a_short_patience_is_not_used_up_by_waiting(retry_timeout: float, longest: float) -> None:
    assert pause_after(1000, retry_timeout, 0.0) == pytest.approx(longest)


def test_when_every_second_request_fails_their_pauses_are_short() -> None:
    """The mean over all requests: each further failure is half as likely, and its pause longer by half."""
    mean = sum(pause_after(failures, 900.0, 0.5) * 0.5**failures for failures in range(1, 100))
    assert mean < 1.0


def test_an_outage_of_a_quarter_of_an_hour_takes_some_thirty_attempts() -> None:
    waited, attempts = 0.0, 0
    while waited < 900:
        attempts += 1
        waited += pause_after(attempts, 900.0, 0.5)
    assert 20 < attempts < 40


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ServerError("x"), AttemptHistory(failures=2, spent=5.0)),
        (errors.RateLimitedError("x"), AttemptHistory(failures=1, rate_limited=1, spent=2.0)),
        (errors.RejectedCredentialsError("x"), AttemptHistory(failures=1, spent=2.0)),
    ],
)
def test_only_what_may_not_go_on_for_ever_counts_as_a_failure(error: DapError, expected: AttemptHistory) -> None:
    assert lengthened(AttemptHistory(failures=1, spent=2.0), error, 3.0) == expected


@pytest.mark.parametrize(("spent", "again"), [(0.0, True), (899.0, True), (900.0, False)])
def test_an_outage_is_survived_for_a_quarter_of_an_hour(spent: float, again: bool) -> None:
    outcome = step(errors.UnreachableError("x"), AttemptHistory(failures=20, spent=spent, answered=True))
    assert isinstance(outcome, Retry) is again


@pytest.mark.parametrize(
    ("failures", "spent", "again"), [(1, 0.0, True), (2, 1.0, True), (3, 2.0, False), (1, 20.0, False)]
)
def test_a_host_that_never_answered_is_given_up_soon(failures: int, spent: float, again: bool) -> None:
    outcome = step(errors.UnreachableError("x"), AttemptHistory(failures=failures, spent=spent))
    assert isinstance(outcome, Retry) is again


def test_a_server_that_fails_from_the_start_has_answered() -> None:
    assert isinstance(step(errors.ServerError("x"), AttemptHistory(failures=10, spent=100, answered=True)), Retry)


@pytest.mark.parametrize(
    ("failures", "understood", "again"), [(2, False, True), (3, False, False), (4, True, True), (5, True, False)]
)
def test_a_page_in_place_of_a_message_may_pass(failures: int, understood: bool, again: bool) -> None:
    trail = AttemptHistory(failures=failures, answered=True, understood=understood)
    outcome = step(errors.UnexpectedResponseError("x"), trail, garbled=True)
    assert isinstance(outcome, Retry) is again


@pytest.mark.parametrize(
    ("demand", "times", "pause"), [(30.0, 1, 30.0), (0.0, 1, 0.0), (None, 1, 10.0), (None, 2, 15.0), (None, 9, 60.0)]
)
def test_a_429_is_obeyed(demand: float | None, times: int, pause: float) -> None:
    trail = AttemptHistory(rate_limited=times, answered=True)
    assert step(errors.RateLimitedError("x"), trail, demand=demand) == Retry(pause)


def test_patience_with_429_ends() -> None:
    error = errors.RateLimitedError("x")
    assert step(error, AttemptHistory(rate_limited=30, answered=True), demand=1.0) == GiveUp(error)


def test_a_429_that_demands_hours_fails_and_says_so() -> None:
    outcome = step(errors.RateLimitedError("Too often.", uuid="u"), demand=7200.0)
    assert isinstance(outcome, GiveUp)
    assert "7200 seconds" in outcome.error.message
    assert outcome.error.uuid == "u"


@pytest.mark.parametrize(("demand", "pause"), [(0.0, 0.5), (20.0, 20.0), (3600.0, 60.0)])
def test_a_failing_server_may_ask_for_a_pause_too(demand: float, pause: float) -> None:
    assert step(errors.ServerError("x"), demand=demand) == Retry(pause)
