"""Rows are the same for all versions of DuckDB, all processes and any order of requests."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from dapkit.sandbox.data.catalogue import Table
from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.data.timeline import DAY, DECADE, ORIGIN

Rows = Callable[[Table, int | None, int], tuple[tuple[Any, ...], ...]]

GOLDEN = {
    "canvas.users": "35aee7332d953a5ac72a4ba21e6a80fbd8ece0d8cec422962123abc735ee1bbd",
    "canvas.submissions": "072f0e36f709f451d8162a455d303255db950b132bbc9582ba099a7b6c1145fa",
    "canvas_logs.web_logs": "36a4fd66d7f4ee30571def328fdfdb27498044efaa555a97b47f4253dc4dd81e",
    "edge.texts": "b8b83ddcee52dc4ae442beb73270a6542e2cc344d7d59083f2c2214883a9fb64",
    "edge.nested": "52c60954a0aeda8f18268ca9faf92b93559f1b66eafa79fc4ac0c1ca448230f0",
}
"""SHA-256 of the texts of the rows. Change a digest only if the data is meant to change: resuming a run against the
sandbox, and published figures, rely on the same rows."""


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_digests(name: str, college: Dataset, rows: Rows) -> None:
    namespace, _, table = name.partition(".")
    found = rows(college.catalogue.table(namespace, table), None, ORIGIN + 3000 * DAY)
    text = "\n".join(map(repr, found))
    assert hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == GOLDEN[name]


def test_rows_are_ordered_by_number(college: Dataset, rows: Rows, now: int) -> None:
    keys = [row[2] for row in rows(college.catalogue.table("canvas", "enrollments"), None, now)]
    assert keys == sorted(keys)


def test_a_part_s_rows_do_not_depend_on_the_parts_before(college: Dataset, now: int) -> None:
    query = DataQuery(namespace="edge", table="many_parts", format="jsonl", until_ms=now)
    parts = college.parts(query)[:4]
    assert [college.rows(part) for part in reversed(parts)] == [college.rows(part) for part in parts][::-1]


def test_values_change_only_with_their_row(college: Dataset, rows: Rows) -> None:
    table = college.catalogue.table("canvas", "courses")
    earlier = {row[2]: row for row in rows(table, None, ORIGIN + DECADE - 700 * DAY)}
    later = {row[2]: row for row in rows(table, None, ORIGIN + DECADE)}
    touched = [key for key in earlier if earlier[key][0] != later[key][0]]
    assert len(touched) > 0
    assert all(earlier[key] == later[key] for key in earlier if key not in touched)
    assert any(earlier[key][3:] != later[key][3:] for key in touched)
