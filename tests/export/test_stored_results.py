"""What is in an output folder."""

import json
from pathlib import Path

import pytest
from tests.support.stored_results import CONTENT, day, write_flat, write_raw

from dapkit.errors import UsageError
from dapkit.export.stored_results import stored_results
from dapkit.model import Mode
from dapkit.tables.flat_files import sidecar_of


def messages(folder: Path) -> list[tuple[str, str]]:
    return [(each.path.name, each.message) for each in stored_results(folder).incomplete]


def test_raw_and_flat_results_are_found_and_sorted(tmp_path: Path) -> None:
    second, first = write_raw(tmp_path, "a", at=2), write_raw(tmp_path, "b", at=1)
    condensed = write_raw(tmp_path, "c", at=1, mode=Mode.CONDENSED)
    changes = write_flat(tmp_path, since=1, until=3)
    flat = write_flat(tmp_path, at=1)
    found = stored_results(tmp_path)
    assert found.results == (flat, changes, condensed, first, second)
    assert found.incomplete == ()
    assert (flat.kind, flat.form, flat.format, flat.mode, flat.at) == ("snapshot", "flat", "csv", None, day(1))
    assert (changes.kind, changes.since, changes.until) == ("changes", day(1), day(3))
    assert first.files == (tmp_path / "job_b" / "part.jsonl.gz",)
    assert first.bytes == len(CONTENT)
    assert flat.files == (flat.path, sidecar_of(flat.path))
    assert "job_b" in found._repr_html_()


def test_nothing_else_is_a_result(tmp_path: Path) -> None:
    (tmp_path / "job_a").mkdir()
    (tmp_path / "job_b").touch()
    (tmp_path / "canvas").mkdir()
    (tmp_path / "canvas" / "users.csv").write_bytes(CONTENT)
    (tmp_path / "canvas" / "users.parquet").write_bytes(b"PAR1")
    (tmp_path / ".dap" / "raw").mkdir(parents=True)
    assert stored_results(tmp_path).results == ()
    assert messages(tmp_path) == [
        ("job_a", "has no manifest: it is incomplete, or was written by another program")
    ]  # fmt: skip


def test_results_whose_files_are_missing_or_changed_are_incomplete(tmp_path: Path) -> None:
    (write_raw(tmp_path, "a", at=1).path / "part.jsonl.gz").unlink()
    write_flat(tmp_path, at=1).path.write_bytes(b"")
    write_flat(tmp_path, since=1, until=2).path.unlink()
    assert stored_results(tmp_path).results == ()
    changes = "20260802T000000Z--20260803T000000Z.csv"
    assert [name for name, _ in messages(tmp_path)] == ["job_a", changes, "users.csv"]
    assert all("dap verify" in message for _, message in messages(tmp_path))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("at", "soon", "invalid time: 'soon'"),
        ("completed_at", "", "invalid time: ''"),
        ("manifest", 99, "version 99"),
        ("table", None, "damaged"),
    ],
)
def test_an_unusual_manifest_is_explained(tmp_path: Path, field: str, value: object, expected: str) -> None:
    path = write_raw(tmp_path, "a", at=1).path / ".manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), field: value}))
    ((name, message),) = messages(tmp_path)
    assert name == "job_a"
    assert expected in message


@pytest.mark.parametrize("name", ["../users.csv", "a/b", "..", ".manifest.json"])
def test_a_manifest_that_names_files_elsewhere_is_not_used(tmp_path: Path, name: str) -> None:
    (tmp_path / "users.csv").write_bytes(CONTENT)
    path = write_raw(tmp_path, "a", at=1).path / ".manifest.json"
    content = json.loads(path.read_bytes())
    content["objects"][0]["name"] = name
    path.write_text(json.dumps(content))
    assert "outside the folder" in messages(tmp_path)[0][1]


def test_a_flat_file_of_a_later_version_does_not_hide_the_others(tmp_path: Path) -> None:
    later, other = write_flat(tmp_path, at=1), write_flat(tmp_path, at=1, table="courses")
    path = sidecar_of(later.path)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "flat": 99}))
    assert stored_results(tmp_path).results == (other,)
    assert "version 99" in messages(tmp_path)[0][1]


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        stored_results(tmp_path / "none")
