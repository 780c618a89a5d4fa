"""`dap results`, on results of the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored_results import write_flat, write_raw

from dapkit.cli.result_table import result_layout
from dapkit.export.stored_results import stored_results


def test_results_of_the_sandbox_are_listed(dap: Callable[..., Any]) -> None:
    command = (
        "--sandbox",
        "--sandbox-scale",
        "0.05",
        "--sandbox-job-seconds",
        "0",
        "snapshot",
        "--namespace",
        "canvas",
    )
    assert dap(*command, "--table", "users,courses", "--flat", "--quiet").code == 0
    assert dap(*command, "--table", "users", "--quiet").code == 0
    outcome = dap("results", "downloads")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert [row[:5] for row in rows[1:]] == [
        ["courses", "canvas", "snapshot", "flat", "parquet"],
        ["users", "canvas", "snapshot", "flat", "parquet"],
        ["users", "canvas", "snapshot", "raw", "jsonl"],
    ]
    assert rows[1][-1] == "canvas/courses.parquet"
    assert "3 results of 2 tables" in outcome.err
    found = json.loads(dap("results", "downloads", "--json").out)
    assert [each["form"] for each in found["results"]] == ["flat", "flat", "raw"]
    assert all(Path(each["path"]).exists() and each["sandbox"] for each in found["results"])


def test_incomplete_results_are_mentioned(dap: Callable[..., Any], tmp_path: Path) -> None:
    write_raw(tmp_path, "a", at=1)
    (tmp_path / "job_b").mkdir()
    outcome = dap("results", str(tmp_path))
    assert outcome.code == 0
    assert "job_b has no manifest" in outcome.err
    assert json.loads(dap("results", str(tmp_path), "--json").out)["incomplete"][0]["path"] == str(tmp_path / "job_b")


def test_a_folder_without_results_says_so(dap: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = dap("results", str(tmp_path / "empty"))
    assert (outcome.code, outcome.out) == (0, "")
    assert "has no complete results" in outcome.err
    assert dap("results", str(tmp_path / "none")).code == 2
    assert dap("results").code == 2


def test_a_listing_changes_nothing(dap: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_raw(folder, "a", at=1)
    write_flat(folder, at=1)
    (folder / "job_b").mkdir()
    before = {path: path.stat() for path in (folder, *folder.rglob("*"))}
    assert dap("results", str(folder)).code == 0
    after = {path: path.stat() for path in (folder, *folder.rglob("*"))}
    assert [(path, status.st_mtime_ns) for path, status in after.items()] == [
        (path, status.st_mtime_ns) for path, status in before.items()
    ]


@pytest.mark.parametrize("width", [50, 80, 100])
def test_the_table_fits_the_terminal(tmp_path: Path, width: int) -> None:
    write_raw(tmp_path, "a" * 60, at=1)
    write_raw(tmp_path, "b" * 60, since=1, until=2)
    write_flat(tmp_path, at=1)
    layout = result_layout(stored_results(tmp_path).results, tmp_path, width)
    assert max(map(len, layout.lines)) <= width
    assert layout.lines[0].startswith("table  kind")
    assert "namespace canvas" in layout.phrases


def test_the_only_result_is_described_in_words(tmp_path: Path) -> None:
    write_flat(tmp_path, since=1, until=2)
    layout = result_layout(stored_results(tmp_path).results, tmp_path, 120)
    assert layout.lines[0].split() == ["table", "rows", "size", "path"]
    assert layout.phrases == (
        "namespace canvas", "changes", "flat csv", "since 2026-08-02 00:00 UTC", "at 2026-08-03 00:00 UTC",
    )  # fmt: skip
