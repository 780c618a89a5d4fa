"""Request budgets: how many requests a client may send to an endpoint within any minute."""

from collections import defaultdict, deque
from collections.abc import Mapping

WINDOW_MS = 60_000

BUDGETS: Mapping[str, int] = {"data": 5, "job": 500, "list": 5, "schema": 500, "url": 200}
"""The published budgets per minute, by endpoint."""


class Budgets:
    """Counts requests in a sliding window of a minute, separately for each client and endpoint."""

    def __init__(self, budgets: Mapping[str, int] = BUDGETS) -> None:
        self._budgets = budgets
        # The times of the admitted requests. A bucket that refills or a fixed window would admit up to twice the budget
        # within some minute; the published budgets hold for any minute.
        self._admitted: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)

    def admit(self, client: str, endpoint: str, now_ms: int) -> int | None:
        """Admit a request (None), or reject it and return the milliseconds until the next one is admitted.

        A rejected request does not count against the budget.
        """
        budget = self._budgets.get(endpoint)
        if budget is None:
            return None
        admitted = self._admitted[client, endpoint]
        while admitted and admitted[0] <= now_ms - WINDOW_MS:
            admitted.popleft()
        if len(admitted) >= budget:
            return admitted[0] + WINDOW_MS - now_ms
        admitted.append(now_ms)
        return None

    def reset(self) -> None:
        """Forget all requests."""
        self._admitted.clear()
