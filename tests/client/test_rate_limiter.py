"""The limiter in virtual time: order, budgets, several processes, refusals."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.rate_limiter import RateLimiter, RateLimitFile
from dapkit.locks import FileLock
from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit
from dapkit.protocol.error_response import Endpoint

SUBMIT = Endpoint.SUBMIT


async def request(
    pacer: RateLimiter, clock: VirtualClock, sent: list[tuple[str, float]], name: str, *, again: bool = False
) -> None:
    """Send something that takes a second."""
    order = pacer.order(again=again)
    async with pacer.turn(SUBMIT, order):
        sent.append((name, clock.elapsed))
        await clock.sleep(1.0)


def times(sent: Sequence[tuple[str, float]]) -> list[float]:
    return [round(time) for _, time in sent]


def file_of(folder: Path) -> RateLimitFile:
    return RateLimitFile.of_client(folder, "https://dap.example", "client")


def test_a_budget_is_spent_at_once_and_freed_a_minute_after_the_answers(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(PUBLISHED_RATE_LIMIT, clock)
        await asyncio.gather(*(request(pacer, clock, sent, str(number)) for number in range(12)))

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == [str(number) for number in range(12)]
    assert times(sent) == [0] * 5 + [61] * 5 + [122] * 2


def test_repeated_submissions_go_behind_first_ones(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(RateLimit(1), clock)
        early = [
            asyncio.ensure_future(request(pacer, clock, sent, name, again=name.startswith("again")))
            for name in ("first", "again-1", "again-2", "second")
        ]
        await clock.sleep(30)
        await asyncio.gather(request(pacer, clock, sent, "third"), *early)

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == ["first", "second", "third", "again-1", "again-2"]
    assert times(sent) == [0, 61, 122, 183, 244]


def test_without_a_pace_everything_goes_at_once(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(NO_RATE_LIMIT, clock)
        await asyncio.gather(*(request(pacer, clock, sent, str(number)) for number in range(50)))

    run_virtually(work(), clock)
    assert times(sent) == [0] * 50


@pytest.mark.parametrize("pace", [PUBLISHED_RATE_LIMIT, NO_RATE_LIMIT])
def test_a_429_holds_everybody_for_as_long_as_it_says(clock: VirtualClock, pace: RateLimit) -> None:
    sent: list[tuple[str, float]] = []

    async def refused(pacer: RateLimiter) -> None:
        async with pacer.turn(SUBMIT, pacer.order()) as turn:
            turn.refused(200.0)

    async def work() -> None:
        pacer = RateLimiter(pace, clock)
        await refused(pacer)
        await asyncio.gather(*(request(pacer, clock, sent, str(number)) for number in range(3)))

    run_virtually(work(), clock)
    assert times(sent) == [200] * 3


def test_a_429_narrows_a_budget(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(PUBLISHED_RATE_LIMIT, clock)
        async with pacer.turn(SUBMIT, pacer.order()) as turn:
            turn.refused(10.0)
        await asyncio.gather(*(request(pacer, clock, sent, str(number)) for number in range(3)))

    run_virtually(work(), clock)
    assert times(sent) == [10, 60, 71]


def test_other_endpoints_are_independent(clock: VirtualClock) -> None:
    async def work() -> float:
        pacer = RateLimiter(RateLimit(1), clock)
        async with pacer.turn(SUBMIT, pacer.order()) as turn:
            turn.refused(500.0)
        async with pacer.turn(Endpoint.POLL, pacer.order()):
            return clock.elapsed

    assert run_virtually(work(), clock) == 0


def test_who_is_cancelled_leaves_the_queue_and_the_budget(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(RateLimit(1), clock)
        await request(pacer, clock, sent, "first")
        waiting = [asyncio.ensure_future(request(pacer, clock, sent, name)) for name in ("gone", "second")]
        await clock.sleep(10)
        waiting[0].cancel()
        await asyncio.wait(waiting)

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == ["first", "second"]
    assert times(sent) == [0, 61]


def test_who_is_cancelled_on_the_way_still_counts(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(RateLimit(1), clock)
        task = asyncio.ensure_future(request(pacer, clock, sent, "gone"))
        await clock.sleep(0.5)
        task.cancel()
        await request(pacer, clock, sent, "second")

    run_virtually(work(), clock)
    assert sent[1][1] == pytest.approx(60.6)


def test_two_processes_share_one_budget(clock: VirtualClock, tmp_path: Path) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacers = [RateLimiter(PUBLISHED_RATE_LIMIT, clock, file_of(tmp_path)) for _ in range(2)]
        await asyncio.gather(*(request(pacers[number % 2], clock, sent, str(number)) for number in range(15)))

    run_virtually(work(), clock)
    moments = [time for _, time in sent]
    assert len(moments) == 15
    assert all(later - earlier > 60 for earlier, later in zip(moments, moments[5:], strict=False))
    assert moments[-1] < 200


def test_a_429_of_one_process_holds_the_other(clock: VirtualClock, tmp_path: Path) -> None:
    async def work() -> float:
        one, other = (RateLimiter(PUBLISHED_RATE_LIMIT, clock, file_of(tmp_path)) for _ in range(2))
        async with one.turn(SUBMIT, one.order()) as turn:
            turn.refused(300.0)
        async with other.turn(SUBMIT, other.order()):
            return clock.elapsed

    assert run_virtually(work(), clock) == pytest.approx(300)


def test_what_a_killed_process_had_under_way_is_freed_in_time(clock: VirtualClock, tmp_path: Path) -> None:
    async def killed() -> None:
        pacer = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        turn = pacer.turn(SUBMIT, pacer.order())
        await turn.__aenter__()
        pacer._settle = lambda *_: None  # type: ignore[method-assign]  # it is dead

    async def work() -> float:
        pacer = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        async with pacer.turn(SUBMIT, pacer.order()):
            return clock.elapsed

    run_virtually(killed(), clock)
    assert 60 < run_virtually(work(), clock) < 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version": 99, "lanes": {}}', b'{"version": 1, "lanes": 5}', b"\x00"]
)
def test_a_file_that_cannot_be_understood_counts_as_empty(clock: VirtualClock, tmp_path: Path, content: bytes) -> None:
    file = file_of(tmp_path)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(content)

    async def work() -> float:
        pacer = RateLimiter(RateLimit(1), clock, file)
        async with pacer.turn(SUBMIT, pacer.order()):
            return clock.elapsed

    assert run_virtually(work(), clock) == 0
    assert list(file.read()) == ["submit"]


def test_a_state_folder_that_cannot_be_used_is_done_without(clock: VirtualClock, tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("a file where a folder should be")
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        await request(pacer, clock, sent, "first")
        await request(pacer, clock, sent, "second")

    run_virtually(work(), clock)
    assert times(sent) == [0, 61]


def test_a_lock_that_is_never_given_back_is_done_without(clock: VirtualClock, tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.parent.mkdir(parents=True)
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        pacer = RateLimiter(RateLimit(1), clock, file)
        await request(pacer, clock, sent, "first")
        await request(pacer, clock, sent, "second")

    with FileLock(file.path.with_suffix(".lock")) as lock:
        assert lock.acquire()
        run_virtually(work(), clock)
    assert [round(time, -1) for _, time in sent] == [0, 60]


def test_the_file_names_neither_the_service_nor_the_client(tmp_path: Path) -> None:
    one = RateLimitFile.of_client(tmp_path, "https://dap.example", "client")
    assert "example" not in one.path.name
    assert "client" not in one.path.name
    assert one.path != RateLimitFile.of_client(tmp_path, "https://dap.example", "other").path
    assert one.path != RateLimitFile.of_client(tmp_path, "https://other.example", "client").path
