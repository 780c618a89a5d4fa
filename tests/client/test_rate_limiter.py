"""The rate limiter in virtual time: order, budgets, several processes, 429s."""

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
    limiter: RateLimiter, clock: VirtualClock, sent: list[tuple[str, float]], name: str, *, resubmit: bool = False
) -> None:
    """Send something that takes a second."""
    position = limiter.queue_position(resubmit=resubmit)
    async with limiter.permit(SUBMIT, position):
        sent.append((name, clock.elapsed))
        await clock.sleep(1.0)


def times(sent: Sequence[tuple[str, float]]) -> list[float]:
    return [round(time) for _, time in sent]


def file_of(folder: Path) -> RateLimitFile:
    return RateLimitFile.of_client(folder, "https://dap.example", "client")


def test_a_budget_is_used_at_once_and_available_a_minute_after_the_responses(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(PUBLISHED_RATE_LIMIT, clock)
        await asyncio.gather(*(request(limiter, clock, sent, str(number)) for number in range(12)))

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == [str(number) for number in range(12)]
    assert times(sent) == [0] * 5 + [61] * 5 + [122] * 2


def test_a_wait_is_reported_once_per_endpoint(clock: VirtualClock) -> None:
    waits: list[tuple[Endpoint, int]] = []

    async def work() -> None:
        limiter = RateLimiter(PUBLISHED_RATE_LIMIT, clock, on_wait=lambda *wait: waits.append(wait))
        await asyncio.gather(*(request(limiter, clock, [], str(number)) for number in range(5)))
        assert waits == []
        await asyncio.gather(*(request(limiter, clock, [], str(number)) for number in range(7)))

    run_virtually(work(), clock)
    assert waits == [(SUBMIT, 5)]


def test_resubmissions_wait_for_first_submissions(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(RateLimit(1), clock)
        early = [
            asyncio.ensure_future(request(limiter, clock, sent, name, resubmit=name.startswith("again")))
            for name in ("first", "again-1", "again-2", "second")
        ]
        await clock.sleep(30)
        await asyncio.gather(request(limiter, clock, sent, "third"), *early)

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == ["first", "second", "third", "again-1", "again-2"]
    assert times(sent) == [0, 61, 122, 183, 244]


def test_without_a_limit_everything_is_sent_at_once(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(NO_RATE_LIMIT, clock)
        await asyncio.gather(*(request(limiter, clock, sent, str(number)) for number in range(50)))

    run_virtually(work(), clock)
    assert times(sent) == [0] * 50


@pytest.mark.parametrize("pace", [PUBLISHED_RATE_LIMIT, NO_RATE_LIMIT])
def test_a_429_blocks_all_requests_for_as_long_as_it_says(clock: VirtualClock, pace: RateLimit) -> None:
    sent: list[tuple[str, float]] = []

    async def rejected(limiter: RateLimiter) -> None:
        async with limiter.permit(SUBMIT, limiter.queue_position()) as permit:
            permit.rate_limited(200.0)

    async def work() -> None:
        limiter = RateLimiter(pace, clock)
        await rejected(limiter)
        await asyncio.gather(*(request(limiter, clock, sent, str(number)) for number in range(3)))

    run_virtually(work(), clock)
    assert times(sent) == [200] * 3


def test_a_429_reduces_a_budget(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(PUBLISHED_RATE_LIMIT, clock)
        async with limiter.permit(SUBMIT, limiter.queue_position()) as permit:
            permit.rate_limited(10.0)
        await asyncio.gather(*(request(limiter, clock, sent, str(number)) for number in range(3)))

    run_virtually(work(), clock)
    assert times(sent) == [10, 60, 71]


def test_other_endpoints_are_independent(clock: VirtualClock) -> None:
    async def work() -> float:
        limiter = RateLimiter(RateLimit(1), clock)
        async with limiter.permit(SUBMIT, limiter.queue_position()) as permit:
            permit.rate_limited(500.0)
        async with limiter.permit(Endpoint.POLL, limiter.queue_position()):
            return clock.elapsed

    assert run_virtually(work(), clock) == 0


def test_a_cancelled_request_leaves_the_queue(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(RateLimit(1), clock)
        await request(limiter, clock, sent, "first")
        waiting = [asyncio.ensure_future(request(limiter, clock, sent, name)) for name in ("cancelled", "second")]
        await clock.sleep(10)
        waiting[0].cancel()
        await asyncio.wait(waiting)

    run_virtually(work(), clock)
    assert [name for name, _ in sent] == ["first", "second"]
    assert times(sent) == [0, 61]


def test_a_request_cancelled_in_flight_still_counts(clock: VirtualClock) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(RateLimit(1), clock)
        task = asyncio.ensure_future(request(limiter, clock, sent, "cancelled"))
        await clock.sleep(0.5)
        task.cancel()
        await request(limiter, clock, sent, "second")

    run_virtually(work(), clock)
    assert sent[1][1] == pytest.approx(60.6)


def test_two_processes_share_one_budget(clock: VirtualClock, tmp_path: Path) -> None:
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiters = [RateLimiter(PUBLISHED_RATE_LIMIT, clock, file_of(tmp_path)) for _ in range(2)]
        await asyncio.gather(*(request(limiters[number % 2], clock, sent, str(number)) for number in range(15)))

    run_virtually(work(), clock)
    moments = [time for _, time in sent]
    assert len(moments) == 15
    assert all(later - earlier > 60 for earlier, later in zip(moments, moments[5:], strict=False))
    assert moments[-1] < 200


def test_a_429_of_one_process_blocks_the_other(clock: VirtualClock, tmp_path: Path) -> None:
    async def work() -> float:
        one, other = (RateLimiter(PUBLISHED_RATE_LIMIT, clock, file_of(tmp_path)) for _ in range(2))
        async with one.permit(SUBMIT, one.queue_position()) as permit:
            permit.rate_limited(300.0)
        async with other.permit(SUBMIT, other.queue_position()):
            return clock.elapsed

    assert run_virtually(work(), clock) == pytest.approx(300)


def test_requests_of_a_killed_process_stop_counting(clock: VirtualClock, tmp_path: Path) -> None:
    async def killed() -> None:
        limiter = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        permit = limiter.permit(SUBMIT, limiter.queue_position())
        await permit.__aenter__()
        limiter._complete = lambda *_: None  # type: ignore[method-assign]  # it was killed

    async def work() -> float:
        limiter = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        async with limiter.permit(SUBMIT, limiter.queue_position()):
            return clock.elapsed

    run_virtually(killed(), clock)
    assert 60 < run_virtually(work(), clock) < 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version": 99, "endpoints": {}}', b'{"version": 1, "endpoints": 5}', b"\x00"]
)
def test_an_invalid_file_counts_as_empty(clock: VirtualClock, tmp_path: Path, content: bytes) -> None:
    file = file_of(tmp_path)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(content)

    async def work() -> float:
        limiter = RateLimiter(RateLimit(1), clock, file)
        async with limiter.permit(SUBMIT, limiter.queue_position()):
            return clock.elapsed

    assert run_virtually(work(), clock) == 0
    assert list(file.read()) == ["submit"]


def test_an_unusable_state_folder_is_ignored(clock: VirtualClock, tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("a file where a folder should be")
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(RateLimit(1), clock, file_of(tmp_path))
        await request(limiter, clock, sent, "first")
        await request(limiter, clock, sent, "second")

    run_virtually(work(), clock)
    assert times(sent) == [0, 61]


def test_a_lock_that_is_never_released_is_ignored(clock: VirtualClock, tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.parent.mkdir(parents=True)
    sent: list[tuple[str, float]] = []

    async def work() -> None:
        limiter = RateLimiter(RateLimit(1), clock, file)
        await request(limiter, clock, sent, "first")
        await request(limiter, clock, sent, "second")

    with FileLock(file.path.with_suffix(".lock")) as lock:
        assert lock.acquire()
        run_virtually(work(), clock)
    assert [round(time, -1) for _, time in sent] == [0, 60]


def test_the_file_name_reveals_neither_the_service_nor_the_client(tmp_path: Path) -> None:
    one = RateLimitFile.of_client(tmp_path, "https://dap.example", "client")
    assert "example" not in one.path.name
    assert "client" not in one.path.name
    assert one.path != RateLimitFile.of_client(tmp_path, "https://dap.example", "other").path
    assert one.path != RateLimitFile.of_client(tmp_path, "https://other.example", "client").path
