"""Waiting for a condition instead of sleeping, so that a busy machine makes a test slower but not wrong."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], description: str) -> None:
    """Poll until a condition is true. After a minute, which only a hang takes, the test fails."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"this did not happen within a minute: {description}"
        time.sleep(0.01)
