"""Settings of slow Hypothesis tests: few examples in the fast tier, ten times as many in a soak run."""

import os

from hypothesis import HealthCheck, settings

__all__ = ["few_examples"]

_SOAK_FACTOR = 10


def few_examples(count: int, *, shares_fixtures: bool = False) -> settings:
    """Return settings that limit the number of examples.

    Args:
        count: how many examples are enough in the fast tier.
        shares_fixtures: whether all examples may share the test's function-scoped fixtures.
    """
    examples = count * _SOAK_FACTOR if "DAPKIT_SOAK" in os.environ else count
    suppressed = [HealthCheck.too_slow, *([HealthCheck.function_scoped_fixture] if shares_fixtures else [])]
    return settings(max_examples=examples, suppress_health_check=suppressed)
