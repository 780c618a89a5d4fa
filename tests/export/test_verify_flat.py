"""Flat files that match their state, and every kind of mismatch."""

import re
from pathlib import Path

import pytest
from tests.support.stored_results import CONTENT, write_flat

from dapkit import Client, ClientOptions, ExportOptions
from dapkit.errors import VerificationError
from dapkit.export.verify import verify
from dapkit.tables.flat_files import sidecar_of


def problems(folder: Path) -> list[str]:
    return [each.message for each in verify(folder).problems]


def test_flat_files_are_counted(tmp_path: Path) -> None:
    write_flat(tmp_path, at=1)
    write_flat(tmp_path / "2026" / "august", since=0, until=1)
    result = verify(tmp_path)
    assert (result.jobs, result.flat, result.files, result.bytes) == (0, 2, 2, 2 * len(CONTENT))
    assert result.error is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], f"has {len(CONTENT) - 1} bytes instead of {len(CONTENT)}"),
        (CONTENT.replace(b"1", b"2"), "has a different SHA-256 than its state says"),
        (None, "is missing"),
    ],
)
def test_a_damaged_csv_file_is_found_and_removed_with_its_state(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = write_flat(tmp_path, at=1).path
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert problems(tmp_path) == [message]
    removed = verify(tmp_path, remove_damaged=True).removed
    assert removed == ((path, sidecar_of(path)) if content is not None else (sidecar_of(path),))
    assert list(path.parent.iterdir()) == []


def test_a_damaged_state_is_a_problem_but_no_reason_to_remove_the_file(tmp_path: Path) -> None:
    path = write_flat(tmp_path, at=1).path
    sidecar_of(path).write_text("{")
    assert problems(tmp_path) == ["has a damaged state"]
    assert verify(tmp_path, remove_damaged=True).removed == ()
    assert path.exists()


def test_files_of_other_programs_are_not_verified(tmp_path: Path) -> None:
    write_flat(tmp_path, at=1)
    for name in ("notes.csv", "lines.jsonl", ".hidden.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "users.parquet").write_bytes(b"x")
    assert verify(tmp_path).error is None
    with pytest.raises(VerificationError):
        verify(tmp_path / ".hidden" / "none")


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flat Parquet file of the sandbox, in the test's folder."""
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / ".sandbox"))
    monkeypatch.setenv("DAP_SANDBOX_JOB_SECONDS", "0")
    with Client(ClientOptions(sandbox=True, sandbox_scale=0.05)) as client:
        (table,) = client.snapshot("canvas", "users", ExportOptions(flat="parquet", output=tmp_path)).done
    return table.files[0]


def test_a_parquet_file_is_verified_by_its_structure_and_rows(users: Path, tmp_path: Path) -> None:
    assert verify(tmp_path).error is None
    content = users.read_bytes()
    users.write_bytes(re.sub(rb'"rows":[0-9]', b'"rows":9', content, count=1))
    assert "rows instead of 9" in problems(tmp_path)[0]
    damaged = bytearray(content)
    damaged[4:40] = bytes(36)
    users.write_bytes(damaged)
    assert "Invalid Parquet file" in problems(tmp_path)[0]
    assert verify(tmp_path, remove_damaged=True).removed == (users,)


def test_a_parquet_file_that_lost_its_end_is_a_problem_and_stays(users: Path, tmp_path: Path) -> None:
    users.write_bytes(users.read_bytes()[:-100])
    (message,) = problems(tmp_path)
    assert "Invalid Parquet file" in message
    assert "the command that wrote it replaces it" in message
    assert verify(tmp_path, remove_damaged=True).removed == ()
    assert users.exists()
