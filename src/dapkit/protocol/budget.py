"""How often the service may be asked, as a value over time.

A budget is a number of requests in any 60 seconds. We count a request from the moment it is sent until 60
seconds after its answer, since only then is it certain to have left the service's own window. A refusal for
asking too often (429) blocks the lane for as long as the service says, and narrows it to half, from where it
widens again in equal steps.

A lane without a budget knows only the requests that are on their way. A 429 halves how many may be so at once, though
never to less than a handful, and every answer to a later request allows one more: enough to get along with a service
that keeps a budget all the same, and little lost to one that refuses at random.

Nothing here waits or keeps anything: `client/pace.py` does.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from dapkit.errors import UsageError
from dapkit.protocol.error_response import Endpoint

WINDOW: Final = 60.0
"""Seconds over which the service counts."""

MARGIN: Final = 0.1
"""Seconds added to the window, for clocks that do not tick alike."""

LEASE: Final = 120.0
"""Seconds after which a request that another process never reported as answered is taken as answered."""

RECOVERY: Final = 600.0
"""Seconds in which a narrowed lane widens to what it was."""

HANDFUL: Final = 8
"""Requests that may always be on their way at once in a lane without a budget."""

PUBLISHED: Final = {
    Endpoint.TABLES: 5,
    Endpoint.SCHEMA: 500,
    Endpoint.SUBMIT: 5,
    Endpoint.POLL: 500,
    Endpoint.SIGN: 200,
}
"""Requests a minute that the service's documentation allows; the login has no published budget."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast a client asks: `submissions` new jobs a minute, all else in the published proportion.

    None means as fast as it likes, until the service says 429.
    """

    submissions: int | None = PUBLISHED[Endpoint.SUBMIT]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `published`, `none` or a whole number of at least 1.

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
            f"{text!r} is not a pace.",
            hint="Give published, none, or how many jobs may be created a minute (the service allows 5).",
        )

    def limit(self, endpoint: Endpoint) -> int | None:
        """Return how many requests a minute the endpoint gets; None for any number."""
        if self.submissions is None or endpoint not in PUBLISHED:
            return None
        return max(1, PUBLISHED[endpoint] * self.submissions // PUBLISHED[Endpoint.SUBMIT])


PUBLISHED_RATE_LIMIT: Final = RateLimit()
NO_RATE_LIMIT: Final = RateLimit(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSlot:
    """One request: who sent it, when, and when its answer came (seconds since the epoch)."""

    id: str
    taken: float
    answered: float | None = None

    def frees(self) -> float:
        """Return when it no longer counts; a lease stands in for an answer that did not come yet."""
        return (self.taken + LEASE if self.answered is None else self.answered) + WINDOW + MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """What the last 429 did, and when.

    Args:
        at: the time.
        low: down to so many requests a minute; in a lane without a budget, so many on their way at once by now.
    """

    at: float
    low: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one endpoint's lane has spent. `blocked_until` is what the service demanded."""

    slots: tuple[RequestSlot, ...] = ()
    blocked_until: float = 0.0
    narrowing: Throttle | None = None


def pruned(budget: Budget, now: float) -> Budget:
    """Return the budget without what no longer matters.

    Times from the future, which a clock that was set back leaves behind, count as past.
    """
    slots = tuple(slot for slot in budget.slots if now < slot.frees() and slot.taken <= now + MARGIN)
    narrowing = budget.narrowing
    if narrowing is not None and not 0 <= now - narrowing.at + MARGIN < RECOVERY:
        narrowing = None
    return replace(budget, slots=slots, narrowing=narrowing)


def width(budget: Budget, limit: int | None, now: float) -> int | None:
    """Return how many slots there are right now; None for any number."""
    narrowing = budget.narrowing
    if narrowing is None or now - narrowing.at >= RECOVERY:
        return limit
    if limit is None:
        return narrowing.low
    share = max(0.0, now - narrowing.at) / RECOVERY
    return min(limit, narrowing.low + math.floor((limit - narrowing.low) * share))


def next_free(budget: Budget, limit: int | None, now: float) -> float:
    """Return when the next request may be sent, as far as is known; what is not after `now` means at once."""
    allowed = width(budget, limit, now)
    if allowed is None or len(budget.slots) < allowed:
        return budget.blocked_until
    over = len(budget.slots) - allowed
    frees = sorted(slot.frees() for slot in budget.slots)[over]
    return max(frees, budget.blocked_until)


def taken(budget: Budget, slot: RequestSlot) -> Budget:
    """Return the budget with one more request on its way."""
    return replace(budget, slots=(*budget.slots, slot))


def answered(budget: Budget, answer_to: RequestSlot, limit: int | None, now: float) -> Budget:
    """Return the budget after the answer to a request, whatever it was; a 429 has narrowed it before."""
    if limit is not None:
        return replace(
            budget,
            slots=tuple(replace(slot, answered=now) if slot.id == answer_to.id else slot for slot in budget.slots),
        )
    narrowing = budget.narrowing
    if narrowing is not None and answer_to.taken > narrowing.at:
        narrowing = replace(narrowing, low=narrowing.low + 1)
    return replace(budget, slots=tuple(slot for slot in budget.slots if slot.id != answer_to.id), narrowing=narrowing)


def narrowed(budget: Budget, slot: RequestSlot, limit: int | None, now: float, pause: float) -> Budget:
    """Return the budget after a 429.

    Requests that were on their way when the lane was narrowed say nothing new: they block it, but narrow no
    further.

    Args:
        budget: what is spent.
        slot: the request that was refused.
        limit: requests a minute that the lane has when nothing narrows it.
        now: when the refusal came.
        pause: seconds that the service demands.
    """
    blocked = replace(budget, blocked_until=max(budget.blocked_until, now + pause))
    if budget.narrowing is not None and slot.taken <= budget.narrowing.at:
        return blocked
    before = width(budget, limit, now)
    if limit is None:
        low = max(HANDFUL, min(len(budget.slots), before or len(budget.slots)) // 2)
    else:
        low = max(1, (before or limit) // 2)
    return replace(blocked, narrowing=Throttle(at=now, low=low))


def merged(budgets: Iterable[Budget]) -> Budget:
    """Return what several processes have spent together; of one request, what is known later wins."""
    slots: dict[str, RequestSlot] = {}
    blocked_until = 0.0
    narrowing: Throttle | None = None
    for budget in budgets:
        for slot in budget.slots:
            known = slots.get(slot.id)
            if known is None or known.answered is None:
                slots[slot.id] = slot
        blocked_until = max(blocked_until, budget.blocked_until)
        if budget.narrowing is not None and (narrowing is None or budget.narrowing.at > narrowing.at):
            narrowing = budget.narrowing
    return Budget(
        slots=tuple(sorted(slots.values(), key=lambda slot: slot.taken)),
        blocked_until=blocked_until,
        narrowing=narrowing,
    )
