"""One job's folder: what is taken over, what is refused, and that nobody else touches it meanwhile."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.fake_service import FakeService, exported, killed, wanted
from tests.support.virtual_time import VirtualClock

from dapkit.client.session import Session
from dapkit.errors import ExpiredError, JournalError, OutputError
from dapkit.events import Event, Retrying
from dapkit.export.run import export
from dapkit.locks import FileLock
from dapkit.model import Format, Job, JobStatus, Query
from dapkit.storage.partial_file import PartialFile
from dapkit.transfer import manifest
from dapkit.transfer import object_download as fetch
from dapkit.transfer.integrity import Verification, verify_file
from dapkit.transfer.locking import job_lock


def test_the_lock_of_a_job_is_held_until_the_last_worker_thread_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, proceed = threading.Event(), threading.Event()
    write = PartialFile.write

    def slow(self: PartialFile, chunks: Any) -> None:
        begun.set()
        proceed.wait(10)
        write(self, chunks)

    monkeypatch.setattr(fetch, "BATCH", 1)
    monkeypatch.setattr(PartialFile, "write", slow)
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
    told: list[Event] = []
    result = exported(fake, wanted(tmp_path, concurrency=1), told.append)
    assert result.failed == ()
    assert [event.pause for event in told if isinstance(event, Retrying)] == [0, 5, 10, 20]
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


@dataclass
class Confused(FakeService):
    """Gives one table's job for every table."""

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        return await super().submit(namespace, "users", query, resubmit=resubmit)


def test_a_job_that_is_given_for_two_tables_is_the_first_ones(tmp_path: Path) -> None:
    fake = Confused(clock=VirtualClock(), tables_objects={"users": 2, "courses": 2})
    for _ in range(2):
        result = exported(fake, wanted(tmp_path))
        assert [table.table for table in result.done] == ["users"]
        assert [(each.table, each.error.code) for each in result.failed] == [("courses", "unexpected-response")]


def test_a_folder_with_the_result_of_another_table_or_query_is_not_adopted(tmp_path: Path) -> None:
    fake = Confused(clock=VirtualClock(), tables_objects={"users": 2, "courses": 2}, job_seconds=0.0)
    assert exported(fake, wanted(tmp_path, tables=("users",))).failed == ()
    result = exported(fake, wanted(tmp_path, tables=("courses",)))
    assert [(each.table, each.error.code) for each in result.failed] == [("courses", "unexpected-response")]
    assert "table users instead of courses" in result.failed[0].error.message
    fake.current = {("users", Query(format=Format.CSV)): "users-0"}
    result = exported(fake, wanted(tmp_path, tables=("users",), query=Query(format=Format.CSV)))
    assert "format jsonl instead of csv" in result.failed[0].error.message
    assert exported(fake, wanted(tmp_path, tables=("users",))).failed == (), "whose it is, goes on"


def test_what_the_journal_calls_whole_is_asked_for_again_when_another_table_is_there(tmp_path: Path) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1}, job_seconds=0.0)
    exported(fake, wanted(tmp_path, tables=("users", "courses", "nosuch")))
    for name in (manifest.NAME, "users-0.0.jsonl.gz"):
        shutil.copy(tmp_path / "job_users-0" / name, tmp_path / "job_courses-1" / name)
    result = exported(fake, wanted(tmp_path, tables=("users", "courses", "nosuch")))
    assert [table.table for table in result.done] == ["users"]
    assert {each.table: each.error.code for each in result.failed}["courses"] == "unexpected-response"


def test_a_file_that_cannot_be_read_any_more_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 3}, job_seconds=0.0)
    exported(fake, wanted(tmp_path))

    def guarded(path: Path, *rest: Any) -> Verification:
        if path.name == "users-0.1.jsonl.gz":
            raise PermissionError(13, "Permission denied")
        return verify_file(path, *rest)

    monkeypatch.setattr("dapkit.transfer.job_download.verify_file", guarded)
    monkeypatch.setattr("dapkit.transfer.object_download.verify_file", guarded)
    assert exported(fake, wanted(tmp_path)).failed == ()
    assert fake.asked["object"] == 4


@pytest.mark.parametrize("pool", ["job_users-0", "job_users-0/users-0.0.jsonl.gz"])
def test_what_stands_in_the_way_of_one_table_stops_no_other(tmp_path: Path, pool: str) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1})
    if "/" in pool:
        (tmp_path / pool).mkdir(parents=True)
    else:
        (tmp_path / pool).touch()
    result = exported(fake, wanted(tmp_path))
    assert [table.table for table in result.done] == ["courses"]
    assert [(each.table, each.error.code) for each in result.failed] == [("users", "output")]


def test_an_output_folder_that_takes_no_files_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1})
    (tmp_path / "job_users-0").touch()
    monkeypatch.setattr("dapkit.export.run.takes_files", lambda _: False)
    with pytest.raises(OutputError, match="job_users-0"):
        exported(fake, wanted(tmp_path))


def test_files_of_an_interrupted_job_go_when_the_successor_of_a_new_run_is_whole(tmp_path: Path) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 3}, job_seconds=0.0, refusals=[503] * 1000)
    killed(fake, wanted(tmp_path), 60.0)
    assert (tmp_path / "job_users-0").is_dir()
    (tmp_path / "job_users-0" / "visible").touch()
    fake.refusals.clear()
    fake.current.clear()
    journal = next((tmp_path / ".dap" / "runs").glob("*.jsonl"))
    content = journal.read_bytes()
    assert exported(fake, wanted(tmp_path, new=True)).failed == ()
    assert [path.name for path in tmp_path.glob("job_*")] == ["job_users-1"]
    journal.write_bytes(b"damaged\n" + content)
    with pytest.raises(JournalError):
        exported(fake, wanted(tmp_path))
    assert exported(fake, wanted(tmp_path, new=True)).failed == ()


@dataclass
class Unsafe(FakeService):
    """Its first job has a name that no folder can bear, and vanishes."""

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        if self.asked["data"] == 0:
            self.asked["data"] += 1
            return Job(id="u/v", status=JobStatus.RUNNING)
        return await super().submit(namespace, table, query, resubmit=resubmit)


def test_an_unsafe_job_that_vanished_does_not_spoil_its_successor(tmp_path: Path) -> None:
    result = exported(Unsafe(clock=VirtualClock(), tables_objects={"users": 1}), wanted(tmp_path))
    assert result.failed == ()
    assert result.done[0].job_id == "users-0"
