"""Results that are no longer needed are removed, and nothing else; also after a kill at any step."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored_results import CONTENT, write_flat, write_raw

from dapkit.errors import OutputError, UsageError
from dapkit.export.prune import REMOVING, prune
from dapkit.export.prune_plan import PruneRule
from dapkit.export.stored_results import stored_results
from dapkit.locks import FileLock

ONE = PruneRule(keep=1)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if ".dap" not in path.parts)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Any]:
    """Hold a lock below the folder, as another process would."""
    locks: list[FileLock] = []

    def hold(name: str) -> None:
        path = tmp_path / ".dap" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        assert lock.acquire()
        locks.append(lock)

    yield hold
    for lock in locks:
        lock.release()


def test_old_results_are_removed_with_their_folders(tmp_path: Path) -> None:
    old, new = write_raw(tmp_path, "a", at=1), write_raw(tmp_path, "b", at=2)
    flat = write_flat(tmp_path, at=5)
    before = write_flat(tmp_path, since=1, until=4)
    planned = prune(tmp_path, ONE, dry_run=True)
    assert set(stored_results(tmp_path).results) == {flat, before, old, new}
    done = prune(tmp_path, ONE)
    assert done.removed == planned.removed
    assert set(done.removed) == {old, before}
    assert (done.kept, done.bytes) == (2, old.bytes + before.bytes)
    assert contents(tmp_path) == [
        "canvas", "canvas/users.csv", "canvas/users.csv.state.json",
        "job_b", "job_b/.manifest.json", "job_b/part.jsonl.gz",
    ]  # fmt: skip
    assert "job_a" in done._repr_html_()


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    for number in range(3):
        write_raw(tmp_path, f"{number}", at=number)
    (tmp_path / "job_9").mkdir()
    (tmp_path / "job_9" / REMOVING).write_text("{}")
    before = contents(tmp_path)
    assert len(prune(tmp_path, ONE, dry_run=True).removed) == 2
    assert contents(tmp_path) == before
    assert not (tmp_path / ".dap").exists()


def test_files_that_no_manifest_names_stay(tmp_path: Path) -> None:
    old = write_raw(tmp_path, "a", at=1)
    write_raw(tmp_path, "b", at=2)
    (old.path / "notes.txt").touch()
    (tmp_path / "job_c").mkdir()
    (tmp_path / "job_c" / "part.jsonl.gz").touch()
    (tmp_path / "canvas").mkdir()
    (tmp_path / "canvas" / "users.csv").touch()
    done = prune(tmp_path, ONE)
    assert done.removed == (old,)
    assert [each.path.name for each in done.incomplete] == ["job_c"]
    assert contents(tmp_path) == [
        "canvas", "canvas/users.csv", "job_a", "job_a/notes.txt", "job_b", "job_b/.manifest.json",
        "job_b/part.jsonl.gz", "job_c", "job_c/part.jsonl.gz",
    ]  # fmt: skip


def test_a_damaged_snapshot_does_not_count(tmp_path: Path) -> None:
    good, damaged = write_raw(tmp_path, "a", at=1), write_raw(tmp_path, "b", at=2)
    (damaged.path / "part.jsonl.gz").write_bytes(b"")
    assert prune(tmp_path, ONE).removed == ()
    assert good.path.is_dir()
    assert damaged.path.is_dir()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("lock", ["locks/job_a.lock", "locks/flatten.lock", "locks/flat_canvas.users.lock"])
def test_a_raw_result_that_is_in_use_stays(tmp_path: Path, held: Any, lock: str, dry_run: bool) -> None:
    old, older = write_raw(tmp_path, "a", at=1), write_raw(tmp_path, "0", at=0)
    write_raw(tmp_path, "b", at=2)
    held(lock)
    done = prune(tmp_path, ONE, dry_run=dry_run)
    assert done.removed == ((older,) if "job_a" in lock else ())
    assert (old.path, f"is in use by process {os.getpid()}") in [(each.path, each.message) for each in done.skipped]
    assert old.path.is_dir()


def test_a_flat_file_stays_while_a_run_writes_its_table(tmp_path: Path, held: Any) -> None:
    mine, other = write_flat(tmp_path, since=0, until=1), write_flat(tmp_path, since=0, until=1, namespace="catalog")
    write_flat(tmp_path, at=2)
    write_flat(tmp_path, at=2, namespace="catalog")
    held("locks/flat_canvas.users.lock")
    done = prune(tmp_path, ONE)
    assert done.removed == (other,)
    assert [each.path for each in done.skipped] == [mine.path]
    assert mine.path.exists()


def test_a_symbolic_link_stays(tmp_path: Path) -> None:
    old = write_raw(tmp_path, "a", at=1)
    write_raw(tmp_path, "b", at=2)
    elsewhere = tmp_path / "elsewhere"
    old.path.rename(elsewhere)
    old.path.symlink_to(elsewhere, target_is_directory=True)
    assert [each.message for each in prune(tmp_path, ONE).skipped] == ["is a symbolic link"]
    assert (elsewhere / "part.jsonl.gz").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", range(8))
def test_a_kill_leaves_nothing_that_looks_complete_and_the_next_call_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    old, changes = write_raw(tmp_path, "a", at=1), write_flat(tmp_path, since=0, until=1)
    new, flat = write_raw(tmp_path, "b", at=2), write_flat(tmp_path, at=2)
    steps = iter(range(after))
    real = {name: getattr(Path, name) for name in ("unlink", "replace", "rmdir")}

    def killed_at(name: str) -> Any:
        def step(path: Path, *args: Any, **kwargs: Any) -> Any:
            if next(steps, None) is None:
                raise Killed
            return real[name](path, *args, **kwargs)

        return step

    with monkeypatch.context() as patched:
        for name in real:
            patched.setattr(Path, name, killed_at(name))
        try:
            prune(tmp_path, ONE)
        except Killed:
            pass
        else:
            assert after == 7, "seven steps are all"
    left = set(stored_results(tmp_path).results)
    assert {new, flat} <= left <= {new, flat, old, changes}
    for each in left:
        assert all(file.read_bytes() for file in each.files)
    prune(tmp_path, ONE)
    # An empty folder may remain: a download that begins now could have created it.
    assert [name for name in contents(tmp_path) if not (tmp_path / name).is_dir()] == [
        "canvas/users.csv", "canvas/users.csv.state.json", "job_b/.manifest.json", "job_b/part.jsonl.gz",
    ]  # fmt: skip


def test_a_job_that_was_downloaded_again_after_a_kill_stays(tmp_path: Path) -> None:
    result = write_raw(tmp_path, "a", at=1)
    manifest = result.path / ".manifest.json"
    (result.path / REMOVING).write_bytes(manifest.read_bytes())
    prune(tmp_path, ONE)
    assert contents(tmp_path) == ["job_a", "job_a/.manifest.json", "job_a/part.jsonl.gz"]


def test_a_damaged_note_of_a_removal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "job_a").mkdir()
    (tmp_path / "job_a" / REMOVING).write_text("{")
    (tmp_path / "job_a" / "part.jsonl.gz").write_bytes(CONTENT)
    prune(tmp_path, ONE)
    assert contents(tmp_path) == ["job_a", f"job_a/{REMOVING}", "job_a/part.jsonl.gz"]


def test_an_error_of_the_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raw(tmp_path, "a", at=1)
    write_raw(tmp_path, "b", at=2)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", forbidden)
    with pytest.raises(OutputError, match="job_a: Permission denied"):
        prune(tmp_path, ONE)


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        prune(tmp_path / "none", ONE)
