"""Tables brought into a database and kept equal there, against the sandbox: always what a fresh load would be."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dapkit.api.connection import connect
from dapkit.client.session import Session
from dapkit.config.settings import ClientOptions, connection_settings
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
from dapkit.events import Event, Notice, Retrying
from dapkit.locks import FileLock
from dapkit.model import Query
from dapkit.replication import download as fetching
from dapkit.replication import retry as outage
from dapkit.replication import table_sync as bringing
from dapkit.replication.managed_tables import list_tables
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.plan import LOGS
from dapkit.replication.run import SyncResult, replicate
from dapkit.results import LoadStats, SyncAction, SyncCommand
from dapkit.schema import read_table
from dapkit.targets.base import HistoryEntry, Load, SyncState
from dapkit.targets.duckdb.target import DuckDbSession, DuckDbTarget
from dapkit.transfer import locking

TABLES = ("users", "courses", "enrollments")


@dataclass
class World:
    """A sandbox, a folder for a database and its stage, and what was told."""

    folder: Path
    session: Session
    advance: Callable[[float], None]
    heard: list[Event] = field(default_factory=list)

    async def sync(self, name: str = "college", command: SyncCommand = SyncCommand.SYNC, **more: Any) -> SyncResult:
        settings = {"namespace": "canvas", "tables": TABLES, **more}
        options = ReplicateOptions(
            command=command, target=DuckDbTarget(self.database(name)), stage=self.folder / "stage", **settings
        )
        return await replicate(self.session, options, self.heard.append)

    def notices(self) -> list[str]:
        """Return what was told that a person should know, and forget it."""
        told = [event.message for event in self.heard if isinstance(event, Notice)]
        self.heard.clear()
        return told

    def database(self, name: str) -> Path:
        return self.folder / f"{name}.duckdb"

    def past(self) -> dict[str, HistoryEntry]:
        """Return what was last done to each table on the books."""
        listed = list_tables(DuckDbTarget(self.database("college")), "canvas", count=False).tables
        return {each.state.table: each.last for each in listed if each.last is not None}

    def rows(self, name: str, table: str, namespace: str = "canvas") -> list[str]:
        """Return the rows as texts, since NaN equals nothing."""
        with duckdb.connect(str(self.database(name)), read_only=True) as connection:
            return sorted(map(repr, connection.sql(f'FROM "{namespace}"."{table}"').fetchall()))


def in_world(folder: Path, scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    options = ClientOptions(sandbox=True, sandbox_scale=0.05, sandbox_job_seconds=0.0, state_folder=folder)
    settings = connection_settings(options, {})

    async def run() -> None:
        async with connect(settings, lambda _: None) as connection:
            assert connection.sandbox is not None
            await scenario(World(folder, connection.session, connection.sandbox.advance))

    asyncio.run(run())


def test_after_every_sync_the_database_is_what_a_fresh_load_would_be(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        first = await world.sync()
        assert [loaded.action for loaded in first.done] == [SyncAction.INITIAL_LOAD] * 3
        for number, hours in enumerate((400.0, 4.0)):
            world.advance(hours)
            result = await world.sync()
            assert result.failed == ()
            await world.sync(name=f"fresh-{number}")
            for table in TABLES:
                rows = world.rows("college", table)
                assert rows == world.rows(f"fresh-{number}", table)
                assert rows
        assert sum(loaded.counts.written for loaded in result.done) < sum(c.counts.written for c in first.done) / 10

    in_world(tmp_path, scenario)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("namespace", ["canvas", "canvas_logs", "catalog", "new_quizzes", "edge"])
def test_every_table_of_a_namespace_stays_equal(namespace: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        everything: dict[str, Any] = {"namespace": namespace, "tables": ("all",)}
        assert (await world.sync(**everything)).failed == ()
        world.advance(24 * 20)
        result = await world.sync(**everything)
        assert result.failed == ()
        await world.sync(name="fresh", **everything)
        for loaded in result.done:
            rows, fresh = (world.rows(name, loaded.table, namespace) for name in ("college", "fresh"))
            if namespace == LOGS:
                assert set(rows) > set(fresh), "logs outlive the service's 30 days"
            else:
                assert rows == fresh, loaded.table

    in_world(tmp_path, scenario)


def test_nothing_new_is_left_alone(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        result = await world.sync()
        assert [loaded.action for loaded in result.done] == [SyncAction.SKIP] * 3
        assert {past.event for past in world.past().values()} == {"skip"}

    in_world(tmp_path, scenario)


def test_what_a_target_has_to_say_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuckDbTarget, "notice", "Try it on a copy.")

    async def scenario(world: World) -> None:
        await world.sync()
        assert [event.message for event in world.heard if isinstance(event, Notice)] == ["Try it on a copy."]

    in_world(tmp_path, scenario)


def test_a_first_load_stands_though_what_changed_since_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "REFRESH", timedelta(days=-1))
    real = fetching.fetch_table

    async def failing(*what: Any) -> Any:
        if any(isinstance(each, Query) and each.since for each in what):
            raise ServerError("no increments today")
        return await real(*what)

    monkeypatch.setattr(bringing, "fetch_table", failing)

    async def scenario(world: World) -> None:
        result = await world.sync()
        assert {loaded.action for loaded in result.done} == {SyncAction.INITIAL_LOAD}
        assert len([told for told in world.notices() if "no increments today" in told]) == len(TABLES)
        assert {past.event for past in world.past().values()} == {"initial-load"}

    in_world(tmp_path, scenario)


def test_nothing_is_left_on_the_stage_when_all_is_in_the_database(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        assert [path.suffix for path in (tmp_path / "stage").iterdir()] == [".lock"]

    in_world(tmp_path, scenario)


def test_a_load_that_breaks_leaves_nothing_and_the_next_run_finds_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        def broken(*_: object) -> None:
            raise TargetError("the power failed")

        with monkeypatch.context() as context:
            context.setattr(DuckDbSession, "_book", broken)
            result = await world.sync()
        assert [failure.error.code for failure in result.failed] == ["target"] * 3
        assert any((tmp_path / "stage").rglob("part-*"))
        with duckdb.connect(str(world.database("college")), read_only=True) as connection:
            assert connection.sql("FROM duckdb_tables() WHERE schema_name = 'canvas'").fetchall() == []
        assert (await world.sync()).failed == ()

    in_world(tmp_path, scenario)


def losing_answers(monkeypatch: pytest.MonkeyPatch, verb: str, *, committed: bool, times: int = 1) -> None:
    """Let the connection be lost in the first loads of each table, just before or just after the commit."""
    monkeypatch.setattr(outage, "retry_pause", lambda *_: 0.0)
    real, losses = getattr(DuckDbSession, verb), Counter[str]()

    def losing(self: DuckDbSession, load: Load, *before: SyncState) -> LoadStats:
        losses[load.table.name] += 1
        counts: LoadStats | None = real(self, load, *before) if committed else None
        if losses[load.table.name] <= times:
            raise TargetUnreachableError("The answer was lost")
        return counts or real(self, load, *before)

    monkeypatch.setattr(DuckDbSession, verb, losing)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.INIT])
def test_a_first_load_whose_answer_was_lost_is_done_once(
    command: SyncCommand, committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        with monkeypatch.context() as context:
            losing_answers(context, "initialise", committed=committed)
            result = await world.sync(command=command)
        assert result.failed == ()
        assert len([event for event in world.heard if isinstance(event, Retrying)]) == len(TABLES)
        assert {loaded.action for loaded in result.done} == {SyncAction.SKIP if committed else SyncAction.INITIAL_LOAD}
        await world.sync(name="fresh")
        for table in TABLES:
            assert world.rows("college", table) == world.rows("fresh", table)

    in_world(tmp_path, scenario)


@pytest.mark.parametrize("committed", [True, False])
def test_changes_whose_answer_was_lost_are_applied_once(
    committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        world.advance(400)
        with monkeypatch.context() as context:
            losing_answers(context, "change", committed=committed)
            result = await world.sync()
        assert result.failed == ()
        with duckdb.connect(str(world.database("college")), read_only=True) as connection:
            notes = connection.sql(
                "SELECT source_table, event FROM instructure_dap.dapkit_history WHERE event <> 'skip'"
            ).fetchall()
        assert sorted(notes) == sorted((table, event) for table in TABLES for event in ("initial-load", "incremental"))
        await world.sync(name="fresh")
        for table in TABLES:
            assert world.rows("college", table) == world.rows("fresh", table)

    in_world(tmp_path, scenario)


def test_a_database_that_does_not_come_back_fails_its_tables_within_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        losing_answers(monkeypatch, "initialise", committed=False, times=10**9)
        result = await world.sync(retry_timeout=0.1)
        assert [failure.error.code for failure in result.failed] == ["target-unreachable"] * 3
        assert len([event for event in world.heard if isinstance(event, Retrying)]) >= len(TABLES)

    in_world(tmp_path, scenario)


def test_a_failure_stays_what_it_was_when_it_cannot_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        def broken(*_: object) -> None:
            raise TargetError("the power failed")

        def away(*_: object) -> None:
            raise OSError("the disk is gone")

        monkeypatch.setattr(DuckDbSession, "_book", broken)
        monkeypatch.setattr(DuckDbSession, "record_event", away)
        result = await world.sync()
        assert [failure.error.message for failure in result.failed] == ["the power failed"] * 3

    in_world(tmp_path, scenario)


def test_what_is_no_failure_of_the_table_leaves_its_history_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        written: list[object] = []
        monkeypatch.setattr(DuckDbSession, "record_event", lambda *line: written.append(line))
        refused = await world.sync(command=SyncCommand.INIT)
        assert [failure.error.code for failure in refused.failed] == ["already-replicated"] * 3

        def unreachable(*_: object) -> None:
            raise TargetUnreachableError("it is gone")

        world.advance(400)
        monkeypatch.setattr(DuckDbSession, "change", unreachable)
        gone = await world.sync(retry_timeout=0.0)
        assert [failure.error.code for failure in gone.failed] == ["target-unreachable"] * 3
        assert written == []

    in_world(tmp_path, scenario)


def test_a_reloaded_table_is_merged_from_a_fresh_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        world.advance(400)
        submit = Session.submit

        async def demanding(self: Session, namespace: str, table: str, query: Any, *, resubmit: bool = False) -> Any:
            if query.since is not None:
                raise SnapshotRequiredError("The table was reloaded", table=table)
            return await submit(self, namespace, table, query, resubmit=resubmit)

        with monkeypatch.context() as context:
            context.setattr(Session, "submit", demanding)
            update = await world.sync(command=SyncCommand.UPDATE)
            past = world.past()
            result = await world.sync()
        assert [failure.error.code for failure in update.failed] == ["snapshot-required"] * 3
        assert [loaded.action for loaded in result.done] == [SyncAction.FULL_REFRESH] * 3
        assert {(last.event, last.detail["code"]) for last in past.values()} == {("failed", "snapshot-required")}
        assert past["users"].detail["message"] == "The table was reloaded"
        assert {last.event for last in world.past().values()} == {"full-refresh"}
        await world.sync(name="fresh")
        for table in TABLES:
            assert world.rows("college", table) == world.rows("fresh", table)

    in_world(tmp_path, scenario)


def test_a_database_of_the_service_takes_no_data_of_the_sandbox(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        with duckdb.connect(str(world.database("college"))) as connection:
            connection.execute("DELETE FROM instructure_dap.dapkit_origin")
        with pytest.raises(SandboxMismatchError):
            await world.sync()

    in_world(tmp_path, scenario)


def test_logs_expire_only_where_that_is_asked_for(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("all",)}
        await world.sync(**logs)
        world.advance(24 * 20)
        await world.sync(**logs)
        everything = world.rows("college", "web_logs", LOGS)
        (loaded,) = (await world.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.action is SyncAction.SKIP, "they go also when there is nothing new"
        kept = world.rows("college", "web_logs", LOGS)
        assert set(kept) < set(everything)
        assert loaded.counts.expired == len(everything) - len(kept)
        world.advance(24)
        (loaded,) = (await world.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.action is SyncAction.INCREMENTAL
        assert len(world.rows("college", "web_logs", LOGS)) == len(kept) + loaded.counts.written - loaded.counts.expired
        assert loaded.counts.expired > 0
        before = world.rows("college", "web_logs", LOGS)
        (loaded,) = (await world.sync(**logs, expire_logs=timedelta(days=31), if_stale=timedelta(days=1))).done
        assert (loaded.action, loaded.counts.expired) == (SyncAction.SKIP, 0)
        assert world.rows("college", "web_logs", LOGS) == before
        with duckdb.connect(str(world.database("college")), read_only=True) as connection:
            oldest = "SELECT min(timestamp) >= max(timestamp) - INTERVAL 31 DAY FROM canvas_logs.web_logs"
            assert connection.sql(oldest).fetchall() == [(True,)]

    in_world(tmp_path, scenario)


@pytest.mark.parametrize("namespace", ["canvas", "canvas_log"])
def test_what_may_not_expire_is_refused_before_anything_is_asked(tmp_path: Path, namespace: str) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(UsageError):
            await world.sync(namespace=namespace, expire_logs=timedelta(days=30))
        assert not world.database("college").exists()

    in_world(tmp_path, scenario)


def test_logs_that_do_not_say_when_they_were_are_reported_and_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await world.sync(**logs)
        before = world.rows("college", "web_logs", LOGS)

        def timeless(schema: Any) -> Any:
            table = read_table(schema)
            return replace(table, value=tuple(column for column in table.value if column.name != "timestamp"))

        monkeypatch.setattr("dapkit.replication.table_sync.read_table", timeless)
        world.heard.clear()
        (loaded,) = (await world.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.counts.expired == 0
        assert ["timestamp" in message for message in world.notices()] == [True]
        assert world.rows("college", "web_logs", LOGS) == before

    in_world(tmp_path, scenario)


def test_logs_that_were_left_too_long_are_told_of(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await world.sync(**logs)
        world.advance(24 * 20)
        await world.sync(**logs)
        assert world.notices() == []
        world.advance(24 * 22)
        await world.sync(**logs)
        (near,) = world.notices()
        assert "22 days ago" in near
        world.advance(24 * 33)
        result = await world.sync(**logs)
        assert [loaded.action for loaded in result.done] == [SyncAction.FULL_REFRESH]
        near, fresh, loss = world.notices()
        assert "33 days ago" in near
        assert "A fresh snapshot is merged" in fresh
        assert "2026-10-13T00:00:00Z and 2026-10-16T00:00:00Z may be lost" in loss

    in_world(tmp_path, scenario)


@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.UPDATE])
def test_a_table_that_is_gone_from_the_service_stays_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: SyncCommand
) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        world.heard.clear()
        before = world.rows("college", "users")
        tables, submit = Session.tables, Session.submit

        async def fewer(self: Session, namespace: str) -> tuple[str, ...]:
            return tuple(name for name in await tables(self, namespace) if name in ("courses", "enrollments"))

        async def refusing(self: Session, namespace: str, table: str, *rest: Any, **more: Any) -> Any:
            if table == "users":
                raise TableNotFoundError("The service knows no table 'users'")
            return await submit(self, namespace, table, *rest, **more)

        monkeypatch.setattr(Session, "tables", fewer)
        monkeypatch.setattr(Session, "submit", refusing)
        result = await world.sync(command=command, tables=("all",))
        assert (len(result.done), result.failed) == (2, ())
        assert [state.table for state in result.no_longer_in_service] == ["users"]
        assert world.notices() == [
            "users is no longer offered by the service; it stays in the database as of 2026-09-01T00:00:00Z."
        ]
        assert (await world.sync(command=command, tables=("all",), exclude=("us*",))).no_longer_in_service == ()
        only = await world.sync(command=command, tables=("use*",))
        assert (only.done, only.failed, [state.table for state in only.no_longer_in_service]) == ((), (), ["users"])
        with pytest.raises(TableNotFoundError):
            await world.sync(command=command, tables=("x*",))
        named = await world.sync(command=command, tables=("all", "users"))
        assert named.no_longer_in_service == ()
        (failure,) = named.failed
        assert failure.error.code == "table-not-found"
        assert "stays in the database as of 2026-09-01T00:00:00Z" in failure.error.hint
        assert world.rows("college", "users") == before

    in_world(tmp_path, scenario)


def test_the_second_of_two_equal_runs_ends_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "LOCK_POLL", 0.01)

    async def scenario(world: World) -> None:
        first, second = await asyncio.gather(world.sync(), world.sync(), return_exceptions=True)
        assert isinstance(first, SyncResult)
        assert isinstance(second, LockedError)
        assert "--wait" in second.hint
        world.advance(400)
        both = await asyncio.gather(world.sync(wait=True), world.sync(wait=True))
        assert [{loaded.action for loaded in result.done} for result in both] == [
            {SyncAction.INCREMENTAL},
            {SyncAction.SKIP},
        ]
        assert ["Waiting for it" in message for message in world.notices()] == [True]

    in_world(tmp_path, scenario)


def test_a_lock_that_nobody_holds_any_more_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        (left,) = (tmp_path / "stage").glob("*.lock")
        assert left.read_text().startswith("process ")
        with FileLock(left) as lock:
            assert lock.acquire()
            with pytest.raises(LockedError):
                await world.sync()
        assert (await world.sync(wait=True)).failed == ()

    in_world(tmp_path, scenario)
