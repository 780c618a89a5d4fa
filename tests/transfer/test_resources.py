"""Disk space that several downloads reserve, and pauses that the store requests."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from dapkit.errors import DiskFullError, OutputError
from dapkit.transfer.resources import DiskSpace, StoreBackoff


def test_downloads_cannot_reserve_more_than_is_free_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    space = DiskSpace(tmp_path)
    space.reserve(60)
    with pytest.raises(DiskFullError, match="100 bytes free, but 101 bytes are needed"):
        space.reserve(41)
    space.release(60)
    space.reserve(41)


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        DiskSpace(tmp_path / "missing").reserve(1)


def test_a_shorter_pause_does_not_replace_a_longer_one() -> None:
    backoff = StoreBackoff()
    backoff.extend(100.0)
    backoff.extend(50.0)
    assert backoff.until == 100.0
