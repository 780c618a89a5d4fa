"""What tables share: worker threads that nobody is left alone with."""

import asyncio
import threading
from pathlib import Path

import pytest

from dapkit.errors import OutputError
from dapkit.transfer.context import DiskSpace, run_workers, worker_pool


@pytest.mark.parametrize("error", [None, OSError("disk")])
def test_a_cancelled_call_has_ended_before_its_caller_goes_on(error: OSError | None) -> None:
    begun, proceed, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        proceed.wait(10)
        ended.set()
        if error is not None:
            raise error

    async def scenario() -> bool:
        with worker_pool(1) as pool:
            task = asyncio.create_task(pool.blocking(work))
            await asyncio.to_thread(begun.wait, 10)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            proceed.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended.is_set()

    assert asyncio.run(scenario())


def test_a_result_and_an_error_arrive() -> None:
    async def scenario() -> int:
        with worker_pool(1) as pool:
            with pytest.raises(ValueError, match="int"):
                await pool.blocking(int, "x")
            return await pool.blocking(int, "7")

    assert asyncio.run(scenario()) == 7


def test_a_call_has_ended_however_often_its_caller_is_cancelled() -> None:
    begun, proceed, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        proceed.wait(10)
        ended.set()

    async def scenario() -> bool:
        with worker_pool(1) as pool:
            task = asyncio.create_task(pool.blocking(work))
            await asyncio.to_thread(begun.wait, 10)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.01)
            assert not task.done()
            proceed.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended.is_set()

    assert asyncio.run(scenario())


def test_shared_work_is_bounded_and_has_ended_when_one_item_fails() -> None:
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


def test_a_folder_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        DiskSpace(tmp_path / "gone").reserve(1)
