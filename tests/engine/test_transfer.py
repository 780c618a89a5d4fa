"""One job's folder: what is taken over, what is refused, and that nobody else touches it meanwhile."""

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.fake_service import FakeService
from tests.support.virtual_time import VirtualClock

from dapkit.client.session import Session
from dapkit.engine import fetch
from dapkit.engine.export import ExportOptions, export
from dapkit.engine.locking import job_lock
from dapkit.engine.part import PartFile
from dapkit.locks import FileLock
from dapkit.model import Format, Query


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
    wanted = ExportOptions(namespace="canvas", tables=("users",), query=Query(format=Format.JSONL), output=tmp_path)

    def free() -> bool:
        with FileLock(job_lock(tmp_path, "users-0")) as lock:
            return lock.acquire()

    async def scenario() -> None:
        task = asyncio.create_task(export(cast(Session, fake), wanted, lambda _: None))
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
