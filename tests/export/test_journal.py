"""The journal of a run survives torn ends, reports damage, and replays to the state of the run."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import JournalError, OutputError
from dapkit.export import journal
from dapkit.export.journal import (
    AnyEntry,
    JobAbandonedEntry,
    Journal,
    RunEndedEntry,
    RunStartedEntry,
    TableCompletedEntry,
    TableFailedEntry,
    encode,
    job_entry,
    object_entry,
    parse,
    replay,
)
from dapkit.model import Format, Job, JobStatus, Query
from dapkit.transfer.manifest import ManifestObject
from dapkit.transfer.object_download import ResumePoint

QUERY = Query(format=Format.CSV)
STARTED = RunStartedEntry(time=1.0, service="https://x", namespace="canvas", tables=("users", "courses"), query=QUERY)
JOB = Job(id="j1", status=JobStatus.COMPLETE, objects=("o1", "o2"), at_text="2024-01-01T00:00:00Z", schema_version=3)
POINT = ResumePoint(object_id="o1", name="n", size=4, etag='"e"')
ITEM = ManifestObject(id="o1", name="n", size=4, sha256="ff", rows=1, verified_by=("crc",))
DONE = object_entry("users", "j1", ITEM, 3.0)
STORY: list[AnyEntry] = [
    STARTED,
    job_entry("users", JOB, 2.0),
    object_entry("users", "j1", POINT, 2.5),
    DONE,
    TableCompletedEntry(time=4.0, table="users", job_id="j1"),
    TableFailedEntry(time=5.0, table="courses", code="server", message="no"),
    RunEndedEntry(time=6.0, failed=1),
]


def written(entries: list[AnyEntry]) -> bytes:
    return b"".join(encode(entry) for entry in entries)


def test_entries_are_read_as_they_were_written() -> None:
    content = written(STORY)
    assert parse(content) == (STORY, len(content))


def test_replaying_returns_the_state() -> None:
    state = replay(STORY)
    assert state is not None
    assert state.ended
    assert state.last_entry_at == 6.0
    users = state.tables["users"]
    assert users.job == JOB
    assert users.started == {"o1": POINT}
    assert users.completed == {"o1": ITEM}
    assert users.completed_at == 4.0
    assert state.tables["courses"].failed


def test_a_table_that_failed_is_no_longer_complete() -> None:
    state = replay([*STORY, TableFailedEntry(time=7.0, table="users", code="server", message="no")])
    assert state is not None
    assert state.tables["users"].completed_at is None


def test_a_new_job_discards_the_objects_of_the_previous_one() -> None:
    other = Job(id="j2", status=JobStatus.WAITING)
    state = replay(
        [*STORY[:4], JobAbandonedEntry(time=5.0, table="users", job_id="j1"), job_entry("users", other, 5.0)]
    )
    assert state is not None
    assert state.tables["users"].completed == {}
    assert state.tables["users"].abandoned == ("j1",)
    assert state.tables["users"].job == other


@given(st.integers(0, 2000))
def test_a_torn_end_is_ignored(cut: int) -> None:
    content = written(STORY)
    torn = content[: cut % (len(content) + 1)]
    entries, readable = parse(torn)
    assert entries == STORY[: len(entries)]
    assert content[:readable] == written(entries)


def test_garbage_after_a_power_loss_is_ignored_but_damage_in_the_middle_is_not() -> None:
    content = written(STORY)
    entries, readable = parse(content + b"\0" * 500)
    assert (entries, readable) == (STORY, len(content))
    lines = content.splitlines(keepends=True)
    with pytest.raises(JournalError, match="Line 3"):
        parse(b"".join([*lines[:2], b"{oops}\n", *lines[3:]]))


@pytest.mark.parametrize("content", [b"\0" * 300, encode(STARTED)[:40], b"garbage\n", b"\n" * 3])
def test_without_a_readable_line_there_is_no_run_and_a_new_one_may_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    record = Journal(path)
    assert record.resume() is None
    record.start(STARTED)
    record.close()
    assert parse(path.read_bytes())[0] == [STARTED]


def test_a_later_version_is_an_error() -> None:
    line = encode(STARTED).replace(b'"run-started"', b'"run-started","version":99')
    with pytest.raises(JournalError, match="version 99"):
        parse(line)


def test_a_file_is_continued_after_its_readable_part(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(written(STORY[:2]) + b'{"torn')
    record = Journal(path)
    assert record.resume() == replay(STORY[:2])
    record.append(DONE)
    record.close()
    assert parse(path.read_bytes())[0] == [*STORY[:2], DONE]


def test_a_new_journal_keeps_the_previous_one(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(written(STORY))
    record = Journal(path)
    record.start(STARTED, abandoned=[JobAbandonedEntry(time=1.0, table="users", job_id="old")])
    record.close()
    assert (tmp_path / "run.previous.jsonl").read_bytes() == written(STORY)
    state, _ = journal.read(path)
    assert state is not None
    assert state.tables["users"].abandoned == ("old",)


def test_without_a_file_there_is_no_run(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none.jsonl") == (None, 0)


def test_the_error_for_a_damaged_journal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"garbage\n" + encode(STARTED))
    with pytest.raises(JournalError, match=r"run\.jsonl"):
        Journal(path).resume()


def test_disk_errors_are_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    record = Journal(path)
    record.start(STARTED)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OutputError, match="Input/output"):
        record.flush()
    record.close()
    (tmp_path / "run.previous.jsonl").mkdir()
    with pytest.raises(OutputError):
        Journal(path).start(STARTED)
