"""Going on from whatever an earlier run, or another program, left behind, through the installed command."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import SandboxProcess, assert_honest, files, sandbox_process, snapshot_words

TABLES = ("users", "courses")
HOUR = 3600

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path / "state", part_rows=60) as running:
        yield running


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return snapshot_words(tmp_path / "out", tables=TABLES)


@pytest.fixture
def truth(sandbox: SandboxProcess, tmp_path: Path) -> dict[str, bytes]:
    """What a run that nothing disturbs brings from jobs that the sandbox then has already."""
    assert sandbox.dap(*snapshot_words(tmp_path / "truth", tables=TABLES)).returncode == 0
    found = files(tmp_path / "truth")
    assert len(found) > 4
    return found


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.05)


def kill_midway(sandbox: SandboxProcess, words: list[str]) -> set[str]:
    """Kill a run that has all of courses and some of users; return the names of its job folders."""
    output = Path(words[-1])
    sandbox.misbehave("stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*words) as running:
        until(lambda: len(list(output.glob("job_*/part-*"))) > 2, "some files are whole")
        until(lambda: len(list(output.glob("job_*/.manifest.json"))) == 1, "courses is whole")
        running.kill()
    sandbox.misbehave()
    return {path.name for path in output.glob("job_*")}


def journal_of(output: Path) -> Path:
    (journal,) = output.glob(".dap/runs/*.jsonl")
    return journal


def age(journal: Path, hours: float) -> None:
    """Make a journal as much older as if the run had been so many hours ago."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in entries:
        entry["time"] -= hours * HOUR
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def manifests(output: Path, table: str) -> list[dict[str, Any]]:
    """Return the manifests of a table's whole jobs, the oldest data first."""
    found = [json.loads(path.read_bytes()) for path in output.glob("job_*/.manifest.json")]
    return sorted((each for each in found if each["table"] == table), key=lambda each: str(each["at"]))


def assert_clean(sandbox: SandboxProcess, output: Path) -> None:
    assert sandbox.dap("verify", str(output)).returncode == 0
    assert not list(output.rglob("*.part"))


def test_a_run_of_the_day_before_is_not_continued_and_its_half_job_goes(
    sandbox: SandboxProcess, words: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, words)
    assert len(before) == 2
    (kept,) = (path.parent.name for path in tmp_path.glob("out/job_*/.manifest.json"))
    age(journal_of(tmp_path / "out"), 21)
    sandbox.skip(25 * HOUR)
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert "continuing" not in done.stderr
    now = {path.name for path in tmp_path.glob("out/job_*")}
    assert now & before == {kept}  # what is whole stays; the half job had a successor
    assert len(now) == 3
    assert_clean(sandbox, tmp_path / "out")


def test_a_run_of_the_day_before_whose_jobs_still_live_costs_nothing_again(
    sandbox: SandboxProcess, truth: dict[str, bytes], words: list[str], tmp_path: Path
) -> None:
    kill_midway(sandbox, words)
    assert_honest(tmp_path / "out", truth)
    age(journal_of(tmp_path / "out"), 21)
    inodes = {path: path.stat().st_ino for path in tmp_path.glob("out/job_*/part-*")}
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert "continuing" not in done.stderr
    assert files(tmp_path / "out") == truth
    assert {path: path.stat().st_ino for path in inodes} == inodes
    assert_clean(sandbox, tmp_path / "out")


def test_a_run_of_an_hour_ago_is_continued_though_its_jobs_are_gone(
    sandbox: SandboxProcess, words: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, words)
    age(journal_of(tmp_path / "out"), 1)
    sandbox.skip(25 * HOUR)
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr
    assert len({path.name for path in tmp_path.glob("out/job_*")} & before) == 1
    assert len(list(tmp_path.glob("out/job_*"))) == 2
    assert_clean(sandbox, tmp_path / "out")


