"""What the manifest of a folder says, and what later runs read from it."""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from dapkit.errors import ManifestError
from dapkit.model import Format, Job, JobStatus, Mode
from dapkit.storage.local import LocalFolder
from dapkit.transfer import manifest
from dapkit.transfer.manifest import ExportSource, Manifest, ManifestObject, Watermarks


@dataclass(frozen=True)
class Result:
    """Source and times of one earlier result."""

    table: str = "users"
    at: str | None = None
    until: str | None = None
    service: str = "https://x"
    namespace: str = "canvas"
    format: Format = Format.CSV
    mode: Mode | None = None


SOURCE = ExportSource(service="https://x", scope=None, namespace="canvas", format=Format.CSV, mode=Mode.EXPANDED)


def put(output: Path, job_id: str, result: Result, *, size: int = 3) -> Manifest:
    folder = output / f"job_{job_id}"
    folder.mkdir(parents=True)
    (folder / "part").write_bytes(b"abc")
    item = ManifestObject(id="o", name="part", size=size, sha256="00", rows=1, verified_by=("crc", "length"))
    written = Manifest(
        written_by="dapkit", service=result.service, sandbox=False, scope=None, namespace=result.namespace,
        table=result.table, format=result.format, mode=result.mode, job_id=job_id, schema_version=1, at=result.at,
        since=None, until=result.until, rows=1, bytes=3, objects=(item,), completed_at="2024-01-01T00:00:00+00:00",
    )  # fmt: skip
    manifest.write(LocalFolder(folder), written)
    return written


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    assert manifest.read(LocalFolder(tmp_path / "job_a")) == written
    assert manifest.read(LocalFolder(tmp_path)) is None
    assert [folder.path for folder in manifest.folders(tmp_path)] == [tmp_path / "job_a"]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"manifest": 1}', '{"manifest": "one"}'])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / ".manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=r"\.manifest\.json is damaged"):
        manifest.read(LocalFolder(tmp_path))


def test_a_later_version_is_an_error_and_unknown_fields_are_not(tmp_path: Path) -> None:
    put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    path = tmp_path / "job_a" / ".manifest.json"
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**content, "new_field": 1}))
    assert manifest.read(LocalFolder(path.parent)) is not None
    path.write_bytes(msgspec.json.encode({**content, "manifest": 2}))
    with pytest.raises(ManifestError, match="version 2"):
        manifest.read(LocalFolder(path.parent))


def test_the_latest_watermark_of_snapshots_and_increments_is_returned_verbatim(tmp_path: Path) -> None:
    put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    put(tmp_path, "b", Result(until="2024-01-02T01:00:00.000+02:00"))
    put(tmp_path, "c", Result(until="2024-01-01T22:59:00Z"))
    put(tmp_path, "d", Result(table="courses", at="2023-01-01T00:00:00Z"))
    put(tmp_path, "e", Result(table="courses", at="2022-12-31T23:30:00"))  # without a zone it is UTC
    watermarks = manifest.latest_watermarks(tmp_path, SOURCE).by_table
    assert watermarks == {"users": "2024-01-02T01:00:00.000+02:00", "courses": "2023-01-01T00:00:00Z"}


def test_results_of_another_source_or_without_files_do_not_count(tmp_path: Path) -> None:
    put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z", service="sandbox:"))
    put(tmp_path, "b", Result(at="2024-01-01T00:00:00Z", namespace="catalog"))
    put(tmp_path, "c", Result(at="2024-01-01T00:00:00Z"), size=99)
    put(tmp_path, "d", Result(at="2024-01-01T00:00:00Z", format=Format.JSONL))
    put(tmp_path, "e", Result(at="2024-01-01T00:00:00Z", mode=Mode.CONDENSED))
    assert manifest.latest_watermarks(tmp_path, SOURCE) == Watermarks(by_table={}, notices=())
    put(tmp_path, "f", Result(at="2024-01-01T00:00:00Z", mode=Mode.EXPANDED))
    assert manifest.latest_watermarks(tmp_path, SOURCE).by_table == {"users": "2024-01-01T00:00:00Z"}


def test_a_damaged_manifest_or_watermark_is_skipped_with_a_notice(tmp_path: Path) -> None:
    put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    put(tmp_path, "b", Result(table="courses", at="banana"))
    put(tmp_path, "c", Result(table="wikis", at="2024-01-01T00:00:00Z"))
    (tmp_path / "job_c" / manifest.NAME).write_text("{")
    found = manifest.latest_watermarks(tmp_path, SOURCE)
    assert found.by_table == {"users": "2024-01-01T00:00:00Z"}
    assert [("banana" in notice, "job_c" in notice) for notice in found.notices] == [(True, False), (False, True)]


def test_a_manifest_of_another_table_or_query_is_recognised(tmp_path: Path) -> None:
    written = put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    job = Job(id="a", status=JobStatus.COMPLETE, at_text="2024-01-01T00:00:00.000+00:00")
    assert manifest.difference(written, SOURCE, "users", job) is None
    assert manifest.difference(written, replace(SOURCE, scope="s"), "users", job) is None
    assert manifest.difference(written, SOURCE, "courses", job) == "table users instead of courses"
    for other in (
        replace(SOURCE, service="sandbox:"),
        replace(SOURCE, namespace="catalog"),
        replace(SOURCE, format=Format.TSV),
        replace(SOURCE, mode=Mode.CONDENSED),
    ):
        assert manifest.difference(written, other, "users", job)
    later = replace(job, at_text="2024-01-02T00:00:00Z")
    increment = replace(job, at_text=None, since_text="2024-01-01T00:00:00Z", until_text="2024-01-02T00:00:00Z")
    assert manifest.difference(written, SOURCE, "users", later)
    assert manifest.difference(written, SOURCE, "users", increment)


def test_verified_by_contains_the_checks_that_every_file_passed(tmp_path: Path) -> None:
    written = put(tmp_path, "a", Result(at="2024-01-01T00:00:00Z"))
    weaker = msgspec.structs.replace(written.objects[0], verified_by=("length",))
    assert written.verified_by == "crc+length"
    assert msgspec.structs.replace(written, objects=(*written.objects, weaker)).verified_by == "length"
    assert msgspec.structs.replace(written, objects=()).verified_by == "empty"
