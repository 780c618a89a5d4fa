"""How a run ended, for people and programs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from dapkit.cli import summary
from dapkit.errors import JobFailedError, PartialFailureError, ServerError
from dapkit.model import Format, Mode, Query
from dapkit.results import RunResult, TableResult

MakeTable = Callable[..., TableResult]
MakeRun = Callable[..., RunResult]


def test_the_table_is_sorted_and_aligned(table_result: MakeTable, run_result: MakeRun) -> None:
    tables = [table_result("users", rows=None, reused=True), table_result("courses")]
    lines = summary.summary_lines(run_result(tables))
    assert lines == [
        "table     rows  files     size  at                    verified  note",
        "courses  1,234      2  1.50 kB  2026-09-01T00:00:00Z  CRC",
        "users        ?      2  1.50 kB  2026-09-01T00:00:00Z  CRC       already downloaded",
        "",
        "2 tables complete, 1,234 rows, 4 files, 3.00 kB, in 12 s. Folder: out",
    ]


def test_the_summary_of_an_increment_shows_its_end(table_result: MakeTable, run_result: MakeRun) -> None:
    lines = summary.summary_lines(run_result([table_result(at=None, watermark="u")], incremental=True))
    assert "until" in lines[0]
    assert "  u  " in lines[1]


def test_failures_end_the_summary_with_their_uuid(table_result: MakeTable, run_result: MakeRun) -> None:
    error = JobFailedError("The job failed", uuid="u-7", hint="Wait.")
    lines = summary.summary_lines(run_result([table_result()], {"users": error}, refetched=2000, sandbox=True))
    totals = "1,234 rows, 2 files, 1.50 kB, 2.00 kB downloaded twice"
    assert lines[3:] == [
        f"1 of 2 tables complete, 1 failed, {totals}, in 12 s, from the sandbox. Folder: out",
        "Failed: users: The job failed [job-failed]",
        "  uuid for support: u-7",
        "  Hint: Wait.",
    ]


def test_without_a_complete_table_the_summary_has_no_table(run_result: MakeRun) -> None:
    lines = summary.summary_lines(run_result([], {"users": ServerError("no")}))
    assert lines[0].startswith("0 of 1 table complete, 1 failed, 0 files")


def test_the_json_result_has_stable_names(table_result: MakeTable, run_result: MakeRun) -> None:
    query = Query(format=Format.PARQUET, mode=Mode.CONDENSED)
    result = run_result([table_result()], {"users": ServerError("no", uuid="u")}, query=query)
    made = summary.run_object(result, PartialFailureError("1 of 2"))
    assert json.loads(json.dumps(made)) == {
        "command": "snapshot",
        "status": "partial",
        "exit_code": 3,
        "namespace": "canvas",
        "query": {"format": "parquet", "mode": "condensed", "since": None, "until": None},
        "output": "out",
        "sandbox": False,
        "tables": [
            {
                "table": "courses",
                "job_id": "id-courses",
                "folder": str(Path("out/job_id-courses")),
                "files": 2,
                "bytes": 1500,
                "rows": 1234,
                "schema_version": 1,
                "at": "2026-09-01T00:00:00Z",
                "since": None,
                "until": None,
                "verified_by": "crc",
                "reused": False,
            }
        ],
        "failed": [{**ServerError("no", uuid="u").as_dict(), "table": "users"}],
        "rows": 1234,
        "files": 2,
        "bytes": 1500,
        "fetched_bytes": 3000,
        "refetched_bytes": 0,
        "seconds": 12.34,
        "notices": [],
    }


def test_the_status_depends_on_how_many_tables_failed(table_result: MakeTable, run_result: MakeRun) -> None:
    bad = {"users": ServerError("no")}
    assert summary.run_object(run_result([table_result()]), None)["status"] == "complete"
    assert summary.run_object(run_result([], bad), ServerError("no"))["status"] == "failed"
    assert summary.run_object(run_result([table_result()]), None)["exit_code"] == 0


@pytest.mark.parametrize("name", [each.value for each in Format])
def test_the_suggested_query_works(name: str, table_result: MakeTable, run_result: MakeRun, tmp_path: Path) -> None:
    format_ = Format(name)
    suffix = {"jsonl": "jsonl.gz", "csv": "csv.gz", "tsv": "tsv.gz", "parquet": "parquet"}[name]
    options = {
        "jsonl": "(format json, compression gzip)",
        "csv": "(format csv, header, compression gzip)",
        "tsv": "(format csv, header, delimiter '\t', compression gzip)",
        "parquet": "(format parquet)",
    }[name]
    duckdb.connect().execute(f"copy (select 4711 as answer) to '{tmp_path}/part-0.{suffix}' {options}")
    tables = [table_result("big", bytes=9, folder=tmp_path), table_result("small", bytes=1)]
    line = summary.preview_line(run_result(tables, query=Query(format=format_)), sys.executable)
    assert line is not None
    title, _, command = line.partition(":  ")
    assert title == "Look at big"
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "4711" in shown.stdout


def test_without_rows_no_query_is_suggested(table_result: MakeTable, run_result: MakeRun) -> None:
    assert summary.preview_line(run_result([table_result(rows=0), table_result(files=0)]), "python") is None
    assert summary.preview_line(run_result([]), "python") is None


def test_paths_below_the_current_folder_are_relative(tmp_path: Path) -> None:
    assert summary.shown_path(tmp_path / "a" / "b", tmp_path) == str(Path("a/b"))
    assert summary.shown_path(Path("/elsewhere"), tmp_path) == str(Path("/elsewhere"))