@pytest.mark.parametrize("hours", [1, 5])
def test_after_a_partly_failed_run_what_is_old_is_asked_again(
    sandbox: SandboxProcess, words: list[str], tmp_path: Path, hours: int
) -> None:
    then = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours)
    sandbox.set_data_time(then.isoformat())
    sandbox.misbehave("500:users@data")
    failed = sandbox.with_environ(DAP_PATIENCE="0.5").dap(*words)
    assert failed.returncode == 3, failed.stderr
    assert len(manifests(tmp_path / "out", "courses")) == 1
    sandbox.misbehave()
    sandbox.advance(hours)
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    courses = manifests(tmp_path / "out", "courses")
    assert len(courses) == (2 if hours > 4 else 1)
    assert len(manifests(tmp_path / "out", "users")) == 1
    assert (courses[-1]["at"] == manifests(tmp_path / "out", "users")[0]["at"]) == (hours > 4)
    assert_clean(sandbox, tmp_path / "out")


@pytest.mark.parametrize(
    "torn", [b"", b'{"event":"object-done","time":17', b'{"event":"run-ended","time":1.0,"fai\x00']
)
def test_a_torn_last_line_costs_nothing(
    sandbox: SandboxProcess, truth: dict[str, bytes], words: list[str], tmp_path: Path, torn: bytes
) -> None:
    kill_midway(sandbox, words)
    journal = journal_of(tmp_path / "out")
    content = journal.read_bytes()
    journal.write_bytes(content + torn if torn else content[:-20])
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr
    assert files(tmp_path / "out") == truth
    assert_clean(sandbox, tmp_path / "out")
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("spoil", [half, flipped, lambda content: content + b"more", lambda _: b""])
def test_a_wrong_file_of_another_program_under_a_final_name_is_put_right(
    sandbox: SandboxProcess,
    truth: dict[str, bytes],
    words: list[str],
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
) -> None:
    resources = sorted(truth)
    wrong, right = resources[0], resources[1]
    for place, content in ((wrong, spoil(truth[wrong])), (right, truth[right])):
        path = tmp_path / "out" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    was = (tmp_path / "out" / right).stat()
    done = sandbox.dap(*words)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == truth
    assert (tmp_path / "out" / right).stat().st_ino == was.st_ino, "what is right already was replaced"
    assert_clean(sandbox, tmp_path / "out")


def test_objects_of_one_name_get_names_of_their_own(
    sandbox: SandboxProcess, truth: dict[str, bytes], words: list[str], tmp_path: Path
) -> None:
    sandbox.misbehave("same-name")
    assert sandbox.dap(*words).returncode == 0
    found = files(tmp_path / "out")
    assert sorted(found.values()) == sorted(truth.values())
    assert_clean(sandbox, tmp_path / "out")
    again = sandbox.dap(*words)
    assert again.returncode == 0
    assert files(tmp_path / "out") == found


def test_objects_of_one_name_survive_a_kill(
    sandbox: SandboxProcess, truth: dict[str, bytes], words: list[str], tmp_path: Path
) -> None:
    sandbox.misbehave("same-name", "stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*words) as running:
        until(lambda: len(list(tmp_path.glob("out/job_*/part*"))) > 2, "some files are whole")
        running.kill()
    sandbox.misbehave("same-name")
    assert sandbox.dap(*words).returncode == 0
    assert sorted(files(tmp_path / "out").values()) == sorted(truth.values())
    assert_clean(sandbox, tmp_path / "out")


def test_the_files_of_a_job_that_was_given_up_go_when_its_successor_is_whole(
    sandbox: SandboxProcess, words: list[str], tmp_path: Path
) -> None:
    before = kill_midway(sandbox, words)
    (whole,) = (path.parent.name for path in tmp_path.glob("out/job_*/.manifest.json"))
    (lost,) = before - {whole}
    sandbox.skip(25 * HOUR)
    sandbox.misbehave("stall:50%:users@object")
    with sandbox.with_environ(DAP_READ_TIMEOUT="60").start(*words) as running:
        until(lambda: len(list(tmp_path.glob("out/job_*"))) == 3, "a new job is fetched")
        running.kill()
    assert (tmp_path / "out" / lost).is_dir(), "it went before its successor was whole"
    sandbox.misbehave()
    assert sandbox.dap(*words).returncode == 0
    assert not (tmp_path / "out" / lost).exists()
    assert len(list(tmp_path.glob("out/job_*"))) == 2
    assert_clean(sandbox, tmp_path / "out")
