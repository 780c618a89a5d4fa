"""What events say beyond their fields."""

import pytest

from dapkit.events import JobsPlanned


@pytest.mark.parametrize(
    ("jobs", "per_minute", "seconds"), [(93, 5, 1116.0), (5, 5, 0.0), (6, 5, 72.0), (93, None, 0.0), (0, 1, 0.0)]
)
def test_the_minimum_duration_follows_from_the_rate_limit(jobs: int, per_minute: int | None, seconds: float) -> None:
    assert JobsPlanned(jobs=jobs, per_minute=per_minute).min_seconds == seconds
