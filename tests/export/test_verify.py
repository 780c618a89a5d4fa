"""Files that are what their manifest says, and each way in which they are not."""

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
from dapkit.transfer import manifest
from dapkit.transfer.integrity import Verification, verify_file
from dapkit.transfer.manifest import Manifest, ManifestObject

CONTENT = gzip.compress(b'{"key":{"id":1}}\n', mtime=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    job = tmp_path / "job_a"
    job.mkdir()
    (job / "part.jsonl.gz").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    item = ManifestObject(id="o", name="part.jsonl.gz", size=len(CONTENT), sha256=digest, rows=1, verified_by=("crc",))
    whole = Manifest(
        written_by="dapkit", service="s", sandbox=False, scope=None, namespace="canvas", table="users",
        format=Format.JSONL, mode=None, job_id="a", schema_version=1, at="2024-01-01T00:00:00Z", since=None,
        until=None, rows=1, bytes=len(CONTENT), objects=(item,), completed_at="2024-01-01T00:00:00+00:00",
    )  # fmt: skip
    manifest.write(job, whole)
    return tmp_path


def test_a_right_folder_has_no_problem(folder: Path) -> None:
    for pool in (folder, folder / "job_a"):
        result = verify(pool)
        assert (result.jobs, result.files, result.bytes, result.problems) == (1, 1, len(CONTENT), ())


def wrong(folder: Path) -> list[str]:
    return [problem.what for problem in verify(folder).problems]


def test_each_thing_wrong_is_said(folder: Path) -> None:
    path = folder / "job_a" / "part.jsonl.gz"
    (folder / "job_a" / "stranger.gz").write_bytes(b"")
    assert wrong(folder) == ["is not named by the manifest"]
    (folder / "job_a" / "stranger.gz").unlink()
    path.write_bytes(CONTENT[:-1])
    assert "bytes instead of" in wrong(folder)[0]
    path.write_bytes(gzip.compress(b'{"key":{"id":2}}\n', mtime=0))
    assert wrong(folder) == ["has another SHA-256 than its manifest says"]
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert len(wrong(folder)) == 1
    path.unlink()
    assert wrong(folder) == ["is missing"]
    (folder / "job_a" / ".manifest.json").write_text("{")
    assert "damaged" in wrong(folder)[0]


def test_a_job_without_manifest_is_unfinished(folder: Path) -> None:
    (folder / "job_b").mkdir()
    assert verify(folder).unfinished == (folder / "job_b",)


def test_job_folders_are_found_at_any_depth_that_is_not_hidden(folder: Path) -> None:
    for pool in ("2026/09/job_b", ".hidden/job_c", "renamed"):
        shutil.copytree(folder / "job_a", folder / pool)
    assert verify(folder).jobs == 3
    (folder / "2026" / "09" / "job_b" / "part.jsonl.gz").write_bytes(b"")
    assert [problem.path.parent.name for problem in verify(folder).problems] == ["job_b"]
    (folder / "2026" / "10" / "job_d").mkdir(parents=True)
    (folder / "2026" / "10" / "job_d" / "visible").touch()
    assert verify(folder).unfinished == (folder / "2026" / "10" / "job_d",)


def test_what_cannot_be_read_is_one_finding_and_the_rest_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder / "job_a", folder / "job_b")

    def guarded(path: Path, *rest: Any) -> Verification:
        if path.parent.name == "job_a":
            raise PermissionError(13, "Permission denied")
        return verify_file(path, *rest)

    monkeypatch.setattr("dapkit.export.verify.verify_file", guarded)
    result = verify(folder)
    assert (result.jobs, result.files) == (2, 2)
    assert [problem.what for problem in result.problems] == ["cannot be read: Permission denied"]


def test_a_folder_that_cannot_be_looked_into_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    scan = os.scandir

    def guarded(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert [(problem.path, problem.what) for problem in verify(folder).problems] == [
        (folder / "closed", "cannot be read: Permission denied")
    ]


def test_nothing_to_verify_is_an_error(tmp_path: Path) -> None:
    for pool in (tmp_path, tmp_path / "none"):
        with pytest.raises(VerificationError):
            verify(pool)
