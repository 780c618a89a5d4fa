"""Files that match their manifest, and every kind of mismatch."""

import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dapkit.errors import VerificationError
from dapkit.export.verify import verify
from dapkit.model import Format
from dapkit.storage.local import LocalFolder
from dapkit.transfer import manifest
from dapkit.transfer.manifest import Manifest, ManifestObject

CONTENT = gzip.compress(b'{"key":{"id":1}}\n', mtime=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    job = tmp_path / "job_a"
    job.mkdir()
    (job / "part.jsonl.gz").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    item = ManifestObject(id="o", name="part.jsonl.gz", size=len(CONTENT), sha256=digest, rows=1, verified_by=("crc",))
    content = Manifest(
        written_by="dapkit", service="s", sandbox=False, scope=None, namespace="canvas", table="users",
        format=Format.JSONL, mode=None, job_id="a", schema_version=1, at="2024-01-01T00:00:00Z", since=None,
        until=None, rows=1, bytes=len(CONTENT), objects=(item,), completed_at="2024-01-01T00:00:00+00:00",
    )  # fmt: skip
    manifest.write(LocalFolder(job), content)
    return tmp_path


def test_a_correct_folder_has_no_problem(folder: Path) -> None:
    for path in (folder, folder / "job_a"):
        result = verify(path)
        assert (result.jobs, result.files, result.bytes, result.problems) == (1, 1, len(CONTENT), ())


def problems(folder: Path) -> list[str]:
    return [problem.message for problem in verify(folder).problems]


def test_every_problem_is_reported(folder: Path) -> None:
    path = folder / "job_a" / "part.jsonl.gz"
    (folder / "job_a" / "unknown.gz").write_bytes(b"")
    assert problems(folder) == ["is not in the manifest"]
    (folder / "job_a" / "unknown.gz").unlink()
    path.write_bytes(CONTENT[:-1])
    assert "bytes instead of" in problems(folder)[0]
    path.write_bytes(gzip.compress(b'{"key":{"id":2}}\n', mtime=0))
    assert problems(folder) == ["has a different SHA-256 than its manifest says"]
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert len(problems(folder)) == 1
    path.unlink()
    assert problems(folder) == ["is missing"]
    (folder / "job_a" / ".manifest.json").write_text("{")
    assert "damaged" in problems(folder)[0]


def test_a_job_without_manifest_is_incomplete(folder: Path) -> None:
    (folder / "job_b").mkdir()
    assert verify(folder).incomplete == (folder / "job_b",)


def test_job_folders_are_found_at_any_depth_except_in_hidden_folders(folder: Path) -> None:
    for path in ("2026/09/job_b", ".hidden/job_c", "renamed"):
        shutil.copytree(folder / "job_a", folder / path)
    assert verify(folder).jobs == 3
    (folder / "2026" / "09" / "job_b" / "part.jsonl.gz").write_bytes(b"")
    assert [problem.path.parent.name for problem in verify(folder).problems] == ["job_b"]
    (folder / "2026" / "10" / "job_d").mkdir(parents=True)
    (folder / "2026" / "10" / "job_d" / "visible").touch()
    assert verify(folder).incomplete == (folder / "2026" / "10" / "job_d",)


def test_an_unreadable_file_is_one_problem_and_the_others_are_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "job_a", folder / "job_b")

    open_file = LocalFolder.open

    def guarded(folder: LocalFolder, name: str) -> Any:
        if folder.path.name == "job_a" and name != manifest.NAME:
            raise PermissionError(13, "Permission denied")
        return open_file(folder, name)

    monkeypatch.setattr(LocalFolder, "open", guarded)
    result = verify(folder)
    assert (result.jobs, result.files) == (2, 2)
    assert [problem.message for problem in result.problems] == ["cannot be read: Permission denied"]


def test_an_unreadable_folder_is_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    scan = os.scandir

    def guarded(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert [(problem.path, problem.message) for problem in verify(folder).problems] == [
        (folder / "closed", "cannot be read: Permission denied")
    ]


def test_nothing_to_verify_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(VerificationError):
            verify(path)
