"""Resuming with what an earlier run or another program left behind."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import (
    SandboxProcess,
    assert_files_correct,
    files,
    sandbox_process,
    snapshot_arguments,
)
from tests.support.waiting import wait_until

TABLES = ("users", "courses")
HOUR = 3600

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path / "state", part_rows=60) as running:
        yield running


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return snapshot_arguments(tmp_path / "out", tables=TABLES)


@pytest.fixture
def expected(sandbox: SandboxProcess, tmp_path: Path) -> dict[str, bytes]:
    """The files of an undisturbed run. The sandbox then returns the same jobs to later runs."""
    assert sandbox.dap(*snapshot_arguments(tmp_path / "expected", tables=TABLES)).returncode == 0
    found = files(tmp_path / "expected")
    assert len(found) > 4
    return found


def kill_midway(sandbox: SandboxProcess, arguments: list[str]) -> set[str]:
    """Kill a run that has completed `courses` and part of `users`; return the names of its job folders."""
    output = Path(arguments[-1])
    sandbox.set_faults("stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*arguments) as running:
        wait_until(lambda: len(list(output.glob("job_*/part-*"))) > 2, "some files are complete")
        wait_until(lambda: len(list(output.glob("job_*/.manifest.json"))) == 1, "courses is complete")
        running.kill()
    sandbox.set_faults()
    return {path.name for path in output.glob("job_*")}


def journal_of(output: Path) -> Path:
    (journal,) = output.glob(".dap/runs/*.jsonl")
    return journal


def age(journal: Path, hours: float) -> None:
    """Make a journal look as if the run had taken place that many hours ago."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in entries:
        entry["time"] -= hours * HOUR
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def manifests(output: Path, table: str) -> list[dict[str, Any]]:
    """Return the manifests of a table's complete jobs, oldest data first."""
    found = [json.loads(path.read_bytes()) for path in output.glob("job_*/.manifest.json")]
    return sorted((each for each in found if each["table"] == table), key=lambda each: str(each["at"]))


def assert_clean(sandbox: SandboxProcess, output: Path) -> None:
    assert sandbox.dap("verify", str(output)).returncode == 0
    assert not list(output.rglob("*.part"))


def test_a_run_from_yesterday_is_not_resumed_and_its_incomplete_job_is_deleted(
    sandbox: SandboxProcess, arguments: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, arguments)
    assert len(before) == 2
    (kept,) = (path.parent.name for path in tmp_path.glob("out/job_*/.manifest.json"))
    age(journal_of(tmp_path / "out"), 21)
    sandbox.skip(25 * HOUR)
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert "resuming" not in done.stderr
    now = {path.name for path in tmp_path.glob("out/job_*")}
    assert now & before == {kept}  # the complete job stays; the incomplete one was replaced
    assert len(now) == 3
    assert_clean(sandbox, tmp_path / "out")


def test_files_of_a_run_from_yesterday_are_reused_if_its_jobs_still_exist(
    sandbox: SandboxProcess, expected: dict[str, bytes], arguments: list[str], tmp_path: Path
) -> None:
    kill_midway(sandbox, arguments)
    assert_files_correct(tmp_path / "out", expected)
    age(journal_of(tmp_path / "out"), 21)
    inodes = {path: path.stat().st_ino for path in tmp_path.glob("out/job_*/part-*")}
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert "resuming" not in done.stderr
    assert files(tmp_path / "out") == expected
    assert {path: path.stat().st_ino for path in inodes} == inodes
    assert_clean(sandbox, tmp_path / "out")


def test_a_run_from_an_hour_ago_is_resumed_even_if_its_jobs_have_expired(
    sandbox: SandboxProcess, arguments: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, arguments)
    age(journal_of(tmp_path / "out"), 1)
    sandbox.skip(25 * HOUR)
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert len({path.name for path in tmp_path.glob("out/job_*")} & before) == 1
    assert len(list(tmp_path.glob("out/job_*"))) == 2
    assert_clean(sandbox, tmp_path / "out")


