"""How often, and for how long, one object is tried; and which URL each attempt gets."""

from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.fake_service import FakeService, FakeStream
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.session import Session
from dapkit.engine.export import ExportOptions, export
from dapkit.engine.fetch import MOST_CORRUPT, MOST_REFUSALS, Again, RefusedUrlError, Trouble
from dapkit.errors import DapError, DiskFullError, IntegrityError, NetworkError, RateLimitedError, ServerError, TlsError
from dapkit.model import Format, Query
from dapkit.protocol.retry import Patience
from dapkit.protocol.retry import Trouble as Failure


def attempts(error: DapError, *, demand: float | None = None) -> list[Again]:
    trouble, seen = Trouble(Patience()), list[Again]()
    while isinstance(again := trouble.next(Failure(error=error, demand=demand), 0.0, 0.0), Again):
        seen.append(again)
        assert len(seen) < 1000
    return seen


@pytest.mark.parametrize("error", [NetworkError("x"), ServerError("x")])
def test_what_may_pass_is_tried_with_growing_pauses_while_patience_lasts(error: DapError) -> None:
    pauses = [again.pause for again in attempts(error)]
    assert pauses[:3] == [0.5, 0.75, 1.125]
    assert max(pauses) == 60
    assert 900 <= sum(pauses) <= 960


def test_progress_renews_patience_but_coming_as_far_as_before_does_not() -> None:
    trouble = Trouble(Patience())
    failure = Failure(error=NetworkError("x"))
    pauses = []
    for reached in (0, 100, 100, 200):
        trouble.reached(reached)
        again = trouble.next(failure, 1.0, 0.0)
        assert isinstance(again, Again)
        pauses.append(again.pause)
    assert pauses == [0.5, 0.5, 0.75, 0.5]
    assert trouble.trail.spent == 1.5


def test_corruption_refusals_and_what_cannot_pass_are_bounded() -> None:
    assert len(attempts(IntegrityError("x"))) == MOST_CORRUPT - 1
    assert attempts(RefusedUrlError("x")) == [Again(0.0, fresh_url=True)] * (MOST_REFUSALS - 1)
    assert attempts(TlsError("x")) == []
    assert attempts(DiskFullError("x")) == []


def test_a_429_is_obeyed_and_takes_nothing_of_the_patience() -> None:
    seen = attempts(RateLimitedError("x"), demand=100.0)
    assert seen == [Again(100.0)] * 29
    final = Trouble(Patience()).next(Failure(error=RateLimitedError("x"), demand=7200.0), 0.0, 0.0)
    assert isinstance(final, RateLimitedError)
    assert "7200 seconds" in final.message


def test_only_what_may_be_the_url_s_fault_gets_another_one() -> None:
    assert all(again.fresh_url for again in attempts(IntegrityError("x")))
    assert not any(again.fresh_url for again in attempts(NetworkError("x")))
    assert not any(again.fresh_url for again in attempts(ServerError("x")))


class Store(FakeService):
    """Answers the first requests for objects with these statuses and headers."""

    def __init__(self, *first: tuple[int, dict[str, str]], objects: int = 1) -> None:
        super().__init__(VirtualClock(), {"users": objects}, job_seconds=0.0)
        self.first = list(first)
        self.opened: list[float] = []
        self.open = self._open  # type: ignore[method-assign] # instead of the right answers

    def _open(self, url: str, **more: Any) -> Any:
        self.opened.append(self.clock.elapsed)
        return super().open(url, **more) if not self.first else _Refusal(FakeStream(*self.first.pop(0), b""))

    def run(self, output: Path) -> None:
        wanted = ExportOptions(
            namespace="canvas", tables=("users",), query=Query(format=Format.JSONL), output=output, concurrency=2
        )
        result = run_virtually(export(cast(Session, self), wanted, lambda _: None), self.clock)
        assert result.failed == ()


class _Refusal:
    def __init__(self, stream: FakeStream) -> None:
        self.stream = stream

    async def __aenter__(self) -> FakeStream:
        return self.stream

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("status", "urls"), [(429, 1), (503, 1), (403, 2)], ids=["too often", "busy", "the URL is refused"]
)
def test_a_url_is_used_again_unless_it_is_at_fault(tmp_path: Path, status: int, urls: int) -> None:
    store = Store((status, {}))
    store.run(tmp_path)
    assert (len(store.opened), store.asked["url"]) == (2, urls)


@pytest.mark.parametrize("demand", ["45", "Tue, 14 Nov 2023 22:14:05 GMT"])
def test_the_store_is_left_alone_for_as_long_as_its_429_says(tmp_path: Path, demand: str) -> None:
    headers = {"Retry-After": demand, "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    store = Store((429, headers), objects=10)
    store.run(tmp_path)
    assert len(store.opened) == 11
    assert store.opened[0] == 0
    assert min(store.opened[1:]) >= 45
    assert store.asked["url"] == 1


def test_a_store_that_is_busy_keeps_only_the_object_it_spoke_of(tmp_path: Path) -> None:
    store = Store((503, {"Retry-After": "30"}), objects=10)
    store.run(tmp_path)
    assert len(store.opened) == 11
    assert store.opened[-2] < 30 <= store.opened[-1]
