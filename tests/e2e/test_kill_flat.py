"""`kill -9` at random moments of a run with flat tables, and several such runs in one folder."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.sandbox_process import sandbox_process, snapshot_arguments

from dapkit.tables.flat_files import read_state

KILLS = 50 if "DAPKIT_SOAK" in os.environ else 10
TABLES = ("submissions", "users", "enrollments", "quiz_submissions")


def rows(path: Path) -> pa.Table:
    return pq.read_table(path).sort_by("id")


def assert_complete(output: Path, expected: Callable[[str], pa.Table]) -> set[str]:
    """Every flat file is complete and has its state; nothing else is visible. Return the names of the tables."""
    found = {path.name: path for path in output.glob("canvas/*") if not path.name.startswith(".")}
    for name, path in found.items():
        state = read_state(path)
        assert state is not None, name
        assert rows(path).equals(expected(state.table)), name
    return set(found)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_repeated_kills_leave_only_complete_tables(tmp_path: Path) -> None:
    moments = random.Random(21)
    with sandbox_process(tmp_path / "state", scale=0.3, part_rows=200, job_seconds=0.2) as sandbox:
        plain = [*snapshot_arguments(tmp_path / "expected", tables=TABLES), "--flat"]
        assert sandbox.dap(*plain).returncode == 0
        known = {table: rows(tmp_path / "expected" / "canvas" / f"{table}.parquet") for table in TABLES}
        arguments = [*snapshot_arguments(tmp_path / "out", tables=TABLES), "--flat"]
        for _ in range(KILLS):
            with sandbox.start(*arguments) as running:
                time.sleep(moments.uniform(0.4, 2.0))
                running.kill()
            assert_complete(tmp_path / "out", known.__getitem__)
        last = sandbox.dap(*arguments)
        assert last.returncode == 0, last.stderr
        assert assert_complete(tmp_path / "out", known.__getitem__) == {f"{table}.parquet" for table in TABLES}
        left = [path.name for path in (tmp_path / "out").rglob("*") if path.name.endswith((".piece", ".part", ".gz"))]
        assert left == []


@pytest.mark.slow
def test_several_runs_write_the_same_flat_tables(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "state", scale=0.1, part_rows=100, job_seconds=0.2) as sandbox:
        commands = [
            [*snapshot_arguments(tmp_path / "out", tables=tables), "--flat", *more]
            for tables in (("users",), ("users", "courses"), ("users", "enrollments"))
            for more in ((), ("--ts",))
        ]
        running = [sandbox.start(*arguments) for arguments in commands]
        for each in running:
            _, stderr = each.communicate(timeout=120)
            assert each.returncode == 0, stderr
        assert sorted(path.name for path in (tmp_path / "out" / "canvas").iterdir()) == [
            "courses.parquet", "enrollments.parquet", "users.parquet",
        ]  # fmt: skip
        assert read_state(tmp_path / "out" / "canvas" / "users.parquet") is not None
