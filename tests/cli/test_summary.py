"""How a run ended, for people and programs."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import duckdb
import pytest

from dapkit.cli import summary
from dapkit.errors import DapError, JobFailedError, PartialFailureError, ServerError
from dapkit.export.run_result import RunResult
from dapkit.model import Format, Mode, Query
from dapkit.results import TableResult

MakeTable = Callable[..., TableResult]
MakeRun = Callable[..., RunResult]


def report(result: RunResult, width: int | None = None) -> summary.Report:
    return summary.export_report(result, width, "python")


def test_the_table_is_sorted_and_what_is_equal_moves_to_the_totals(
    table_result: MakeTable, run_result: MakeRun
) -> None:
    tables = [table_result("users", rows=None, reused=True), table_result("courses")]
    made = report(run_result(tables))
    assert made.lines == (
        "table     rows     size  note",
        "courses  1,234  1.50 kB",
        "users        ?  1.50 kB  already downloaded",
    )
    assert made.totals == (
        "2 tables complete, 1,234 rows, 4 files, 3.00 kB, in 12 s; at 2026-09-01T00:00:00Z; verified: CRC. Folder: out"
    )


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_fits_the_terminal(width: int, table_result: MakeTable, run_result: MakeRun) -> None:
    tables = [
        table_result("assignment_override_students", rows=12_345_678, verified_by="checksum+crc+length"),
        table_result("users", reused=True, watermark="2026-09-01T04:00:00Z", files=3),
    ]
    made = report(run_result(tables), width)
    assert max(map(len, made.lines)) <= width
    assert "verified: checksum, CRC, length (1 table) / CRC (1 table)" in made.totals
    if width == 40:
        assert "at 2026-09-01T00:00:00Z to 2026-09-01T04:00:00Z; already downloaded (1 table)" in made.totals


def test_the_summary_of_an_increment_shows_its_end(table_result: MakeTable, run_result: MakeRun) -> None:
    made = report(run_result([table_result(at=None, watermark="u")], incremental=True))
    assert "; until u;" in made.totals


def test_failures_are_reported_unless_the_error_of_the_command_says_it_all(
    table_result: MakeTable, run_result: MakeRun
) -> None:
    errors: dict[str, DapError] = {"users": JobFailedError("The job failed")}
    made = report(run_result([table_result()], errors, refetched=2000, sandbox=True))
    assert made.totals.startswith(
        "1 of 2 tables complete, 1 failed, 1,234 rows, 2 files, 1.50 kB, 2.00 kB downloaded twice, "
        "in 12 s, from the sandbox;"
    )
    assert [failure.table for failure in made.failed] == ["users"]
    assert report(run_result([], errors)).failed == ()
    assert len(report(run_result([], {**errors, "roles": ServerError("no")})).failed) == 2


def test_without_a_complete_table_the_summary_has_no_table(run_result: MakeRun) -> None:
    made = report(run_result([], {"users": ServerError("no")}))
    assert made.lines == ()
    assert made.totals.startswith("0 of 1 table complete, 1 failed, 0 files")


def test_a_log_line_has_the_totals(table_result: MakeTable, run_result: MakeRun) -> None:
    fields = report(run_result([table_result()], {"users": ServerError("no")})).fields
    assert fields == {
        "status": "partial",
        "exit_code": 3,
        "tables": 2,
        "complete": 1,
        "failed": 1,
        "rows": 1234,
        "files": 2,
        "bytes": 1500,
        "seconds": 12.34,
    }


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


AWKWARD = """it's a "folder" for $HOME [1] * `id` ?"""
NESTED = "{'id': 4711} as key, {'name': 'it''s', 'note': null} as value, {'ts': '2026'} as meta"


@pytest.mark.parametrize("name", [each.value for each in Format])
def test_the_suggested_command_shows_a_readable_table(
    name: str, table_result: MakeTable, run_result: MakeRun, tmp_path: Path
) -> None:
    format_ = Format(name)
    folder = tmp_path / AWKWARD
    folder.mkdir()
    file = folder / {"jsonl": "a.jsonl.gz", "csv": "a.csv.gz", "tsv": "a.tsv.gz", "parquet": "a.parquet"}[name]
    if name == "parquet":
        duckdb.connect().execute(f"copy (select {NESTED}) to '{tmp_path}/a' (format parquet)")
        (tmp_path / "a").rename(file)
    else:
        text = {
            "jsonl": '{"key":{"id":4711},"value":{"name":"it\'s"},"meta":{"ts":"2026"}}\n',
            "csv": "meta.ts,key.id,value.name,value.note\n2026,4711,it's,\n",
            "tsv": "meta.ts\tkey.id\tvalue.name\tvalue.note\n2026\t4711\tit's \"\t\\N\n",
        }[name]
        file.write_bytes(gzip.compress(text.encode()))
    tables = [table_result("big", bytes=9, folder=folder), table_result("small", bytes=1)]
    line = summary.preview_line(run_result(tables, query=Query(format=format_)), sys.executable)
    assert line is not None
    title, _, command = line.partition(":  ")
    assert title == "Look at big"
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    for part in ("4711", "it's", "id", "name"):
        assert part in shown
    assert "struct" not in shown
    assert "\\N" not in shown


def test_a_file_of_deleted_rows_can_be_shown_too(table_result: MakeTable, run_result: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"key":{"id":4711},"meta":{"ts":"2026","action":"D"}}\n'))
    line = summary.preview_line(run_result([table_result(folder=tmp_path)], incremental=True), sys.executable)
    assert line is not None
    shown = subprocess.run(["sh", "-c", line.partition(":  ")[2]], capture_output=True, text=True, check=True)
    assert "action" in shown.stdout


def test_a_query_of_a_flat_table_is_suggested(table_result: MakeTable, run_result: MakeRun) -> None:
    result = run_result([table_result("users")], flat=True)
    assert summary.preview_line(result, "python") == (
        "Look at users:  python -m dapkit sql --from out 'FROM canvas.users LIMIT 5'"
    )


def test_a_command_is_suggested_only_on_a_terminal(table_result: MakeTable, run_result: MakeRun) -> None:
    assert report(run_result([table_result()]), None).advice is None
    assert report(run_result([table_result()]), 80).advice is not None


def test_without_rows_no_query_is_suggested(table_result: MakeTable, run_result: MakeRun) -> None:
    assert summary.preview_line(run_result([table_result(rows=0), table_result(files=0)]), "python") is None
    assert summary.preview_line(run_result([]), "python") is None


def test_a_path_that_duckdb_cannot_read_is_not_suggested(table_result: MakeTable, run_result: MakeRun) -> None:
    assert summary.preview_line(run_result([table_result(folder=PurePosixPath("a\\b"))]), "python") is None


def test_paths_below_the_current_folder_are_relative(tmp_path: Path) -> None:
    assert summary.shown_path(tmp_path / "a" / "b", tmp_path) == str(Path("a/b"))
    assert summary.shown_path(Path("/elsewhere"), tmp_path) == str(Path("/elsewhere"))
