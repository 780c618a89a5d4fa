"""How often, and for how long, one object is tried."""

import pytest

from dapkit.engine.fetch import MOST_CORRUPT, MOST_REFUSALS, EndlessBodyError, RefusedUrlError, Trouble
from dapkit.errors import DapError, DiskFullError, IntegrityError, NetworkError, ServerError, TlsError


def pauses(error: DapError, *, patience: float = 900.0) -> list[float]:
    trouble, now, seen = Trouble(patience), 0.0, list[float]()
    while (pause := trouble.pause(error, now)) is not None:
        seen.append(pause)
        now += pause
        assert len(seen) < 1000
    return seen


@pytest.mark.parametrize("error", [NetworkError("x"), ServerError("x")])
def test_what_may_pass_is_tried_with_growing_pauses_while_patience_lasts(error: DapError) -> None:
    seen = pauses(error)
    assert seen[:4] == [0.5, 1, 2, 4]
    assert max(seen) == 60
    assert 800 < sum(seen) <= 900


def test_progress_renews_patience_but_coming_as_far_as_before_does_not() -> None:
    trouble = Trouble(10.0)
    trouble.pause(NetworkError("x"), 0.0)
    trouble.reached(100)
    assert trouble.since is None
    trouble.pause(NetworkError("x"), 5.0)
    trouble.reached(100)
    assert trouble.since == 5.0


def test_corruption_refusals_and_what_cannot_pass_are_bounded() -> None:
    assert len(pauses(IntegrityError("x"))) == MOST_CORRUPT - 1
    assert pauses(RefusedUrlError("x")) == [0.0] * (MOST_REFUSALS - 1)
    assert pauses(EndlessBodyError("x")) == []
    assert pauses(TlsError("x")) == []
    assert pauses(DiskFullError("x")) == []
