"""`dap prune`: options, and what it prints. What is removed is tested in tests/export."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored_results import write_raw

from dapkit.locks import FileLock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    output = tmp_path / "out"
    write_raw(output, "a", at=1)
    write_raw(output, "b", at=2)
    write_raw(output, "c", at=3)
    return output


def jobs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("job_*"))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--keep", "2"), ["job_b", "job_c"]),
        (("--older-than", "30m"), ["job_c"]),
        (("--older-than", "999999999d"), ["job_a", "job_b", "job_c"]),
        (("--keep", "1", "--table", "users"), ["job_c"]),
        (("--keep", "1", "--table", "u*"), ["job_c"]),
    ],
)
def test_old_results_are_deleted(
    folder: Path, dap: Callable[..., Any], options: tuple[str, ...], left: list[str]
) -> None:
    planned = dap("prune", str(folder), *options, "--dry-run")
    assert jobs(folder) == ["job_a", "job_b", "job_c"]
    assert "would be deleted" in planned.err
    outcome = dap("prune", str(folder), *options)
    assert outcome.code == 0
    assert jobs(folder) == left
    assert outcome.out == planned.out
    assert [line.split()[-1] for line in outcome.out.splitlines()[1:]] == sorted({"job_a", "job_b", "job_c"} - {*left})
    assert f"deleted, {5 * (3 - len(left))} B" in outcome.err
    assert f"{len(left)} result{'s' if len(left) > 1 else ''} kept" in outcome.err


def test_the_result_as_json(folder: Path, dap: Callable[..., Any]) -> None:
    (folder / "job_d").mkdir()
    lock = folder / ".dap" / "locks" / "job_a.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock) as held:
        assert held.acquire()
        found = json.loads(dap("prune", str(folder), "--keep", "1", "--json").out)
    assert [Path(each["path"]).name for each in found["removed"]] == ["job_b"]
    assert [Path(each["path"]).name for each in found["skipped"]] == ["job_a"]
    assert [Path(each["path"]).name for each in found["incomplete"]] == ["job_d"]
    assert (found["kept"], found["bytes"], found["dry_run"]) == (2, 5, False)


def test_a_result_that_is_in_use_is_reported(folder: Path, dap: Callable[..., Any]) -> None:
    lock = folder / ".dap" / "locks" / "job_a.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock) as held:
        assert held.acquire()
        outcome = dap("prune", str(folder), "--keep", "1")
    assert outcome.code == 0
    assert "job_a is in use by process" in outcome.err
    assert jobs(folder) == ["job_a", "job_c"]


def test_results_of_logs_are_deleted_only_if_the_table_is_named(tmp_path: Path, dap: Callable[..., Any]) -> None:
    output = tmp_path / "out"
    for number in range(3):
        write_raw(output, f"{number}", at=number, namespace="canvas_logs")
    assert "0 results deleted" in dap("prune", str(output), "--keep", "1").err
    assert "0 results deleted" in dap("prune", str(output), "--keep", "1", "--table", "all").err
    assert "2 results deleted" in dap("prune", str(output), "--keep", "1", "--table", "users").err


@pytest.mark.parametrize("form", [(), ("--flat", "csv")])
def test_increments_continue_after_old_results_were_deleted(dap: Callable[..., Any], form: tuple[str, ...]) -> None:
    users = ("--namespace", "canvas", "--table", "users", *form, "--json", "--quiet")
    sandbox = ("--sandbox", "--sandbox-scale", "0.05", "--sandbox-job-seconds", "0")
    for command in (("snapshot",), ("incremental", "--since", "downloads"), ("snapshot",)) * 2:
        last = json.loads(dap(*sandbox, *command, *users).out)["tables"][0]
    removed = json.loads(dap("prune", "downloads", "--keep", "1", "--json").out)["removed"]
    assert {each["kind"] for each in removed} == ({"changes"} if form else {"snapshot", "changes"})
    assert dap("verify", "downloads").code == 0
    following = json.loads(dap(*sandbox, "incremental", "--since", "downloads", *users).out)["tables"][0]
    assert following["since"] == last["at"]
    assert json.loads(dap("prune", "downloads", "--keep", "1", "--json").out)["removed"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Neither --keep, --older-than nor --stage is given"),
        (("--keep", "1", "--older-than", "30d"), "--keep and --older-than exclude each other"),
        (("--keep", "1", "--stage"), "--keep and --stage exclude each other"),
        (("--stage", "--table", "users"), "--table has no effect with --stage"),
        (("--keep", "0"), "--keep"),
        (("--keep", "x"), "--keep"),
        (("--older-than", "soon"), "Invalid duration 'soon'"),
        (("--keep", "1", "--table", "user"), "There is no result of table user"),
        (("--keep", "1", "--table", "x*"), "No table matches 'x*'"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    folder: Path, dap: Callable[..., Any], options: tuple[str, ...], message: str
) -> None:
    outcome = dap("prune", str(folder), *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(jobs(folder)) == 3


def test_a_folder_is_needed_except_for_the_staging_folders_of_databases(
    dap: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "DIR is missing" in dap("prune", "--keep", "1").err
    assert dap("prune", str(tmp_path / "none"), "--keep", "1").code == 2
    stage = tmp_path / "stage" / "0123456789abcdef"
    stage.mkdir(parents=True)
    (stage / "part").write_bytes(b"12345")
    stage.with_suffix(".lock").touch()
    monkeypatch.setenv("DAP_STAGE", str(tmp_path / "stage"))
    assert "would be deleted" in dap("prune", "--stage", "--dry-run").err
    assert stage.is_dir()
    with FileLock(stage.with_suffix(".lock")) as held:
        assert held.acquire()
        assert "is in use; it stays" in dap("prune", "--stage").err
    outcome = dap("prune", "--stage")
    assert (outcome.code, outcome.out) == (0, f"{stage}\t5 B\n")
    assert "1 abandoned staging folder deleted, 5 B" in outcome.err
    assert not stage.exists()
    assert json.loads(dap("prune", "--stage", "--json").out)["removed"] == []


def test_no_staging_folder_at_all_is_no_error(
    dap: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAP_STAGE", str(tmp_path / "none"))
    assert dap("prune", "--stage").code == 0
