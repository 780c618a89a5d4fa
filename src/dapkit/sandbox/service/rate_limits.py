"""Request budgets: how many requests of a kind one client may make in any minute."""

from collections import defaultdict, deque
from collections.abc import Mapping

WINDOW_MS = 60_000

BUDGETS: Mapping[str, int] = {"data": 5, "job": 500, "list": 5, "schema": 500, "url": 200}
"""The published budgets a minute, by endpoint."""


class Budgets:
    """Counts requests in a rolling minute, each client and endpoint by itself."""

    def __init__(self, budgets: Mapping[str, int] = BUDGETS) -> None:
        self._budgets = budgets
        self._taken: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)

    def admit(self, client: str, endpoint: str, now_ms: int) -> int | None:
        """Count a request and return None, or refuse it and return the milliseconds until one is free."""
        budget = self._budgets.get(endpoint)
        if budget is None:
            return None
        taken = self._taken[client, endpoint]
        while taken and taken[0] <= now_ms - WINDOW_MS:
            taken.popleft()
        if len(taken) >= budget:
            return taken[0] + WINDOW_MS - now_ms
        taken.append(now_ms)
        return None

    def reset(self) -> None:
        """Forget every request."""
        self._taken.clear()
