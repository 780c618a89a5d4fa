"""Folders of killed commands are removed, unless another command uses them."""

from pathlib import Path

import pytest

from dapkit.errors import DiskFullError, OutputError
from dapkit.locks import FileLock
from dapkit.replication import staging


def left(root: Path) -> Path:
    folder = staging.comparison_folder(root, "duckdb:college", "canvas")
    staging.make_private(folder)
    (folder / "part.tsv.gz").write_bytes(b"x")
    return folder


def test_an_abandoned_folder_is_removed(tmp_path: Path) -> None:
    folder = left(tmp_path)
    staging.remove_abandoned(folder)
    assert not folder.exists()
    staging.remove_abandoned(folder)  # it is removed already


def test_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    folder = left(tmp_path)
    with FileLock(staging.lock_path(folder)) as lock:
        assert lock.acquire()
        staging.remove_abandoned(folder)
        assert folder.exists()
    staging.remove_abandoned(folder)
    assert not folder.exists()


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    staging.remove_abandoned(staging.comparison_folder(tmp_path / "stage", "duckdb:college", "canvas"))
    assert not (tmp_path / "stage").exists()


def test_each_target_and_namespace_has_its_own_folders(tmp_path: Path) -> None:
    resources = [("a", "canvas"), ("b", "canvas"), ("a", "catalog")]
    folders = {
        kind(tmp_path, *pool) for pool in resources for kind in (staging.staging_folder, staging.comparison_folder)
    }
    assert len(folders) == 6


def test_only_the_owner_can_read_a_staging_folder(tmp_path: Path) -> None:
    folder = left(tmp_path / "stage")
    assert folder.stat().st_mode & 0o77 == 0


def test_the_hint_of_an_unusable_folder_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught, staging.stage_errors():
        staging.make_private(tmp_path / "file" / "folder")
    assert "--stage" in caught.value.hint
    with pytest.raises(DiskFullError) as full, staging.stage_errors():
        raise DiskFullError("The disk is full")
    assert full.value.hint == DiskFullError.default_hint
