"""Tables loaded into a database and kept up to date, with the sandbox."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support.sync_setup import TABLES, SyncSetup, run_with_sandbox

from dapkit.client.session import Session
from dapkit.errors import (
    LockedError,
    SandboxMismatchError,
    ServerError,
    SnapshotRequiredError,
    TableNotFoundError,
    TargetError,
    TargetUnreachableError,
    UsageError,
)
from dapkit.events import JobsPlanned, Notice, Retrying
from dapkit.locks import FileLock
from dapkit.model import Query
from dapkit.protocol.namespaces import LOGS
from dapkit.replication import retry, table_sync
from dapkit.replication.resources import SyncResources
from dapkit.replication.run import SyncResult
from dapkit.results import LoadStats, SyncAction, SyncCommand
from dapkit.schema import read_table
from dapkit.targets.base import Load, SyncState
from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.sql.session import SqlTargetSession
from dapkit.targets.sql.sync_state import SyncStateStore
from dapkit.transfer import locking


def test_after_a_sync_the_database_equals_an_initial_load(tmp_path: Path) -> None:
    tables = ("users", "enrollments")

    async def scenario(setup: SyncSetup) -> None:
        first = await setup.sync(tables=tables)
        assert [loaded.action for loaded in first.done] == [SyncAction.INITIAL_LOAD] * 2
        setup.advance(400)
        result = await setup.sync(tables=tables)
        assert result.failed == ()
        await setup.sync(name="new", tables=tables)
        for table in tables:
            rows = setup.rows("college", table)
            assert rows == setup.rows("new", table)
            assert rows
        assert sum(loaded.counts.written for loaded in result.done) < sum(c.counts.written for c in first.done) / 5

    run_with_sandbox(tmp_path, scenario, scale=0.05)


def test_only_tables_that_need_a_job_count_as_jobs_to_request(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        await setup.sync(tables=TABLES)
        await setup.sync(tables=TABLES, if_stale=timedelta(days=1))
        await setup.sync(tables=TABLES, command=SyncCommand.INIT)
        assert [event.jobs for event in setup.events if isinstance(event, JobsPlanned)] == [2, 0, 0]

    run_with_sandbox(tmp_path, scenario)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("namespace", ["canvas", "canvas_logs", "catalog", "new_quizzes", "edge"])
def test_every_table_of_a_namespace_stays_equal(namespace: str, tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        everything: dict[str, Any] = {"namespace": namespace, "tables": ("all",)}
        assert (await setup.sync(**everything)).failed == ()
        setup.advance(24 * 20)
        result = await setup.sync(**everything)
        assert result.failed == ()
        await setup.sync(name="fresh", **everything)
        for loaded in result.done:
            rows, fresh = (setup.rows(name, loaded.table, namespace) for name in ("college", "fresh"))
            if namespace == LOGS:
                assert set(rows) > set(fresh), "logs outlive the service's 30 days"
            else:
                assert rows == fresh, loaded.table

    run_with_sandbox(tmp_path, scenario)


def test_tables_without_changes_are_skipped(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        result = await setup.sync()
        assert [loaded.action for loaded in result.done] == [SyncAction.SKIP] * len(TABLES)
        assert {past.event for past in setup.last_events().values()} == {"skip"}

    run_with_sandbox(tmp_path, scenario)


def test_the_warning_of_a_target_is_sent_once(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.sync(target=replace(duckdb_file(setup.database("college")), warning="Try it on a copy."))
        assert [event.message for event in setup.events if isinstance(event, Notice)] == ["Try it on a copy."]

    run_with_sandbox(tmp_path, scenario)


def test_an_initial_load_succeeds_even_if_the_changes_since_are_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_sync, "REFRESH_INTERVAL", timedelta(days=-1))
    download = SyncResources.download

    async def failing(self: SyncResources, table: str, query: Query, *rest: Any) -> Any:
        if query.since:
            raise ServerError("no increments today")
        return await download(self, table, query, *rest)

    monkeypatch.setattr(SyncResources, "download", failing)

    async def scenario(setup: SyncSetup) -> None:
        result = await setup.sync()
        assert {loaded.action for loaded in result.done} == {SyncAction.INITIAL_LOAD}
        assert len([text for text in setup.notices() if "no increments today" in text]) == len(TABLES)
        assert {past.event for past in setup.last_events().values()} == {"initial-load"}

    run_with_sandbox(tmp_path, scenario)


def test_staged_files_are_removed_after_the_load(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.sync()
        assert [path.suffix for path in (tmp_path / "stage").iterdir()] == [".lock"]

    run_with_sandbox(tmp_path, scenario)


def test_a_failed_load_is_rolled_back_and_its_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(setup: SyncSetup) -> None:
        def broken(*_: object, **__: object) -> None:
            raise TargetError("the power failed")

        with monkeypatch.context() as context:
            context.setattr(SyncStateStore, "save", broken)
            result = await setup.sync()
        assert [failure.error.code for failure in result.failed] == ["target"] * len(TABLES)
        assert any((tmp_path / "stage").rglob("part-*"))
        with duckdb.connect(str(setup.database("college")), read_only=True) as connection:
            assert connection.sql("FROM duckdb_tables() WHERE schema_name = 'canvas'").fetchall() == []
        assert (await setup.sync()).failed == ()

    run_with_sandbox(tmp_path, scenario)


def lose_responses(monkeypatch: pytest.MonkeyPatch, verb: str, *, committed: bool, times: int = 1) -> None:
    """Lose the connection in the first loads of each table, just before or just after the commit."""
    monkeypatch.setattr(retry, "retry_pause", lambda *_: 0.0)
    real, losses = getattr(SqlTargetSession, verb), Counter[str]()

    def losing(self: SqlTargetSession, load: Load, *before: SyncState) -> LoadStats:
        losses[load.table.name] += 1
        counts: LoadStats | None = real(self, load, *before) if committed else None
        if losses[load.table.name] <= times:
            raise TargetUnreachableError("The response was lost")
        return counts or real(self, load, *before)

    monkeypatch.setattr(SqlTargetSession, verb, losing)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.INIT])
def test_an_initial_load_whose_response_was_lost_is_done_once(
    command: SyncCommand, committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(setup: SyncSetup) -> None:
        with monkeypatch.context() as context:
            lose_responses(context, "initial_load", committed=committed)
            result = await setup.sync(command=command)
        assert result.failed == ()
        assert len([event for event in setup.events if isinstance(event, Retrying)]) == len(TABLES)
        assert {loaded.action for loaded in result.done} == {SyncAction.SKIP if committed else SyncAction.INITIAL_LOAD}
        await setup.assert_equal_to_initial_load()

    run_with_sandbox(tmp_path, scenario)


@pytest.mark.parametrize("committed", [True, False])
def test_an_increment_whose_response_was_lost_is_applied_once(
    committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        setup.advance(400)
        with monkeypatch.context() as context:
            lose_responses(context, "apply_increment", committed=committed)
            result = await setup.sync()
        assert result.failed == ()
        with duckdb.connect(str(setup.database("college")), read_only=True) as connection:
            notes = connection.sql(
                "SELECT source_table, event FROM instructure_dap.dapkit_history WHERE event <> 'skip'"
            ).fetchall()
        assert sorted(notes) == sorted((table, event) for table in TABLES for event in ("initial-load", "incremental"))
        await setup.assert_equal_to_initial_load()

    run_with_sandbox(tmp_path, scenario)


def test_an_unreachable_database_fails_its_tables_after_the_retry_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(setup: SyncSetup) -> None:
        lose_responses(monkeypatch, "initial_load", committed=False, times=10**9)
        result = await setup.sync(retry_timeout=0.1)
        assert [failure.error.code for failure in result.failed] == ["target-unreachable"] * len(TABLES)
        assert len([event for event in setup.events if isinstance(event, Retrying)]) >= len(TABLES)

    run_with_sandbox(tmp_path, scenario)


def test_a_failure_that_cannot_be_recorded_is_reported_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(setup: SyncSetup) -> None:
        def broken(*_: object, **__: object) -> None:
            raise TargetError("the power failed")

        def away(*_: object) -> None:
            raise OSError("the disk was removed")

        monkeypatch.setattr(SyncStateStore, "save", broken)
        monkeypatch.setattr(SqlTargetSession, "record_event", away)
        result = await setup.sync()
        assert [failure.error.message for failure in result.failed] == ["the power failed"] * len(TABLES)

    run_with_sandbox(tmp_path, scenario)


def test_some_failures_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        written: list[object] = []
        monkeypatch.setattr(SqlTargetSession, "record_event", lambda *line: written.append(line))
        rejected = await setup.sync(command=SyncCommand.INIT)
        assert [failure.error.code for failure in rejected.failed] == ["already-replicated"] * len(TABLES)

        def unreachable(*_: object) -> None:
            raise TargetUnreachableError("it vanished")

        setup.advance(400)
        monkeypatch.setattr(SqlTargetSession, "apply_increment", unreachable)
        result = await setup.sync(retry_timeout=0.0)
        assert [failure.error.code for failure in result.failed] == ["target-unreachable"] * len(TABLES)
        assert written == []

    run_with_sandbox(tmp_path, scenario)


def test_a_reloaded_table_is_merged_from_a_new_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        setup.advance(400)
        submit = Session.submit

        async def demanding(self: Session, namespace: str, table: str, query: Any, *, resubmit: bool = False) -> Any:
            if query.since is not None:
                raise SnapshotRequiredError("The table was reloaded", table=table)
            return await submit(self, namespace, table, query, resubmit=resubmit)

        with monkeypatch.context() as context:
            context.setattr(Session, "submit", demanding)
            update = await setup.sync(command=SyncCommand.UPDATE)
            past = setup.last_events()
            result = await setup.sync()
        assert [failure.error.code for failure in update.failed] == ["snapshot-required"] * len(TABLES)
        assert [loaded.action for loaded in result.done] == [SyncAction.FULL_REFRESH] * len(TABLES)
        assert {(last.event, last.detail["code"]) for last in past.values()} == {("failed", "snapshot-required")}
        assert past["users"].detail["message"] == "The table was reloaded"
        assert {last.event for last in setup.last_events().values()} == {"full-refresh"}
        await setup.assert_equal_to_initial_load()

    run_with_sandbox(tmp_path, scenario)


def test_a_database_with_data_of_the_service_rejects_the_sandbox(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        with duckdb.connect(str(setup.database("college"))) as connection:
            connection.execute("DELETE FROM instructure_dap.dapkit_origin")
        with pytest.raises(SandboxMismatchError):
            await setup.sync()

    run_with_sandbox(tmp_path, scenario)


def test_logs_expire_only_on_request(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("all",)}
        await setup.load(namespace=LOGS, tables=("web_logs",))
        setup.advance(24 * 20)
        await setup.sync(**logs)
        everything = setup.rows("college", "web_logs", LOGS)
        (loaded,) = (await setup.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.action is SyncAction.SKIP, "rows expire even without changes"
        kept = setup.rows("college", "web_logs", LOGS)
        assert set(kept) < set(everything)
        assert loaded.counts.expired == len(everything) - len(kept)
        setup.advance(24)
        (loaded,) = (await setup.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.action is SyncAction.INCREMENTAL
        assert len(setup.rows("college", "web_logs", LOGS)) == len(kept) + loaded.counts.written - loaded.counts.expired
        assert loaded.counts.expired > 0
        before = setup.rows("college", "web_logs", LOGS)
        (loaded,) = (await setup.sync(**logs, expire_logs=timedelta(days=31), if_stale=timedelta(days=1))).done
        assert (loaded.action, loaded.counts.expired) == (SyncAction.SKIP, 0)
        assert setup.rows("college", "web_logs", LOGS) == before
        with duckdb.connect(str(setup.database("college")), read_only=True) as connection:
            oldest = "SELECT min(timestamp) >= max(timestamp) - INTERVAL 31 DAY FROM canvas_logs.web_logs"
            assert connection.sql(oldest).fetchall() == [(True,)]

    run_with_sandbox(tmp_path, scenario)


@pytest.mark.parametrize("namespace", ["canvas", "canvas_log"])
def test_an_invalid_expiry_is_rejected_before_any_request(tmp_path: Path, namespace: str) -> None:
    async def scenario(setup: SyncSetup) -> None:
        with pytest.raises(UsageError):
            await setup.sync(namespace=namespace, expire_logs=timedelta(days=30))
        assert not setup.database("college").exists()

    run_with_sandbox(tmp_path, scenario)


def test_logs_without_the_time_of_the_event_do_not_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(setup: SyncSetup) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await setup.load(namespace=LOGS, tables=("web_logs",))
        before = setup.rows("college", "web_logs", LOGS)

        def timeless(schema: Any) -> Any:
            table = read_table(schema)
            return replace(table, value=tuple(column for column in table.value if column.name != "timestamp"))

        monkeypatch.setattr("dapkit.replication.table_sync.read_table", timeless)
        setup.events.clear()
        (loaded,) = (await setup.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.counts.expired == 0
        assert ["timestamp" in message for message in setup.notices()] == [True]
        assert setup.rows("college", "web_logs", LOGS) == before

    run_with_sandbox(tmp_path, scenario)


def test_logs_that_were_not_updated_for_long_are_reported(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await setup.load(namespace=LOGS, tables=("web_logs",))
        setup.advance(24 * 20)
        await setup.sync(**logs)
        assert setup.notices() == []
        setup.advance(24 * 22)
        await setup.sync(**logs)
        (near,) = setup.notices()
        assert "22 days ago" in near
        setup.advance(24 * 33)
        result = await setup.sync(**logs)
        assert [loaded.action for loaded in result.done] == [SyncAction.FULL_REFRESH]
        near, fallback, loss = setup.notices()
        assert "33 days ago" in near
        assert "A new snapshot is merged instead" in fallback
        assert "2026-10-13T00:00:00Z and 2026-10-16T00:00:00Z may be lost" in loss

    run_with_sandbox(tmp_path, scenario)


@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.UPDATE])
def test_a_table_no_longer_in_the_service_is_kept_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: SyncCommand
) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load()
        setup.events.clear()
        before = setup.rows("college", "users")
        tables, submit = Session.tables, Session.submit

        async def fewer(self: Session, namespace: str) -> tuple[str, ...]:
            return tuple(name for name in await tables(self, namespace) if name == "roles")

        async def refusing(self: Session, namespace: str, table: str, *rest: Any, **more: Any) -> Any:
            if table == "users":
                raise TableNotFoundError("The service has no table 'users'")
            return await submit(self, namespace, table, *rest, **more)

        monkeypatch.setattr(Session, "tables", fewer)
        monkeypatch.setattr(Session, "submit", refusing)
        result = await setup.sync(command=command, tables=("all",))
        assert (len(result.done), result.failed) == (1, ())
        assert [state.table for state in result.no_longer_in_service] == ["users"]
        assert setup.notices() == [
            "users is no longer offered by the service; it stays in the database as of 2026-09-01T00:00:00Z."
        ]
        assert (await setup.sync(command=command, tables=("all",), exclude=("us*",))).no_longer_in_service == ()
        only = await setup.sync(command=command, tables=("use*",))
        assert (only.done, only.failed, [state.table for state in only.no_longer_in_service]) == ((), (), ["users"])
        with pytest.raises(UsageError):
            await setup.sync(command=command, tables=("x*",))
        named = await setup.sync(command=command, tables=("all", "users"))
        assert named.no_longer_in_service == ()
        (failure,) = named.failed
        assert failure.error.code == "table-not-found"
        assert "stays in the database as of 2026-09-01T00:00:00Z" in failure.error.hint
        assert setup.rows("college", "users") == before

    run_with_sandbox(tmp_path, scenario)


def test_the_second_of_two_equal_runs_fails_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "LOCK_POLL", 0.01)

    async def scenario(setup: SyncSetup) -> None:
        first, second = await asyncio.gather(setup.sync(), setup.sync(), return_exceptions=True)
        assert isinstance(first, SyncResult)
        assert isinstance(second, LockedError)
        assert "--wait" in second.hint
        setup.advance(400)
        both = await asyncio.gather(setup.sync(wait=True), setup.sync(wait=True))
        assert [{loaded.action for loaded in result.done} for result in both] == [
            {SyncAction.INCREMENTAL},
            {SyncAction.SKIP},
        ]
        assert ["Waiting for it" in message for message in setup.notices()] == [True]

    run_with_sandbox(tmp_path, scenario)


def test_a_lock_file_without_a_holder_is_ignored(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.sync()
        (left,) = (tmp_path / "stage").glob("*.lock")
        assert left.read_text().startswith("process ")
        with FileLock(left) as lock:
            assert lock.acquire()
            with pytest.raises(LockedError):
                await setup.sync()
        assert (await setup.sync(wait=True)).failed == ()

    run_with_sandbox(tmp_path, scenario)
