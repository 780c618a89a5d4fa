"""How often, and for how long, one object is tried; and who has its file when the run is stopped."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dapkit.engine.fetch import (
    BATCH,
    MOST_CORRUPT,
    MOST_REFUSALS,
    EndlessBodyError,
    Fetcher,
    ObjectTask,
    RefusedUrlError,
    Trouble,
)
from dapkit.engine.journal import ObjectBegun
from dapkit.engine.run import Tally
from dapkit.errors import DapError, DiskFullError, IntegrityError, NetworkError, ServerError, TlsError
from dapkit.model import Format


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


class SlowPart:
    """A part file whose worker thread is slow: it notes what happens to it, and when."""

    def __init__(self, slow: str, *, fails: bool) -> None:
        self.fails = fails
        self.events: list[str] = []
        self.slow = slow
        self.busy = threading.Event()
        self.go_on = threading.Event()

    def write(self, chunks: list[bytes]) -> None:
        self._work("write")

    def finish(self, chunks: list[bytes]) -> None:
        self._work("finish")

    def pause(self, chunks: list[bytes]) -> None:
        self.events.append("pause")

    def close(self) -> None:
        self.events.append("close")

    def discard(self) -> int:
        self.events.append("discard")
        return 0

    def _work(self, name: str) -> None:
        self.events.append(f"{name} begins")
        if name == self.slow:
            self.busy.set()
            assert self.go_on.wait(10)
        self.events.append(f"{name} ends")
        if name == self.slow and self.fails:
            raise IntegrityError("x")


class Body:
    """Three batches."""

    async def chunks(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(BATCH)


@pytest.mark.parametrize("slow", ["write", "finish"])
@pytest.mark.parametrize(
    ("etag", "fails", "last"),
    [('"x"', False, "pause"), ('"x"', True, "close"), ("", False, "discard"), ("", True, "discard")],
)
def test_a_file_is_its_threads_until_that_has_ended(
    tmp_path: Path, slow: str, etag: str, fails: bool, last: str
) -> None:
    part = SlowPart(slow, fails=fails)
    complaints: list[dict[str, Any]] = []

    async def blocking(call: Any, *args: Any) -> Any:
        return await asyncio.to_thread(call, *args)

    run: Any = SimpleNamespace(
        patience=1.0,
        tally=Tally(),
        space=SimpleNamespace(settle=lambda _: None),
        tell=lambda _: None,
        blocking=blocking,
    )
    begun = ObjectBegun(time=0.0, table="t", job_id="j", object_id="o", name="n", size=3 * BATCH, etag=etag)
    task = ObjectTask(table="t", job_id="j", object_id="o", format=Format.PARQUET, final=tmp_path / "n", begun=begun)

    async def stopped_meanwhile() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        fetcher = Fetcher(run, task)
        fetcher._part = part  # type: ignore[assignment]
        stream: Any = Body()
        pouring = asyncio.create_task(fetcher._pour(stream, 0))
        await asyncio.to_thread(part.busy.wait, 10)
        for _ in range(2):  # a second time while it already stops
            pouring.cancel()
            await asyncio.sleep(0.05)
        assert part.events[-1] == f"{slow} begins"
        part.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert part.events[-2:] == [f"{slow} ends", last]

    asyncio.run(stopped_meanwhile())
    gc.collect()
    assert complaints == []
