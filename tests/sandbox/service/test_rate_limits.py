"""Request budgets in a sliding window of a minute."""

import pytest

from dapkit.sandbox.service.rate_limits import BUDGETS, WINDOW_MS, Budgets


@pytest.mark.parametrize(
    ("endpoint", "budget"), [("data", 5), ("job", 500), ("list", 5), ("schema", 500), ("url", 200)]
)
def test_the_published_budgets(endpoint: str, budget: int) -> None:
    budgets = Budgets()
    assert [budgets.admit("me", endpoint, 0) for _ in range(budget)] == [None] * budget
    assert budgets.admit("me", endpoint, 0) == WINDOW_MS
    assert BUDGETS[endpoint] == budget


def test_the_window_rolls() -> None:
    budgets = Budgets({"data": 2})
    assert budgets.admit("me", "data", 0) is None
    assert budgets.admit("me", "data", 10_000) is None
    assert budgets.admit("me", "data", 59_999) == 1
    assert budgets.admit("me", "data", 60_000) is None
    assert budgets.admit("me", "data", 60_000) == 10_000


def test_a_rejected_request_does_not_count() -> None:
    budgets = Budgets({"data": 1})
    assert budgets.admit("me", "data", 0) is None
    assert budgets.admit("me", "data", 30_000) == 30_000
    assert budgets.admit("me", "data", 60_000) is None


def test_clients_and_endpoints_are_independent() -> None:
    budgets = Budgets({"data": 1, "list": 1})
    assert budgets.admit("me", "data", 0) is None
    assert budgets.admit("me", "list", 0) is None
    assert budgets.admit("you", "data", 0) is None
    assert [budgets.admit("me", "login", 0) for _ in range(1000)] == [None] * 1000


def test_reset() -> None:
    budgets = Budgets({"data": 1})
    budgets.admit("me", "data", 0)
    budgets.reset()
    assert budgets.admit("me", "data", 0) is None
