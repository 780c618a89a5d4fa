"""One job's folder: what is reused, what is rejected, and that only one process writes to it."""

import asyncio
import io
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.support.fake_service import FakeService, Faults, as_session, exported, killed, wanted
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.jobs import run_job
from dapkit.errors import ExpiredError, JournalError, OutputError
from dapkit.events import Event, Retrying
from dapkit.export.run import export
from dapkit.locks import FileLock
from dapkit.model import Format, Job, JobStatus, Query
from dapkit.storage.base import ContentCheck, Folder
from dapkit.storage.local import LocalFolder, LocalPartialFile
from dapkit.transfer import manifest, object_download
from dapkit.transfer.job_download import NOTHING_KNOWN, DownloadedJob, KnownObjects, download_job, job_folder
from dapkit.transfer.manifest import ManifestObject
from dapkit.transfer.object_download import ResumePoint
from dapkit.transfer.resources import DiskSpace, DownloadResources
from dapkit.transfer.workers import worker_pool


def test_the_lock_of_a_job_is_held_until_the_last_worker_thread_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, proceed = threading.Event(), threading.Event()
    write = LocalPartialFile.write

    def slow(self: LocalPartialFile[Any], chunks: Any) -> None:
        started.set()
        proceed.wait(10)
        write(self, chunks)

    monkeypatch.setattr(object_download, "BATCH", 1)
    monkeypatch.setattr(LocalPartialFile, "write", slow)
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0, rows=5000)

    def free() -> bool:
        path = job_folder(tmp_path, "users-0").lock
        assert path is not None
        with FileLock(path) as lock:
            return lock.acquire()

    async def scenario() -> None:
        task = asyncio.create_task(export(as_session(fake), wanted(tmp_path), lambda _: None))
        await asyncio.to_thread(started.wait, 10)
        for _ in range(3):  # at its end, asyncio.run cancels all tasks, including those that wait for others
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
            await asyncio.sleep(0.01)
        assert not free()
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert free()

    asyncio.run(scenario())


def test_objects_that_disappear_for_a_while_are_waited_for_and_nothing_is_downloaded_twice(
    tmp_path: Path,
) -> None:
    fake = Forgetful(clock=VirtualClock(), tables_objects={"users": 40}, job_seconds=0.0, knows=[True, *[False] * 4])
    events: list[Event] = []
    result = exported(fake, wanted(tmp_path, concurrency=1), events.append)
    assert result.failed == ()
    assert [event.pause for event in events if isinstance(event, Retrying)] == [0, 5, 10, 20]
    assert result.done[0].job_id == "users-0"
    assert fake.asked["object"] == 40
    assert 5 + 10 + 20 <= result.seconds < 60


@dataclass
class Forgetful(FakeService):
    """Forgets the objects of its jobs for some calls: `knows` says for which; afterwards it knows them."""

    knows: list[bool] = field(default_factory=list)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        if self.knows and not self.knows.pop(0):
            raise ExpiredError("no object")
        return await super().sign(object_ids)


@dataclass
class Confused(FakeService):
    """Returns one table's job for every table."""

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        return await super().submit(namespace, "users", query, resubmit=resubmit)


def test_a_job_that_is_returned_for_two_tables_belongs_to_the_first(tmp_path: Path) -> None:
    fake = Confused(clock=VirtualClock(), tables_objects={"users": 2, "courses": 2})
    for _ in range(2):
        result = exported(fake, wanted(tmp_path))
        assert [table.table for table in result.done] == ["users"]
        assert [(each.table, each.error.code) for each in result.failed] == [("courses", "unexpected-response")]


def test_a_folder_with_the_result_of_another_table_or_query_is_not_reused(tmp_path: Path) -> None:
    fake = Confused(clock=VirtualClock(), tables_objects={"users": 2, "courses": 2}, job_seconds=0.0)
    assert exported(fake, wanted(tmp_path, tables=("users",))).failed == ()
    result = exported(fake, wanted(tmp_path, tables=("courses",)))
    assert [(each.table, each.error.code) for each in result.failed] == [("courses", "unexpected-response")]
    assert "table users instead of courses" in result.failed[0].error.message
    fake.current = {("users", Query(format=Format.CSV)): "users-0"}
    result = exported(fake, wanted(tmp_path, tables=("users",), query=Query(format=Format.CSV)))
    assert "format jsonl instead of csv" in result.failed[0].error.message
    assert exported(fake, wanted(tmp_path, tables=("users",))).failed == (), (
        "the table that owns the folder is not affected"
    )


