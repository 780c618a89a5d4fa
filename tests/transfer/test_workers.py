"""Worker threads and groups of tasks: cancellation waits for running threads, and groups end together."""

import asyncio
import threading

import pytest

from dapkit.transfer.workers import run_all, run_workers, worker_pool


@pytest.mark.parametrize("error", [None, OSError("disk")])
def test_a_cancelled_call_has_ended_before_its_caller_continues(error: OSError | None) -> None:
    started, proceed, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        proceed.wait(10)
        ended.set()
        if error is not None:
            raise error

    async def scenario() -> bool:
        with worker_pool(1) as pool:
            task = asyncio.create_task(pool.run(work))
            await asyncio.to_thread(started.wait, 10)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            proceed.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended.is_set()

    assert asyncio.run(scenario())


def test_results_and_errors_reach_the_caller() -> None:
    async def scenario() -> int:
        with worker_pool(1) as pool:
            with pytest.raises(ValueError, match="int"):
                await pool.run(int, "x")
            return await pool.run(int, "7")

    assert asyncio.run(scenario()) == 7


def test_a_call_has_ended_even_if_its_caller_is_cancelled_several_times() -> None:
    started, proceed, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        proceed.wait(10)
        ended.set()

    async def scenario() -> bool:
        with worker_pool(1) as pool:
            task = asyncio.create_task(pool.run(work))
            await asyncio.to_thread(started.wait, 10)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.01)
            assert not task.done()
            proceed.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended.is_set()

    assert asyncio.run(scenario())


def test_workers_are_limited_and_have_ended_when_one_item_fails() -> None:
    running, most, finished = set[int](), [0], list[int]()

    async def work(item: int) -> None:
        running.add(item)
        most[0] = max(most[0], len(running))
        try:
            await asyncio.sleep(0)
            if item == 50:
                raise ValueError(item)
            finished.append(item)
        finally:
            running.discard(item)

    async def scenario() -> None:
        await run_workers(range(20), work, 4)
        assert sorted(finished) == list(range(20))
        with pytest.raises(ValueError, match="50"):
            await run_workers(range(20, 100), work, 4)
        assert not running

    asyncio.run(scenario())
    assert most[0] == 4


def test_results_keep_their_order_and_the_first_error_is_raised_unwrapped() -> None:
    cancelled: list[float] = []

    async def work(seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.append(seconds)
            raise
        if not seconds:
            raise ValueError("first")
        return seconds

    async def scenario() -> None:
        assert await run_all(work(seconds) for seconds in (0.03, 0.01, 0.02)) == (0.03, 0.01, 0.02)
        with pytest.raises(ValueError, match="first"):
            await run_all(work(seconds) for seconds in (60.0, 0.0, 30.0))

    asyncio.run(scenario())
    assert sorted(cancelled) == [30.0, 60.0]
