"""`dap verify`, on a result of the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TAKE = ("--sandbox", "--sandbox-scale", "0.05", "--sandbox-job-seconds", "0", "snapshot", "--namespace", "canvas")


@pytest.fixture
def snapshot_folder(dap: Callable[..., Any]) -> Path:
    """A folder with a complete snapshot of one table."""
    assert dap(*TAKE, "--table", "courses", "--output-directory", "out").code == 0
    (job,) = Path("out").glob("job_*")
    return job


def test_complete_folders_are_reported_as_complete(snapshot_folder: Path, dap: Callable[..., Any]) -> None:
    outcome = dap("verify", "out")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no problems found" in outcome.err
    assert json.loads(dap("verify", "out", "--json").out) == {
        "folder": "out",
        "jobs": 1,
        "flat": 0,
        "files": 1,
        "bytes": sum(path.stat().st_size for path in snapshot_folder.glob("part-*")),
        "problems": [],
        "incomplete": [],
        "removed": [],
    }


def test_each_problem_is_one_line(snapshot_folder: Path, dap: Callable[..., Any]) -> None:
    (part,) = snapshot_folder.glob("part-*")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    (snapshot_folder / "stranger").touch()
    outcome = dap("verify", "out")
    assert outcome.code == 46
    assert sorted(line.partition(":")[0] for line in outcome.out.splitlines()) == sorted(
        [str(part), str(snapshot_folder / "stranger")]
    )
    made = json.loads(dap("verify", "out", "--json").out)
    assert {problem["path"] for problem in made["problems"]} == {str(part), str(snapshot_folder / "stranger")}


def test_a_folder_without_manifest_is_not_verified(snapshot_folder: Path, dap: Callable[..., Any]) -> None:
    (snapshot_folder / ".manifest.json").unlink()
    outcome = dap("verify", "out")
    assert outcome.code == 46
    assert "has no manifest" in outcome.err


def test_an_empty_folder_is_an_error(dap: Callable[..., Any]) -> None:
    Path("empty").mkdir()
    assert dap("verify", "empty").code == 46


@pytest.mark.parametrize("arguments", [("verify",), ("verify", "nowhere"), ("verify", "out", "more")])
def test_one_folder_must_be_named(arguments: tuple[str, ...], dap: Callable[..., Any]) -> None:
    assert dap(*arguments).code == 2


def test_damaged_files_are_removed_with_their_manifest_and_downloaded_again(
    snapshot_folder: Path, dap: Callable[..., Any]
) -> None:
    (part,) = snapshot_folder.glob("part-*")
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    stranger = snapshot_folder / "stranger"
    stranger.touch()
    assert "--remove-damaged" in dap("verify", "out").err
    outcome = dap("verify", "out", "--remove-damaged")
    assert outcome.code == 46
    assert f"{part}: removed" in outcome.out
    assert sorted(path.name for path in snapshot_folder.iterdir()) == ["stranger"]
    stranger.unlink()
    assert dap(*TAKE, "--table", "courses", "--output-directory", "out").code == 0
    assert dap("verify", "out").code == 0


def test_nothing_is_removed_if_nothing_is_damaged(snapshot_folder: Path, dap: Callable[..., Any]) -> None:
    before = sorted(path.name for path in snapshot_folder.iterdir())
    assert dap("verify", "out", "--remove-damaged").code == 0
    assert sorted(path.name for path in snapshot_folder.iterdir()) == before


def test_flat_tables_are_verified_too(dap: Callable[..., Any]) -> None:
    assert dap(*TAKE, "--table", "users,courses", "--flat", "--output-directory", "out").code == 0
    assert "2 files (2 flat tables)" in dap("verify", "out").err
    assert json.loads(dap("verify", "out", "--json").out)["flat"] == 2
    path = Path("out/canvas/users.parquet")
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    outcome = dap("verify", "out", "--remove-damaged")
    assert outcome.code == 46
    assert f"{path}: removed" in outcome.out
    assert dap(*TAKE, "--table", "users", "--flat", "--output-directory", "out").code == 0
    assert dap("verify", "out").code == 0