def test_a_complete_table_is_requested_again_if_its_folder_contains_another_table(tmp_path: Path) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1}, job_seconds=0.0)
    exported(fake, wanted(tmp_path, tables=("users", "courses", "nosuch")))
    for name in (manifest.NAME, "users-0.0.jsonl.gz"):
        shutil.copy(tmp_path / "job_users-0" / name, tmp_path / "job_courses-1" / name)
    result = exported(fake, wanted(tmp_path, tables=("users", "courses", "nosuch")))
    assert [table.table for table in result.done] == ["users"]
    assert {each.table: each.error.code for each in result.failed}["courses"] == "unexpected-response"


def test_an_unreadable_file_is_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 3}, job_seconds=0.0)
    exported(fake, wanted(tmp_path))

    open_file = LocalFolder.open

    def guarded(folder: LocalFolder, name: str) -> Any:
        if name == "users-0.1.jsonl.gz":
            raise PermissionError(13, "Permission denied")
        return open_file(folder, name)

    monkeypatch.setattr(LocalFolder, "open", guarded)
    assert exported(fake, wanted(tmp_path)).failed == ()
    assert fake.asked["object"] == 4


@pytest.mark.parametrize("obstacle", ["job_users-0", "job_users-0/users-0.0.jsonl.gz"])
def test_a_blocked_path_of_one_table_does_not_stop_the_others(tmp_path: Path, obstacle: str) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1})
    if "/" in obstacle:
        (tmp_path / obstacle).mkdir(parents=True)
    else:
        (tmp_path / obstacle).touch()
    result = exported(fake, wanted(tmp_path))
    assert [table.table for table in result.done] == ["courses"]
    assert [(each.table, each.error.code) for each in result.failed] == [("users", "output")]


def test_an_output_folder_that_is_not_writable_stops_all_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1, "courses": 1})
    (tmp_path / "job_users-0").touch()
    monkeypatch.setattr("dapkit.export.isolation.is_writable", lambda _: False)
    with pytest.raises(OutputError, match="job_users-0"):
        exported(fake, wanted(tmp_path))


def test_files_of_an_interrupted_job_are_deleted_when_a_new_run_has_replaced_them(tmp_path: Path) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 3}, job_seconds=0.0, rejections=[503] * 1000)
    killed(fake, wanted(tmp_path), 60.0)
    assert (tmp_path / "job_users-0").is_dir()
    (tmp_path / "job_users-0" / "visible").touch()
    fake.rejections.clear()
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
    """Its first job has an id that cannot be the name of a folder, and disappears."""

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        if self.asked["data"] == 0:
            self.asked["data"] += 1
            return Job(id="u/v", status=JobStatus.RUNNING)
        return await super().submit(namespace, table, query, resubmit=resubmit)


def test_an_unsafe_job_that_disappeared_does_not_affect_its_successor(tmp_path: Path) -> None:
    result = exported(Unsafe(clock=VirtualClock(), tables_objects={"users": 1}), wanted(tmp_path))
    assert result.failed == ()
    assert result.done[0].job_id == "users-0"


class MemoryFolder:
    """A store that can neither append nor rename, as object stores are: a file appears when it is complete."""

    resumable = False
    atomic_replace = False
    lock = None

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created = self.flushed = False

    def __str__(self) -> str:
        return "memory:"

    def create(self) -> None:
        self.created = True

    def names(self) -> list[str]:
        return sorted(self.files)

    def size(self, name: str) -> int:
        return len(self._content(name))

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self._content(name))

    def partial(self, name: str) -> "MemoryUpload":
        return MemoryUpload(self, name)

    def replace(self, name: str, content: bytes) -> None:
        self.files[name] = content

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def flush(self) -> None:
        self.flushed = True

    def _content(self, name: str) -> bytes:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]


