"""Budgets as values: what may be sent when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.protocol.budget import (
    HANDFUL,
    LEASE,
    MARGIN,
    NO_RATE_LIMIT,
    PUBLISHED_RATE_LIMIT,
    RECOVERY,
    WINDOW,
    Budget,
    RateLimit,
    RequestSlot,
    Throttle,
    answered,
    merged,
    narrowed,
    next_free,
    pruned,
    taken,
    width,
)
from dapkit.protocol.error_response import Endpoint

NOW = 1_000_000.0
HOLD = WINDOW + MARGIN


def slots(*times: float | tuple[float, float]) -> tuple[RequestSlot, ...]:
    """Return slots by when they were answered; a pair is when one was taken and answered, an open one ends in inf."""
    made = []
    for number, time in enumerate(times):
        begin, end = time if isinstance(time, tuple) else (time, time)
        made.append(RequestSlot(id=str(number), taken=NOW + begin, answered=None if end == float("inf") else NOW + end))
    return tuple(made)


OPEN = float("inf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("published", PUBLISHED_RATE_LIMIT), (" None ", NO_RATE_LIMIT), ("2", RateLimit(2)), ("1000", RateLimit(1000))],
)
def test_pace_is_read(text: str, expected: RateLimit) -> None:
    assert RateLimit.parse(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "fast", "1001", "٣"])
def test_what_is_no_pace(text: str) -> None:
    with pytest.raises(UsageError, match="not a pace"):
        RateLimit.parse(text)


@pytest.mark.parametrize(
    ("pace", "limits"),
    [
        (PUBLISHED_RATE_LIMIT, {"tables": 5, "schema": 500, "submit": 5, "poll": 500, "sign": 200, "login": None}),
        (RateLimit(1), {"tables": 1, "schema": 100, "submit": 1, "poll": 100, "sign": 40, "login": None}),
        (RateLimit(20), {"tables": 20, "schema": 2000, "submit": 20, "poll": 2000, "sign": 800, "login": None}),
        (NO_RATE_LIMIT, dict.fromkeys(["tables", "schema", "submit", "poll", "sign", "login"])),
    ],
)
def test_a_number_scales_every_budget(pace: RateLimit, limits: dict[str, int | None]) -> None:
    assert {endpoint.value: pace.limit(endpoint) for endpoint in Endpoint} == limits


@pytest.mark.parametrize(
    ("spent", "limit", "free"),
    [
        (Budget(), 5, 0.0),
        (Budget(slots=slots(-10, -5)), 3, 0.0),
        (Budget(slots=slots(-10, -5)), 2, NOW - 10 + HOLD),
        (Budget(slots=slots(-10, -5)), 1, NOW - 5 + HOLD),
        (Budget(slots=slots(-5, -10)), 2, NOW - 10 + HOLD),
        (Budget(slots=slots((-30, -1))), 1, NOW - 1 + HOLD),
        (Budget(slots=slots((-30, OPEN))), 1, NOW - 30 + LEASE + HOLD),
        (Budget(slots=slots((-30, OPEN))), 2, 0.0),
        (Budget(slots=slots(-10), blocked_until=NOW + 5), 5, NOW + 5),
        (Budget(slots=slots(-10), blocked_until=NOW + 5), None, NOW + 5),
        (Budget(slots=slots(-10), blocked_until=NOW + 99), 1, NOW + 99),
        (Budget(slots=slots(*range(-50, 0))), None, 0.0),
    ],
)
def test_next_free(spent: Budget, limit: int | None, free: float) -> None:
    assert next_free(spent, limit, NOW) == free


def test_pruning_forgets_what_is_past_or_from_the_future() -> None:
    spent = Budget(slots=slots(-HOLD - 1, -HOLD + 1, 5, (-LEASE - HOLD - 1, OPEN)), blocked_until=NOW + 1)
    kept = pruned(spent, NOW)
    assert [slot.id for slot in kept.slots] == ["1"]
    assert kept.blocked_until == NOW + 1


@pytest.mark.parametrize(("at", "kept"), [(-1.0, True), (-RECOVERY + 1, True), (-RECOVERY, False), (100.0, False)])
def test_pruning_forgets_an_old_narrowing(at: float, kept: bool) -> None:
    spent = Budget(narrowing=Throttle(at=NOW + at, low=1))
    assert (pruned(spent, NOW).narrowing is not None) is kept


@pytest.mark.parametrize(
    ("limit", "age", "expected"),
    [(5, 0, 2), (5, RECOVERY / 2, 3), (5, RECOVERY - 1, 4), (5, RECOVERY, 5), (1, 0, 1), (None, RECOVERY, None)],
)
def test_a_narrowed_lane_widens_again(limit: int | None, age: float, expected: int | None) -> None:
    spent = Budget(narrowing=Throttle(at=NOW, low=2))
    assert width(spent, limit, NOW + age) == expected


@pytest.mark.parametrize(("limit", "low"), [(5, 2), (1, 1), (500, 250)])
def test_a_429_halves_the_lane(limit: int, low: int) -> None:
    spent = Budget(slots=slots(-1.0))
    told = narrowed(spent, spent.slots[-1], limit, NOW, 30.0)
    assert told.blocked_until == NOW + 30
    assert told.narrowing == Throttle(at=NOW, low=low)
    again = narrowed(told, RequestSlot(id="x", taken=NOW + 0.5), limit, NOW + 1, 30.0)
    assert again.narrowing == Throttle(at=NOW + 1, low=max(1, low // 2))


@pytest.mark.parametrize(("under_way", "low"), [(1, HANDFUL), (2 * HANDFUL, HANDFUL), (100, 50)])
def test_a_429_halves_how_many_are_on_their_way_where_there_is_no_budget(under_way: int, low: int) -> None:
    spent = Budget(slots=slots(*((-1, OPEN) for _ in range(under_way))))
    told = narrowed(spent, spent.slots[0], None, NOW, 30.0)
    assert told.blocked_until == NOW + 30
    assert width(told, None, NOW) == low
    together = narrowed(told, spent.slots[-1], None, NOW + 1, 30.0)
    assert width(together, None, NOW) == low, "it was on its way when the lane was narrowed"


def test_later_answers_widen_a_lane_without_a_budget_again() -> None:
    early, late = RequestSlot(id="early", taken=NOW - 1), RequestSlot(id="late", taken=NOW + 1)
    told = Budget(slots=(early, late), narrowing=Throttle(at=NOW, low=HANDFUL))
    told = answered(told, early, None, NOW + 2)
    assert (width(told, None, NOW + 2), told.slots) == (HANDFUL, (late,))
    told = answered(told, late, None, NOW + 2)
    assert (width(told, None, NOW + 2), told.slots) == (HANDFUL + 1, ())


def test_a_narrowed_lane_without_a_budget_waits_for_answers() -> None:
    full = Budget(slots=slots(*((-1, OPEN) for _ in range(HANDFUL))), narrowing=Throttle(at=NOW, low=HANDFUL))
    assert next_free(full, None, NOW) > NOW
    assert next_free(answered(full, full.slots[0], None, NOW), None, NOW) <= NOW


def test_requests_on_their_way_narrow_no_further() -> None:
    spent = Budget(slots=slots(-3, -2))
    once = narrowed(spent, spent.slots[0], 200, NOW, 10.0)
    twice = narrowed(once, spent.slots[1], 200, NOW + 1, 20.0)
    assert twice.narrowing == once.narrowing
    assert twice.blocked_until == NOW + 21
    later = RequestSlot(id="x", taken=NOW + 30)
    again = narrowed(taken(twice, later), later, 200, NOW + 31, 1.0)
    assert again.narrowing is not None
    assert again.narrowing.at == NOW + 31
    assert again.blocked_until == NOW + 32


def test_a_shorter_demand_does_not_lift_a_longer_one() -> None:
    spent = Budget(slots=slots(-1), blocked_until=NOW + 50)
    assert narrowed(spent, spent.slots[0], 5, NOW, 1.0).blocked_until == NOW + 50


def test_an_answer_starts_the_window() -> None:
    slot = RequestSlot(id="a", taken=NOW)
    spent = taken(Budget(), slot)
    assert next_free(spent, 1, NOW) == NOW + LEASE + HOLD
    assert next_free(answered(spent, slot, 1, NOW + 3), 1, NOW + 3) == NOW + 3 + HOLD
    assert answered(spent, RequestSlot(id="other", taken=NOW), 1, NOW + 3) == spent


def test_merging_knows_the_answer_that_any_side_knows() -> None:
    (slot,) = slots((-5, OPEN))
    known = replace(slot, answered=NOW)
    other = RequestSlot(id="other", taken=NOW - 9)
    for sides in ([slot], [known]), ([known], [slot]):
        both = merged(Budget(slots=tuple(side)) for side in (*sides, [other]))
        assert both.slots == (other, known)


def test_merging_takes_the_longest_block_and_the_latest_narrowing() -> None:
    old, new = Throttle(at=NOW - 9, low=1), Throttle(at=NOW, low=2)
    sides = [Budget(blocked_until=5.0, narrowing=new), Budget(blocked_until=9.0, narrowing=old), Budget()]
    assert merged(sides) == Budget(blocked_until=9.0, narrowing=new)


@given(
    limit=st.integers(1, 6),
    requests=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 90), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_never_more_than_the_limit_in_any_window(limit: int, requests: list[tuple[float, float, float]]) -> None:
    """Sent as early as allowed; the service counts each request somewhere between its sending and its answer."""
    spent, now, counted = Budget(), NOW, list[float]()
    for number, (gap, latency, where) in enumerate(requests):
        now += gap
        now = max(now, next_free(pruned(spent, now), limit, now))
        slot = RequestSlot(id=str(number), taken=now)
        spent = answered(taken(pruned(spent, now), slot), slot, limit, now + latency)
        counted.append(now + latency * where)
    counted.sort()
    for first, beyond in zip(counted, counted[limit:], strict=False):
        assert beyond - first > WINDOW
