"""Reconciling finds each kind of difference, and none in a correct table."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support.sync_setup import SyncSetup, run_with_sandbox

from dapkit.cli.logs import comparison_text
from dapkit.errors import LockedError, NotReplicatedError
from dapkit.events import JobsPlanned
from dapkit.protocol.namespaces import LOGS
from dapkit.replication.options import SyncRequest
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.results import Comparison, SyncCommand
from dapkit.targets.base import ExpectedTable
from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.sql.session import SqlTargetSession
from dapkit.transfer import locking


async def reconciled(
    setup: SyncSetup,
    *,
    sync: bool = True,
    namespace: str = "canvas",
    tables: tuple[str, ...] = ("users",),
    sample: float | None = None,
    **more: Any,
) -> ReconcileResult:
    options = SyncRequest(
        command=SyncCommand.SYNC,
        namespace=namespace,
        tables=tables,
        target=duckdb_file(setup.database("college")),
        stage=setup.folder / "stage",
        **more,
    )
    return await reconcile(setup.session, options, setup.events.append, sync=sync, sample=sample)


def tampered(setup: SyncSetup, sql: str) -> None:
    with duckdb.connect(str(setup.database("college"))) as connection:
        connection.execute(sql)


def test_a_correct_database_is_equal_after_changes_too(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        setup.advance(400)
        before = setup.rows("college", "users")
        result = await reconciled(setup, tables=("users", "roles"))
        assert result.equal
        assert [event.jobs for event in setup.events if isinstance(event, JobsPlanned)] == [2, 2]
        assert [each.comparison.rows > 0 for each in result.done] == [True, True]
        assert setup.rows("college", "users") != before, "it was synced first"
        with duckdb.connect(str(setup.database("college")), read_only=True) as connection:
            assert connection.sql("FROM duckdb_schemas() WHERE schema_name LIKE '%scratch%'").fetchall() == []

    run_with_sandbox(tmp_path, scenario)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("DELETE FROM canvas.users WHERE id = (SELECT min(id) FROM canvas.users)", {"missing": 1}),
    ("UPDATE canvas.users SET id = -5 WHERE id = (SELECT min(id) FROM canvas.users)", {"missing": 1, "extra": 1}),
    ("INSERT INTO canvas.users FROM canvas.users ORDER BY id LIMIT 1", {"repeated": 1}),
    (
        "UPDATE canvas.users SET name = 'another name' WHERE id = (SELECT min(id) FROM canvas.users)",
        {"differing": {"name": 1}},
    ),
    (
        "UPDATE canvas.users SET name = NULL WHERE id = (SELECT min(id) FROM canvas.users WHERE name IS NOT NULL)",
        {"differing": {"name": 1}},
    ),
]


def test_each_kind_of_difference_is_found(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        for sync in (False, True):
            for sql, found in KINDS if not sync else KINDS[-1:]:
                await setup.load(tables=("users",))
                tampered(setup, sql)
                comparison = (await reconciled(setup, sync=sync)).done[0].comparison
                expected = {"missing": 0, "extra": 0, "repeated": 0, "differing": {}, **found}
                assert {name: getattr(comparison, name) for name in expected} == expected
                assert not comparison.equal
                assert examples(comparison) > 0

    run_with_sandbox(tmp_path, scenario)


def examples(comparison: Comparison) -> int:
    keys = (comparison.missing_keys, comparison.extra_keys, comparison.repeated_keys, comparison.values)
    return sum(map(len, keys))


def test_a_table_that_is_only_stale_is_equal(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        before = setup.rows("college", "users")
        setup.advance(400)
        result = await reconciled(setup, sync=False)
        assert result.equal
        assert setup.rows("college", "users") == before
        tampered(setup, "UPDATE canvas.users SET name = 'another name'")
        assert not (await reconciled(setup, sync=False)).equal

    run_with_sandbox(tmp_path, scenario)


def test_the_second_of_two_comparisons_fails_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "LOCK_POLL", 0.01)

    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        one, other = await asyncio.gather(
            reconciled(setup, sync=False), reconciled(setup, sync=False), return_exceptions=True
        )
        assert isinstance(one, ReconcileResult)
        assert isinstance(other, LockedError)
        both = await asyncio.gather(reconciled(setup, wait=True), reconciled(setup, wait=True))
        assert all(result.equal for result in both)

    run_with_sandbox(tmp_path, scenario)


@pytest.mark.parametrize("next_is_sync", [True, False])
def test_files_of_a_killed_comparison_are_removed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, next_is_sync: bool
) -> None:
    class KilledError(BaseException):
        """Nothing is cleaned up after it, as after kill -9."""

    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))

        def killed(*_: object) -> None:
            raise KilledError

        with monkeypatch.context() as context:
            context.setattr(SqlTargetSession, "compare", killed)
            with pytest.raises(BaseExceptionGroup):
                await reconciled(setup, sync=False)
        assert any((tmp_path / "stage").rglob("part-*"))
        await (setup.sync(tables=("users",)) if next_is_sync else reconciled(setup, sync=False))
        assert {path.suffix for path in (tmp_path / "stage").iterdir()} == {".lock"}

    run_with_sandbox(tmp_path, scenario)


def test_a_sample_reports_how_many_rows_were_compared(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        tampered(setup, "UPDATE canvas.users SET name = 'another name'")
        tampered(setup, "DELETE FROM canvas.users WHERE id = (SELECT min(id) FROM canvas.users)")
        comparison = (await reconciled(setup, sync=False, sample=20)).done[0].comparison
        assert 0 < comparison.compared < comparison.rows
        assert comparison.differing == {"name": comparison.compared}
        assert comparison.missing == 1
        assert f"{comparison.compared} of {comparison.rows} rows compared" in comparison_text(comparison)

    run_with_sandbox(tmp_path, scenario)


def test_logs_that_the_service_has_deleted_are_not_extra(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(namespace=LOGS, tables=("web_logs",))
        setup.advance(24 * 20)
        result = await reconciled(setup, namespace=LOGS, tables=("web_logs",))
        assert result.equal
        comparison = result.done[0].comparison
        assert 0 < comparison.compared < comparison.rows
        tampered(
            setup,
            "DELETE FROM canvas_logs.web_logs WHERE timestamp = (SELECT max(timestamp) FROM canvas_logs.web_logs)",
        )
        different = await reconciled(setup, sync=False, namespace=LOGS, tables=("web_logs",))
        assert different.done[0].comparison.missing
        assert different.error is not None
        assert "keep the tables" in different.error.hint
        assert "drop" not in different.error.hint

    run_with_sandbox(tmp_path, scenario)


def test_tables_that_are_not_managed_cannot_be_compared(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        with pytest.raises(NotReplicatedError):
            await reconciled(setup, sync=False, tables=("roles",))
        with pytest.raises(NotReplicatedError):
            await reconciled(setup, sync=False, namespace="catalog", tables=("all",))

    run_with_sandbox(tmp_path, scenario)


def test_expired_logs_are_not_missing(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await setup.load(**logs)
        setup.advance(24 * 20)
        (loaded,) = (await setup.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.counts.expired > 0
        assert (await reconciled(setup, **logs)).equal

    run_with_sandbox(tmp_path, scenario)


def test_a_table_that_cannot_be_compared_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SqlTargetSession.compare

    def failing(self: SqlTargetSession, expected: ExpectedTable) -> Comparison:
        if expected.actual.table == "users":
            raise ValueError("unexpected")
        return real(self, expected)

    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users", "roles"))
        monkeypatch.setattr(SqlTargetSession, "compare", failing)
        result = await reconciled(setup, sync=False, tables=("users", "roles"))
        assert [(failure.table, failure.error.code) for failure in result.failed] == [("users", "internal")]
        assert [table.table for table in result.done] == ["roles"]

    run_with_sandbox(tmp_path, scenario)