class MemoryUpload:
    """An upload that exists in the store only once it is complete."""

    def __init__(self, folder: MemoryFolder, name: str) -> None:
        self.folder, self.name, self.content = folder, name, bytearray()
        self.check: ContentCheck[Any] | None = None

    def size(self) -> int:
        return 0

    def start(self, check: ContentCheck[Any], offset: int) -> None:
        assert offset == 0
        self.check = check
        self.content.clear()

    def write(self, chunks: Sequence[bytes]) -> None:
        assert self.check is not None
        for chunk in chunks:
            self.check.update(chunk)
            self.content += chunk

    def verify(self, chunks: Sequence[bytes]) -> Any:
        assert self.check is not None
        self.write(chunks)
        return self.check.finish(io.BytesIO(self.content))

    def flush(self) -> None:
        """Nothing is kept in a cache."""

    def commit(self) -> None:
        assert self.name not in self.folder.files, "it cannot replace"
        self.folder.files[self.name] = bytes(self.content)

    def suspend(self, chunks: Sequence[bytes]) -> None:
        self.discard()

    def discard(self) -> int:
        lost = len(self.content)
        self.content.clear()
        return lost

    def close(self) -> None:
        self.discard()


def download(
    fake: FakeService, output: Path, folder: Folder, known: KnownObjects = NOTHING_KNOWN
) -> tuple[DownloadedJob, KnownObjects]:
    """Get a job and download it with nothing but a session; return what should be recorded, too."""
    started: dict[str, ResumePoint] = {}
    completed: dict[str, ManifestObject] = {}

    def on_object(item: ResumePoint | ManifestObject) -> None:
        if isinstance(item, ManifestObject):
            completed[item.id] = item
        else:
            started[item.object_id] = item

    async def scenario() -> DownloadedJob:
        session = as_session(fake)
        finished = await run_job(session, "canvas", "users", Query(format=Format.JSONL))
        with worker_pool(2) as pool:
            resources = DownloadResources(session=session, worker_pool=pool, disk_space=DiskSpace(output))
            return await download_job(resources, finished, folder, known=known, on_object=on_object)

    return run_virtually(scenario(), fake.clock), KnownObjects(started=started, completed=completed)


def test_a_job_is_downloaded_without_journal_and_listener(tmp_path: Path) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 3})
    folder = job_folder(tmp_path, "users-0")
    first, known = download(fake, tmp_path, folder)
    assert (first.reused, first.manifest.rows) == (False, 60)
    assert set(known.completed) == {"users-0.0", "users-0.1", "users-0.2"}
    assert {path.name for path in tmp_path.rglob("*.jsonl*")} == {f"users-0.{number}.jsonl.gz" for number in range(3)}
    again, nothing_new = download(fake, tmp_path, folder)
    assert (again.reused, again.manifest) == (True, first.manifest)
    assert nothing_new == NOTHING_KNOWN
    (folder.path / manifest.NAME).unlink()
    resumed, nothing_new = download(fake, tmp_path, folder, known)
    assert resumed.manifest.objects == first.manifest.objects
    assert (fake.asked["object"], nothing_new) == (3, NOTHING_KNOWN), "what was recorded is not downloaded again"


def test_a_store_needs_neither_append_nor_rename(tmp_path: Path) -> None:
    faults = Faults(cut=0.3, corrupt=0.2)
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 5}, seed=3, faults=faults, rows=2000)
    folder = MemoryFolder()
    folder.files["users-0.0.jsonl.gz"] = b"left by another program"
    downloaded, known = download(fake, tmp_path, folder)
    assert downloaded.manifest.rows == 10_000
    assert folder.flushed
    names = {f"users-0.{number}.jsonl.gz": fake.content(f"users-0.{number}") for number in range(5)}
    assert {name: content for name, content in folder.files.items() if name != manifest.NAME} == names
    assert known.started == {}, "nothing can be resumed"
    assert not list(tmp_path.iterdir())
    assert download(fake, tmp_path, folder)[0].reused
