"""The results of runs: the errors that follow from them, and how notebooks show them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dapkit.errors import (
    DapError,
    PartialFailureError,
    ReconciliationError,
    ServerError,
)
from dapkit.events import TableCompared
from dapkit.export.run_result import RunResult
from dapkit.export.schemas import SavedSchema, SchemasResult
from dapkit.failures import TableFailed
from dapkit.replication.managed_tables import DropResult
from dapkit.replication.reconcile import ReconcileResult
from dapkit.replication.run import SyncResult
from dapkit.results import Comparison, LoadStats, SyncAction, TableLoaded, TableResult, TablesResult

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def failures(**errors: DapError) -> list[TableFailed]:
    return [TableFailed(table=table, error=error) for table, error in errors.items()]


def test_a_result_raises_the_error_that_the_command_ends_with(
    run_result: Callable[..., RunResult], table_result: Callable[..., TableResult]
) -> None:
    run_result([table_result("a")]).raise_for_failed()
    with pytest.raises(PartialFailureError, match="1 of 2 tables failed: b"):
        run_result([table_result("a")], {"b": ServerError("It is 503")}).raise_for_failed()
    with pytest.raises(ServerError, match="It is 503"):
        run_result((), {"b": ServerError("It is 503")}).raise_for_failed()


def test_a_difference_is_raised_before_a_table_that_could_not_be_compared() -> None:
    def result(**found: int) -> ReconcileResult:
        counts: dict[str, Any] = {"rows": 1, "compared": 1, "missing": 0, "extra": 0, "repeated": 0, **found}
        compared = TableCompared(table="a", comparison=Comparison(differing={}, **counts), watermark=NOW)
        failed = (TableFailed(table="b", error=ServerError("It is 503")),)
        return ReconcileResult(namespace="canvas", target="duckdb:x", done=(compared,), failed=failed, sandbox=False)

    with pytest.raises(PartialFailureError):
        result().raise_for_failed()
    with pytest.raises(ReconciliationError, match="1 of 1 table differs"):
        result(missing=1).raise_for_failed()


def test_notebooks_show_a_small_table_and_what_failed(
    run_result: Callable[..., RunResult], table_result: Callable[..., TableResult]
) -> None:
    shown = run_result([table_result("a<b")], {"c": ServerError("<503>", hint="Wait.")})._repr_html_()
    for part in ("a&lt;b", "1,234", "1.50 kB", "2026-09-01T00:00:00Z", "&lt;503&gt;", "server", "Wait."):
        assert part in shown
    assert "<503>" not in shown
    assert shown.count("<table>") == shown.count("</table>") == 2
    assert "Failed" not in run_result([table_result("a")])._repr_html_()


def test_every_result_can_be_shown() -> None:
    loaded = TableLoaded(
        table="a",
        action=SyncAction.INCREMENTAL,
        counts=LoadStats(written=5, deleted=1),
        watermark=NOW,
        schema_version=1,
        seconds=0.5,
    )
    compared = TableCompared(
        table="a",
        comparison=Comparison(rows=7, compared=7, missing=0, extra=0, repeated=0, differing={"name": 2}),
        watermark=NOW,
    )
    target: dict[str, Any] = {"namespace": "canvas", "target": "duckdb:x"}
    synced = SyncResult(
        **target, done=(loaded,), failed=(), repaired_values_folder=Path("x"), seconds=1.0, sandbox=False
    )
    saved = SavedSchema(table="a", version=3, path=Path("a_3.json"))
    results: list[tuple[TablesResult, str]] = [
        (synced, "incremental"),
        (ReconcileResult(**target, done=(compared,), failed=(), sandbox=False), "name"),
        (SchemasResult(namespace="canvas", done=(saved,), failed=(), notice=None), "a_3.json"),
        (DropResult(**target, done=("a",)), "duckdb:x"),
    ]
    for result, part in results:
        assert part in result._repr_html_()
        assert "<td>a</td>" in result._repr_html_()
