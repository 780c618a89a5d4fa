"""One job's folder: what is taken over, what is refused, and that nobody else touches it meanwhile."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.fake_service import FakeService, exported, wanted
from tests.support.virtual_time import VirtualClock

from dapkit.client.session import Session
from dapkit.engine import fetch
from dapkit.engine.export import export
from dapkit.engine.locking import job_lock
from dapkit.engine.part import PartFile
from dapkit.errors import ExpiredError
from dapkit.locks import FileLock


def test_the_lock_of_a_job_is_held_until_the_last_worker_thread_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, proceed = threading.Event(), threading.Event()
    write = PartFile.write

    def slow(self: PartFile, chunks: Any) -> None:
        begun.set()
        proceed.wait(10)
        write(self, chunks)

    monkeypatch.setattr(fetch, "BATCH", 1)
    monkeypatch.setattr(PartFile, "write", slow)
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0, rows=5000)

    def free() -> bool:
        with FileLock(job_lock(tmp_path, "users-0")) as lock:
            return lock.acquire()

    async def scenario() -> None:
        task = asyncio.create_task(export(cast(Session, fake), wanted(tmp_path), lambda _: None))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):  # what ends a loop cancels every task, whoever waits for it
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
            await asyncio.sleep(0.01)
        assert not free()
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert free()

    asyncio.run(scenario())


def test_objects_that_the_service_does_not_know_for_a_moment_are_waited_for_and_nothing_is_fetched_twice(
    tmp_path: Path,
) -> None:
    fake = Forgetful(clock=VirtualClock(), tables_objects={"users": 40}, job_seconds=0.0, knows=[True, *[False] * 4])
    result = exported(fake, wanted(tmp_path, concurrency=1))
    assert result.failed == ()
    assert result.done[0].job_id == "users-0"
    assert fake.asked["object"] == 40
    assert 5 + 10 + 20 <= result.seconds < 60


@dataclass
class Forgetful(FakeService):
    """Does not always know the objects of its jobs: `knows` says when, call by call, and then for ever."""

    knows: list[bool] = field(default_factory=list)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        if self.knows and not self.knows.pop(0):
            raise ExpiredError("no object")
        return await super().sign(object_ids)