@pytest.mark.parametrize("hours", [1, 5])
def test_after_a_partial_failure_tables_with_old_data_are_requested_again(
    sandbox: SandboxProcess, arguments: list[str], tmp_path: Path, hours: int
) -> None:
    then = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours)
    sandbox.set_data_time(then.isoformat())
    sandbox.set_faults("500:users@data")
    failed = sandbox.with_environ(DAP_RETRY_TIMEOUT="0.5").dap(*arguments)
    assert failed.returncode == 3, failed.stderr
    assert len(manifests(tmp_path / "out", "courses")) == 1
    sandbox.set_faults()
    sandbox.advance(hours)
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    courses = manifests(tmp_path / "out", "courses")
    assert len(courses) == (2 if hours > 4 else 1)
    assert len(manifests(tmp_path / "out", "users")) == 1
    assert (courses[-1]["at"] == manifests(tmp_path / "out", "users")[0]["at"]) == (hours > 4)
    assert_clean(sandbox, tmp_path / "out")


@pytest.mark.parametrize(
    "torn", [b"", b'{"event":"object-completed","time":17', b'{"event":"run-ended","time":1.0,"fai\x00']
)
def test_a_torn_last_line_of_the_journal_is_ignored(
    sandbox: SandboxProcess, expected: dict[str, bytes], arguments: list[str], tmp_path: Path, torn: bytes
) -> None:
    kill_midway(sandbox, arguments)
    journal = journal_of(tmp_path / "out")
    content = journal.read_bytes()
    journal.write_bytes(content + torn if torn else content[:-20])
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert files(tmp_path / "out") == expected
    assert_clean(sandbox, tmp_path / "out")
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda content: content + b"more", lambda _: b""])
def test_a_wrong_file_under_a_final_name_is_replaced(
    sandbox: SandboxProcess,
    expected: dict[str, bytes],
    arguments: list[str],
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
) -> None:
    wrong, right = sorted(expected)[:2]
    for place, content in ((wrong, damage(expected[wrong])), (right, expected[right])):
        path = tmp_path / "out" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    was = (tmp_path / "out" / right).stat()
    done = sandbox.dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == expected
    assert (tmp_path / "out" / right).stat().st_ino == was.st_ino, "a correct file was replaced"
    assert_clean(sandbox, tmp_path / "out")


def test_objects_with_the_same_name_get_different_file_names(
    sandbox: SandboxProcess, expected: dict[str, bytes], arguments: list[str], tmp_path: Path
) -> None:
    sandbox.set_faults("same-name")
    assert sandbox.dap(*arguments).returncode == 0
    found = files(tmp_path / "out")
    assert sorted(found.values()) == sorted(expected.values())
    assert_clean(sandbox, tmp_path / "out")
    again = sandbox.dap(*arguments)
    assert again.returncode == 0
    assert files(tmp_path / "out") == found


def test_objects_with_the_same_name_survive_a_kill(
    sandbox: SandboxProcess, expected: dict[str, bytes], arguments: list[str], tmp_path: Path
) -> None:
    sandbox.set_faults("same-name", "stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*arguments) as running:
        wait_until(lambda: len(list(tmp_path.glob("out/job_*/part*"))) > 2, "some files are complete")
        running.kill()
    sandbox.set_faults("same-name")
    assert sandbox.dap(*arguments).returncode == 0
    assert sorted(files(tmp_path / "out").values()) == sorted(expected.values())
    assert_clean(sandbox, tmp_path / "out")


def test_files_of_an_abandoned_job_are_deleted_once_its_successor_is_complete(
    sandbox: SandboxProcess, arguments: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, arguments)
    (complete,) = (path.parent.name for path in tmp_path.glob("out/job_*/.manifest.json"))
    (lost,) = before - {complete}
    sandbox.skip(25 * HOUR)
    sandbox.set_faults("stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*arguments) as running:
        wait_until(lambda: len(list(tmp_path.glob("out/job_*"))) == 3, "a new job is downloaded")
        running.kill()
    assert (tmp_path / "out" / lost).is_dir(), "it was deleted before its successor was complete"
    sandbox.set_faults()
    assert sandbox.dap(*arguments).returncode == 0
    assert not (tmp_path / "out" / lost).exists()
    assert len(list(tmp_path.glob("out/job_*"))) == 2
    assert_clean(sandbox, tmp_path / "out")
