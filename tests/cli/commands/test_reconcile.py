"""What `dap reconcile` prints about a comparison, for people and programs."""

import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dapkit.cli.commands.reconcile import as_object, reconcile_report
from dapkit.events import TableCompared
from dapkit.replication.reconcile import ReconcileResult
from dapkit.results import Comparison, ValueDifference


def result_of(**more: Any) -> ReconcileResult:
    settings = {"rows": 100, "compared": 100, "missing": 0, "extra": 0, "repeated": 0, "differing": {}, **more}
    compared = TableCompared(
        table="users", comparison=Comparison(**settings), watermark=datetime(2024, 3, 1, 12, tzinfo=UTC)
    )
    return ReconcileResult(namespace="canvas", target="duckdb:a", done=(compared,), failed=(), sandbox=False)


def lines(result: ReconcileResult) -> list[str]:
    report = reconcile_report(result)
    return [*report.lines, *report.problems, report.totals]


def value(actual: object, expected: object) -> ReconcileResult:
    difference = ValueDifference(key=(7,), column="name", actual=actual, expected=expected)
    return result_of(differing={"name": 1}, values=(difference,))


def test_an_equal_table_prints_no_lines() -> None:
    assert lines(result_of()) == ["1 of 1 table equal. Database: duckdb:a"]


def test_columns_not_compared_are_reported() -> None:
    assert lines(result_of(compared=3))[0] == "users: equal, 3 of 100 rows compared"
    assert lines(result_of(columns_not_compared=("a", "b")))[0] == "users: equal, 100 rows, without a, b"
    assert lines(result_of(compared=3, missing=1))[0] == "users: not equal: 1 row missing (3 of 100 rows compared)"


@pytest.mark.parametrize(
    ("actual", "expected", "shown"),
    [
        (None, "None", "null instead of 'None'"),
        (b"\x00\xff", b"\x01", "00ff instead of 01"),
        (date(2024, 2, 29), None, "2024-02-29 instead of null"),
        (uuid.UUID(int=1), 1, "00000000-0000-0000-0000-000000000001 instead of 1"),
        ("a\nb", "a", r"'a\nb' instead of 'a'"),
    ],
)
def test_a_differing_value_is_one_line(actual: object, expected: object, shown: str) -> None:
    assert lines(value(actual, expected))[1] == f"  7 name: {shown}"


def test_long_values_are_shortened_to_where_they_differ() -> None:
    line = lines(value("x" * 500_000 + "yes", "x" * 500_000 + "no" + "z" * 500_000))[1]
    assert len(line) < 220
    assert "yes" in line
    assert "xno" in line


def test_json_contains_null_and_complete_values() -> None:
    (table,) = as_object(value(None, "x" * 200))["tables"]
    assert table["values"] == [{"key": "7", "column": "name", "actual": None, "expected": "x" * 200}]
    assert (table["rows"], table["compared"], table["columns_not_compared"]) == (100, 100, [])


def test_differences_are_shown_even_if_success_is_silent() -> None:
    assert reconcile_report(result_of(missing=1)).problems
    assert reconcile_report(result_of(compared=3)).problems == ()
