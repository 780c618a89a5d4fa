"""Abandoned staging folders are removed; those of runs in progress and other folders stay."""

from pathlib import Path

import pytest

from dapkit.locks import FileLock
from dapkit.replication.stage_cleanup import remove_abandoned_stages

DATABASE = "0123456789abcdef"
STAGES = {
    ".dap/flat/canvas-1": ".dap/runs/canvas-1.lock",
    ".dap/flat/flatten": ".dap/locks/flatten.lock",
    ".dap/raw/job_a": ".dap/raw/.dap/locks/job_a.lock",
    DATABASE: f"{DATABASE}.lock",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stage, lock in STAGES.items():
        (tmp_path / stage).mkdir(parents=True)
        (tmp_path / stage / "part").write_bytes(b"12345")
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / lock).touch()
    return tmp_path


def names(folder: Path, paths: list[Path]) -> set[str]:
    return {str(path.relative_to(folder)) for path in paths}


def test_abandoned_folders_are_removed(folder: Path) -> None:
    planned = remove_abandoned_stages(folder, dry_run=True)
    assert all((folder / stage).is_dir() for stage in STAGES)
    done = remove_abandoned_stages(folder)
    assert done.removed == planned.removed
    assert names(folder, [each.path for each in done.removed]) == set(STAGES)
    assert done.bytes == 5 * len(STAGES)
    assert not any((folder / stage).exists() for stage in STAGES)
    assert "4 staging folders removed" in done._repr_html_()
    assert remove_abandoned_stages(folder).removed == ()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_that_a_run_uses_stays(folder: Path, stage: str, dry_run: bool) -> None:
    with FileLock(folder / STAGES[stage]) as lock:
        assert lock.acquire()
        done = remove_abandoned_stages(folder, dry_run=dry_run)
    # The raw files may be those of any run, so all of them stay.
    expected = {stage, ".dap/raw/job_a"} if "runs" in STAGES[stage] else {stage}
    assert names(folder, list(done.in_use)) == expected
    assert (folder / stage).is_dir()
    assert names(folder, [each.path for each in done.removed]) == set(STAGES) - expected


def test_other_folders_stay(tmp_path: Path) -> None:
    for name in ("fedcba9876543210", "repaired", "job_a", "canvas", ".dap/runs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "repaired.lock").touch()
    assert remove_abandoned_stages(tmp_path).removed == ()
    assert (tmp_path / "fedcba9876543210").is_dir(), "without a lock, it is not ours"


def test_a_missing_folder_has_no_staging_folders(tmp_path: Path) -> None:
    assert remove_abandoned_stages(tmp_path / "none").removed == ()
