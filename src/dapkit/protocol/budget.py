"""PURE: how many requests may be sent when, as a value over time.

A budget is a number of requests in any 60 seconds. The service counts a request at some moment between our sending it
and our receiving its response. We therefore count it from the sending until 60 seconds after the response: only then
has it certainly left the service's own window. A rejected request (429) blocks the endpoint for as long as the service
says and halves the budget, which then recovers in equal steps.

An endpoint without a budget only limits the requests in flight, and only after a 429: it halves their number, though
never below `MIN_CONCURRENT`, and each response to a later request allows one more. This adapts to a service that does
enforce a budget, and costs little with one that rejects at random.

`client/rate_limiter` waits and stores; this module only computes.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from dapkit.errors import UsageError
from dapkit.protocol.error_response import Endpoint

WINDOW: Final = 60.0
"""Seconds over which the service counts."""

CLOCK_TOLERANCE: Final = 0.1
"""Seconds added to the window, because two clocks never run at exactly the same speed."""

RESPONSE_TIMEOUT: Final = 120.0
"""Seconds after which a request counts as answered even if its process, perhaps killed, never recorded a response."""

RECOVERY_TIME: Final = 600.0
"""Seconds in which a throttled endpoint returns to its full budget."""

MIN_CONCURRENT: Final = 8
"""Requests that may always be in flight at an endpoint without a budget."""

PUBLISHED: Final = {
    Endpoint.TABLES: 5,
    Endpoint.SCHEMA: 500,
    Endpoint.SUBMIT: 5,
    Endpoint.POLL: 500,
    Endpoint.SIGN: 200,
}
"""Requests per minute that the service's documentation allows; it publishes no budget for the login."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The rate of requests: new jobs per minute, and all other requests in the published proportion.

    None: no limit until the service answers 429.
    """

    jobs_per_minute: int | None = PUBLISHED[Endpoint.SUBMIT]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `published`, `none` or a whole number from 1 to 1000.

        Raises:
            UsageError: anything else.
        """
        word = text.strip().lower()
        if word == "published":
            return cls()
        if word == "none":
            return cls(None)
        if word.isascii() and word.isdigit() and 0 < int(word) <= 1000:
            return cls(int(word))
        raise UsageError(
            f"Invalid pace {text!r}",
            hint="Use published, none, or the number of jobs per minute, from 1 to 1000 (the service allows 5).",
        )

    def requests_per_minute(self, endpoint: Endpoint) -> int | None:
        """Return the endpoint's budget; None means unlimited."""
        if self.jobs_per_minute is None or endpoint not in PUBLISHED:
            return None
        return max(1, PUBLISHED[endpoint] * self.jobs_per_minute // PUBLISHED[Endpoint.SUBMIT])


PUBLISHED_RATE_LIMIT: Final = RateLimit()
NO_RATE_LIMIT: Final = RateLimit(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSlot:
    """One request that counts against a budget. Times are seconds since the epoch."""

    id: str
    sent_at: float
    answered_at: float | None = None

    def expires_at(self) -> float:
        """Return when the request stops counting."""
        answered_at = self.sent_at + RESPONSE_TIMEOUT if self.answered_at is None else self.answered_at
        return answered_at + WINDOW + CLOCK_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """The effect of the last 429.

    Args:
        since: when it was received.
        limit: requests per minute allowed then; at an endpoint without a budget, requests in flight allowed now.
    """

    since: float
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one endpoint has used. Nothing may be sent before `blocked_until`, which a 429 set."""

    slots: tuple[RequestSlot, ...] = ()
    blocked_until: float = 0.0
    throttle: Throttle | None = None


def remove_expired(budget: Budget, now: float) -> Budget:
    """Return the budget without requests and throttles that no longer count.

    Times in the future remain after a clock was set back; they are removed too, or they would block for hours.
    """
    slots = tuple(slot for slot in budget.slots if now < slot.expires_at() and slot.sent_at <= now + CLOCK_TOLERANCE)
    throttle = budget.throttle
    if throttle is not None and not 0 <= now - throttle.since + CLOCK_TOLERANCE < RECOVERY_TIME:
        throttle = None
    return replace(budget, slots=slots, throttle=throttle)


def current_limit(budget: Budget, limit: int | None, now: float) -> int | None:
    """Return how many slots there are at this time; None means any number."""
    throttle = budget.throttle
    if throttle is None or now - throttle.since >= RECOVERY_TIME:
        return limit
    if limit is None:
        return throttle.limit
    recovered = max(0.0, now - throttle.since) / RECOVERY_TIME
    return min(limit, throttle.limit + math.floor((limit - throttle.limit) * recovered))


def next_request_time(budget: Budget, limit: int | None, now: float) -> float:
    """Return when the next request may be sent, as far as is known; a time that is not after `now` means at once."""
    allowed = current_limit(budget, limit, now)
    if allowed is None or len(budget.slots) < allowed:
        return budget.blocked_until
    excess = len(budget.slots) - allowed
    return max(sorted(slot.expires_at() for slot in budget.slots)[excess], budget.blocked_until)


def add_request(budget: Budget, slot: RequestSlot) -> Budget:
    """Return the budget with one more request in flight."""
    return replace(budget, slots=(*budget.slots, slot))


def complete_request(budget: Budget, request: RequestSlot, limit: int | None, now: float) -> Budget:
    """Return the budget after the response to a request. For a 429, call `apply_rate_limit` first."""
    if limit is not None:
        slots = tuple(replace(slot, answered_at=now) if slot.id == request.id else slot for slot in budget.slots)
        return replace(budget, slots=slots)
    throttle = budget.throttle
    if throttle is not None and request.sent_at > throttle.since:
        throttle = replace(throttle, limit=throttle.limit + 1)
    return replace(budget, slots=tuple(slot for slot in budget.slots if slot.id != request.id), throttle=throttle)


def apply_rate_limit(budget: Budget, request: RequestSlot, limit: int | None, now: float, pause: float) -> Budget:
    """Return the budget after a 429.

    Args:
        budget: what has been used.
        request: the request that was rejected.
        limit: requests per minute without throttling.
        now: when the response was received.
        pause: seconds that the service asks for.
    """
    blocked = replace(budget, blocked_until=max(budget.blocked_until, now + pause))
    # Requests that were in flight when the budget was halved belong to the old rate: their 429s say nothing about
    # the new one. They prolong the block, but halving again would stop the run after one burst.
    if budget.throttle is not None and request.sent_at <= budget.throttle.since:
        return blocked
    before = current_limit(budget, limit, now)
    if limit is None:
        reduced = max(MIN_CONCURRENT, min(len(budget.slots), before or len(budget.slots)) // 2)
    else:
        reduced = max(1, (before or limit) // 2)
    return replace(blocked, throttle=Throttle(since=now, limit=reduced))


def merge(budgets: Iterable[Budget]) -> Budget:
    """Return what several processes have used together; a request that one of them saw answered is answered."""
    slots: dict[str, RequestSlot] = {}
    blocked_until = 0.0
    throttle: Throttle | None = None
    for budget in budgets:
        for slot in budget.slots:
            known = slots.get(slot.id)
            if known is None or known.answered_at is None:
                slots[slot.id] = slot
        blocked_until = max(blocked_until, budget.blocked_until)
        if budget.throttle is not None and (throttle is None or budget.throttle.since > throttle.since):
            throttle = budget.throttle
    ordered = tuple(sorted(slots.values(), key=lambda slot: slot.sent_at))
    return Budget(slots=ordered, blocked_until=blocked_until, throttle=throttle)
