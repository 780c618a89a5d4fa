"""`dap verify`, on a result of the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TAKE = ("--sandbox", "--sandbox-scale", "0.05", "--sandbox-job-seconds", "0", "snapshot", "--namespace", "canvas")


@pytest.fixture
def taken(dap: Callable[..., Any]) -> Path:
    """A folder with a whole snapshot of one table."""
    assert dap(*TAKE, "--table", "courses", "--output-directory", "out").code == 0
    (job,) = Path("out").glob("job_*")
    return job


def test_complete_folders_are_reported_as_complete(taken: Path, dap: Callable[..., Any]) -> None:
    outcome = dap("verify", "out")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no problems found" in outcome.err
    assert json.loads(dap("verify", "out", "--json").out) == {
        "folder": "out",
        "jobs": 1,
        "files": 1,
        "bytes": sum(path.stat().st_size for path in taken.glob("part-*")),
        "problems": [],
        "incomplete": [],
    }


def test_each_problem_is_one_line(taken: Path, dap: Callable[..., Any]) -> None:
    (part,) = taken.glob("part-*")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    (taken / "stranger").touch()
    outcome = dap("verify", "out")
    assert outcome.code == 46
    assert sorted(line.partition(":")[0] for line in outcome.out.splitlines()) == sorted(
        [str(part), str(taken / "stranger")]
    )
    made = json.loads(dap("verify", "out", "--json").out)
    assert {problem["path"] for problem in made["problems"]} == {str(part), str(taken / "stranger")}


def test_a_folder_without_manifest_is_not_verified(taken: Path, dap: Callable[..., Any]) -> None:
    (taken / ".manifest.json").unlink()
    outcome = dap("verify", "out")
    assert outcome.code == 46
    assert "has no manifest" in outcome.err


def test_an_empty_folder_is_an_error(dap: Callable[..., Any]) -> None:
    Path("empty").mkdir()
    assert dap("verify", "empty").code == 46


@pytest.mark.parametrize("arguments", [("verify",), ("verify", "nowhere"), ("verify", "out", "more")])
def test_one_folder_must_be_named(arguments: tuple[str, ...], dap: Callable[..., Any]) -> None:
    assert dap(*arguments).code == 2
