"""What tables share: worker threads that nobody is left alone with."""

import asyncio
import threading

import pytest

from dapkit.engine.run import workshop


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
        with workshop(1) as place:
            task = asyncio.create_task(place.blocking(work))
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
        with workshop(1) as place:
            with pytest.raises(ValueError, match="int"):
                await place.blocking(int, "x")
            return await place.blocking(int, "7")

    assert asyncio.run(scenario()) == 7
