"""The clock of the machine."""

import asyncio
import time

from dapkit.client.clock import SYSTEM_CLOCK


def test_the_time_of_the_machine() -> None:
    before = time.time()
    assert before <= SYSTEM_CLOCK.now() <= time.time()


def test_sleeping_for_a_negative_time_lets_other_tasks_run() -> None:
    async def work() -> list[str]:
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.ensure_future(other())
        await SYSTEM_CLOCK.sleep(-5)
        order.append("self")
        await task
        return order

    assert asyncio.run(work()) == ["other", "self"]
