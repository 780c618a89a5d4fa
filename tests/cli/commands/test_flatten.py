"""`dap flatten`, and the options of flat tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SANDBOX = ("--sandbox", "--sandbox-scale", "0.05", "--sandbox-job-seconds", "0")
USERS = ("--namespace", "canvas", "--table", "users")


def test_raw_results_become_flat_tables_and_are_deleted(dap: Callable[..., Any], tmp_path: Path) -> None:
    output = ("--output-directory", "raw")
    assert dap(*SANDBOX, "snapshot", "--namespace", "canvas", "--table", "users,courses", *output).code == 0
    assert dap(*SANDBOX, "snapshot", *USERS, *output).code == 0, "a later one"
    assert dap(*SANDBOX, "incremental", *USERS, "--since", "2026-08-20T00:00:00Z", *output).code == 0
    result = dap(*SANDBOX, "flatten", "raw", "--json")
    assert result.code == 0
    tables = json.loads(result.out)["tables"]
    assert sorted((table["table"], table["since"] is None) for table in tables) == [
        ("courses", True), ("users", False), ("users", True),
    ]  # fmt: skip
    found = sorted(path.name for path in Path("raw").rglob("*.parquet"))
    assert found[1:] == ["courses.parquet", "users.parquet"]
    left = [json.loads(path.read_bytes())["table"] for path in Path("raw").glob("job_*/.manifest.json")]
    assert left == ["users"], "the earlier snapshot"


def test_a_saved_schema_is_enough_without_the_service(dap: Callable[..., Any]) -> None:
    assert dap(*SANDBOX, "snapshot", *USERS, "--format", "tsv").code == 0
    assert dap("flatten", "downloads").code != 0
    assert dap(*SANDBOX, "schema", *USERS).code == 0
    assert dap("flatten", "downloads", "--keep-raw", "--format", "csv").code == 0
    assert Path("downloads/canvas/users.csv").exists()
    assert dap("verify", "downloads").code == 0


def test_an_older_result_does_not_replace_a_newer_file(dap: Callable[..., Any]) -> None:
    assert dap(*SANDBOX, "snapshot", *USERS).code == 0
    assert dap(*SANDBOX, "snapshot", *USERS, "--flat").code == 0
    result = dap(*SANDBOX, "flatten", "downloads")
    assert result.code == 2
    assert "is newer" in result.err


def test_a_folder_without_results_is_a_usage_error(dap: Callable[..., Any], tmp_path: Path) -> None:
    assert dap("flatten", str(tmp_path)).code == 2


@pytest.mark.parametrize("option", [("--nested", "json"), ("--ts",), ("--keep-raw",), ("--memory-limit", "1GB")])
def test_options_of_flat_tables_need_flat(dap: Callable[..., Any], option: tuple[str, ...]) -> None:
    result = dap(*SANDBOX, "snapshot", *USERS, *option)
    assert result.code == 2
    assert f"Use {option[0]} together with --flat." in result.err


@pytest.mark.parametrize("limit", ["lots", "0MB", "400"])
def test_a_memory_limit_has_a_unit(dap: Callable[..., Any], limit: str) -> None:
    assert dap(*SANDBOX, "snapshot", *USERS, "--flat", "--memory-limit", limit).code == 2
