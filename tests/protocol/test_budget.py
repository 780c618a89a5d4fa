"""How many requests may be sent when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.protocol.budget import (
    CLOCK_TOLERANCE,
    MIN_CONCURRENT,
    NO_RATE_LIMIT,
    PUBLISHED_RATE_LIMIT,
    RECOVERY_TIME,
    RESPONSE_TIMEOUT,
    WINDOW,
    Budget,
    RateLimit,
    RequestSlot,
    Throttle,
    add_request,
    apply_rate_limit,
    complete_request,
    current_limit,
    merge,
    next_request_time,
    remove_expired,
)
from dapkit.protocol.error_response import Endpoint

NOW = 1_000_000.0
HOLD = WINDOW + CLOCK_TOLERANCE


def slots(*times: float | tuple[float, float]) -> tuple[RequestSlot, ...]:
    """Return slots: one per time at which a request was sent and answered, or per pair of both times (inf: not yet)."""
    made = []
    for number, time in enumerate(times):
        begin, end = time if isinstance(time, tuple) else (time, time)
        made.append(
            RequestSlot(id=str(number), sent_at=NOW + begin, answered_at=None if end == float("inf") else NOW + end)
        )
    return tuple(made)


OPEN = float("inf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("published", PUBLISHED_RATE_LIMIT), (" None ", NO_RATE_LIMIT), ("2", RateLimit(2)), ("1000", RateLimit(1000))],
)
def test_pace_is_parsed(text: str, expected: RateLimit) -> None:
    assert RateLimit.parse(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "fast", "1001", "٣"])
def test_an_invalid_pace(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid pace"):
        RateLimit.parse(text)


@pytest.mark.parametrize(
    ("rate_limit", "limits"),
    [
        (PUBLISHED_RATE_LIMIT, {"tables": 5, "schema": 500, "submit": 5, "poll": 500, "sign": 200, "login": None}),
        (RateLimit(1), {"tables": 1, "schema": 100, "submit": 1, "poll": 100, "sign": 40, "login": None}),
        (RateLimit(20), {"tables": 20, "schema": 2000, "submit": 20, "poll": 2000, "sign": 800, "login": None}),
        (NO_RATE_LIMIT, dict.fromkeys(["tables", "schema", "submit", "poll", "sign", "login"])),
    ],
)
def test_a_number_scales_all_budgets(rate_limit: RateLimit, limits: dict[str, int | None]) -> None:
    assert {endpoint.value: rate_limit.requests_per_minute(endpoint) for endpoint in Endpoint} == limits


@pytest.mark.parametrize(
    ("used", "limit", "free"),
    [
        (Budget(), 5, 0.0),
        (Budget(slots=slots(-10, -5)), 3, 0.0),
        (Budget(slots=slots(-10, -5)), 2, NOW - 10 + HOLD),
        (Budget(slots=slots(-10, -5)), 1, NOW - 5 + HOLD),
        (Budget(slots=slots(-5, -10)), 2, NOW - 10 + HOLD),
        (Budget(slots=slots((-30, -1))), 1, NOW - 1 + HOLD),
        (Budget(slots=slots((-30, OPEN))), 1, NOW - 30 + RESPONSE_TIMEOUT + HOLD),
        (Budget(slots=slots((-30, OPEN))), 2, 0.0),
        (Budget(slots=slots(-10), blocked_until=NOW + 5), 5, NOW + 5),
        (Budget(slots=slots(-10), blocked_until=NOW + 5), None, NOW + 5),
        (Budget(slots=slots(-10), blocked_until=NOW + 99), 1, NOW + 99),
        (Budget(slots=slots(*range(-50, 0))), None, 0.0),
    ],
)
def test_next_request_time(used: Budget, limit: int | None, free: float) -> None:
    assert next_request_time(used, limit, NOW) == free


def test_requests_in_the_past_or_future_are_removed() -> None:
    used = Budget(slots=slots(-HOLD - 1, -HOLD + 1, 5, (-RESPONSE_TIMEOUT - HOLD - 1, OPEN)), blocked_until=NOW + 1)
    kept = remove_expired(used, NOW)
    assert [slot.id for slot in kept.slots] == ["1"]
    assert kept.blocked_until == NOW + 1


@pytest.mark.parametrize(
    ("at", "kept"), [(-1.0, True), (-RECOVERY_TIME + 1, True), (-RECOVERY_TIME, False), (100.0, False)]
)
def test_an_old_throttle_is_removed(at: float, kept: bool) -> None:
    used = Budget(throttle=Throttle(since=NOW + at, limit=1))
    assert (remove_expired(used, NOW).throttle is not None) is kept


@pytest.mark.parametrize(
    ("limit", "age", "expected"),
    [
        (5, 0, 2),
        (5, RECOVERY_TIME / 2, 3),
        (5, RECOVERY_TIME - 1, 4),
        (5, RECOVERY_TIME, 5),
        (1, 0, 1),
        (None, RECOVERY_TIME, None),
    ],
)
def test_a_throttled_endpoint_recovers(limit: int | None, age: float, expected: int | None) -> None:
    used = Budget(throttle=Throttle(since=NOW, limit=2))
    assert current_limit(used, limit, NOW + age) == expected


@pytest.mark.parametrize(("limit", "reduced"), [(5, 2), (1, 1), (500, 250)])
def test_a_429_halves_the_budget(limit: int, reduced: int) -> None:
    used = Budget(slots=slots(-1.0))
    limited = apply_rate_limit(used, used.slots[-1], limit, NOW, 30.0)
    assert limited.blocked_until == NOW + 30
    assert limited.throttle == Throttle(since=NOW, limit=reduced)
    again = apply_rate_limit(limited, RequestSlot(id="x", sent_at=NOW + 0.5), limit, NOW + 1, 30.0)
    assert again.throttle == Throttle(since=NOW + 1, limit=max(1, reduced // 2))


@pytest.mark.parametrize(
    ("in_flight", "reduced"), [(1, MIN_CONCURRENT), (2 * MIN_CONCURRENT, MIN_CONCURRENT), (100, 50)]
)
def test_without_a_budget_a_429_halves_the_requests_in_flight(in_flight: int, reduced: int) -> None:
    used = Budget(slots=slots(*((-1, OPEN) for _ in range(in_flight))))
    limited = apply_rate_limit(used, used.slots[0], None, NOW, 30.0)
    assert limited.blocked_until == NOW + 30
    assert current_limit(limited, None, NOW) == reduced
    together = apply_rate_limit(limited, used.slots[-1], None, NOW + 1, 30.0)
    assert current_limit(together, None, NOW) == reduced, "it was in flight when the endpoint was throttled"


def test_without_a_budget_later_responses_allow_more_requests() -> None:
    early, late = RequestSlot(id="early", sent_at=NOW - 1), RequestSlot(id="late", sent_at=NOW + 1)
    limited = Budget(slots=(early, late), throttle=Throttle(since=NOW, limit=MIN_CONCURRENT))
    limited = complete_request(limited, early, None, NOW + 2)
    assert (current_limit(limited, None, NOW + 2), limited.slots) == (MIN_CONCURRENT, (late,))
    limited = complete_request(limited, late, None, NOW + 2)
    assert (current_limit(limited, None, NOW + 2), limited.slots) == (MIN_CONCURRENT + 1, ())


def test_without_a_budget_a_throttled_endpoint_waits_for_responses() -> None:
    full = Budget(
        slots=slots(*((-1, OPEN) for _ in range(MIN_CONCURRENT))), throttle=Throttle(since=NOW, limit=MIN_CONCURRENT)
    )
    assert next_request_time(full, None, NOW) > NOW
    assert next_request_time(complete_request(full, full.slots[0], None, NOW), None, NOW) <= NOW


def test_requests_in_flight_do_not_throttle_twice() -> None:
    used = Budget(slots=slots(-3, -2))
    once = apply_rate_limit(used, used.slots[0], 200, NOW, 10.0)
    twice = apply_rate_limit(once, used.slots[1], 200, NOW + 1, 20.0)
    assert twice.throttle == once.throttle
    assert twice.blocked_until == NOW + 21
    later = RequestSlot(id="x", sent_at=NOW + 30)
    again = apply_rate_limit(add_request(twice, later), later, 200, NOW + 31, 1.0)
    assert again.throttle is not None
    assert again.throttle.since == NOW + 31
    assert again.blocked_until == NOW + 32


def test_a_shorter_pause_does_not_replace_a_longer_one() -> None:
    used = Budget(slots=slots(-1), blocked_until=NOW + 50)
    assert apply_rate_limit(used, used.slots[0], 5, NOW, 1.0).blocked_until == NOW + 50


def test_the_window_starts_with_the_response() -> None:
    slot = RequestSlot(id="a", sent_at=NOW)
    used = add_request(Budget(), slot)
    assert next_request_time(used, 1, NOW) == NOW + RESPONSE_TIMEOUT + HOLD
    assert next_request_time(complete_request(used, slot, 1, NOW + 3), 1, NOW + 3) == NOW + 3 + HOLD
    assert complete_request(used, RequestSlot(id="other", sent_at=NOW), 1, NOW + 3) == used


def test_a_request_that_any_process_saw_answered_is_answered() -> None:
    (slot,) = slots((-5, OPEN))
    known = replace(slot, answered_at=NOW)
    other = RequestSlot(id="other", sent_at=NOW - 9)
    for sides in ([slot], [known]), ([known], [slot]):
        both = merge(Budget(slots=tuple(side)) for side in (*sides, [other]))
        assert both.slots == (other, known)


def test_merging_takes_the_longest_block_and_the_latest_throttle() -> None:
    old, new = Throttle(since=NOW - 9, limit=1), Throttle(since=NOW, limit=2)
    sides = [Budget(blocked_until=5.0, throttle=new), Budget(blocked_until=9.0, throttle=old), Budget()]
    assert merge(sides) == Budget(blocked_until=9.0, throttle=new)


@given(
    limit=st.integers(1, 6),
    requests=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 90), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_never_more_than_the_limit_in_any_window(limit: int, requests: list[tuple[float, float, float]]) -> None:
    """The service counts each request at some time between its sending and its response."""
    used, now, counted = Budget(), NOW, list[float]()
    for number, (gap, latency, where) in enumerate(requests):
        now += gap
        now = max(now, next_request_time(remove_expired(used, now), limit, now))
        slot = RequestSlot(id=str(number), sent_at=now)
        used = complete_request(add_request(remove_expired(used, now), slot), slot, limit, now + latency)
        counted.append(now + latency * where)
    counted.sort()
    for first, beyond in zip(counted, counted[limit:], strict=False):
        assert beyond - first > WINDOW
