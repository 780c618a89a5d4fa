"""`dap sql`."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

SANDBOX = ("--sandbox", "--sandbox-scale", "0.05", "--sandbox-job-seconds", "0")
COUNT = "SELECT count(*) AS n FROM canvas.users"


@pytest.fixture
def folder(dap: Callable[..., Any]) -> str:
    assert dap(*SANDBOX, "snapshot", "--namespace", "canvas", "--table", "users,courses", "--flat").code == 0
    return "downloads"


def test_rows_are_printed_in_each_form(dap: Callable[..., Any], folder: str) -> None:
    (row,) = json.loads(dap("sql", "--from", folder, "--json", COUNT).out)
    assert row["n"] > 0
    assert dap("sql", "--from", folder, "--csv", COUNT).out == f"n\n{row['n']}\n"
    shown = dap("sql", "--from", folder, COUNT)
    assert str(row["n"]) in shown.out
    assert "│" in shown.out
    assert shown.err == ""
    assert dap("sql", "--from", folder, "--parquet", "result.parquet", COUNT).code == 0
    assert pq.read_table("result.parquet").to_pylist() == [row]


def test_folders_may_have_brackets_and_quotes(dap: Callable[..., Any], folder: str) -> None:
    Path(folder).rename("of [2026] 'ü'")
    assert dap("sql", "--from", "of [2026] 'ü'", "--csv", COUNT).code == 0


def test_the_sandbox_needs_no_data(dap: Callable[..., Any]) -> None:
    query = "SELECT count(*) FROM canvas.enrollments e JOIN canvas.users u ON u.id = e.user_id"
    result = dap(*SANDBOX, "sql", "--csv", query)
    assert result.code == 0, result.err
    assert int(result.out.split()[1]) > 0
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("sql", COUNT), "No tables are given"),
        (("sql", "--from", "nowhere", COUNT), "neither a folder nor a DuckDB file"),
        (("sql", "--from", ".", COUNT), "no tables that can be queried"),
        (("sql", "--from", "downloads", "--json", "--csv", COUNT), "Several formats"),
        (("sql", "--from", "downloads", "SELECT * FROM canvas.usrs"), "usrs"),
        (("sql", "--from", "downloads", "--json", "DESCRIBE canvas.users"), ""),
        (("sql", "--from", "downloads", "DROP VIEW canvas.users"), "not allowed"),
    ],
)
def test_bad_input_is_a_usage_error(dap: Callable[..., Any], folder: str, words: tuple[str, ...], problem: str) -> None:
    Path("empty").mkdir()
    result = dap(*(word if word != "." else "empty" for word in words))
    assert result.code in ((0, 2) if problem == "" else (2,))
    assert problem in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("target", ["nowhere/rows.parquet", "folder"])
def test_a_file_that_cannot_be_written_is_explained(dap: Callable[..., Any], folder: str, target: str) -> None:
    Path("folder").mkdir()
    result = dap("sql", "--from", folder, "--parquet", target, COUNT)
    assert result.code == 42
    assert "Give --parquet a file" in result.err
    assert list(Path.cwd().rglob("*.part")) == []


def test_queries_are_read_from_the_input(dap: Callable[..., Any], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one;\nSELECT\n 2 AS two"))
    result = dap("sql", "--from", folder, "--csv")
    assert result.out == "one\n1\ntwo\n2\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert dap("sql", "--from", folder).code == 2
