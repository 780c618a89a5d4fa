"""Tables brought into a database and kept equal there, against the sandbox: always what a fresh load would be."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dapkit.client.session import Session
from dapkit.connection import connect
from dapkit.engine.events import Event
from dapkit.engine.replication.books import list_tables
from dapkit.engine.replication.converge import LOGS, Purpose, Road
from dapkit.engine.replication.replicate import ReplicateOptions, SyncResult, replicate
from dapkit.errors import OriginError, SnapshotRequiredError, TargetError, UnreachableTargetError
from dapkit.protocol.budget import NO_PACE
from dapkit.settings import ConnectionSettings, SandboxSettings
from dapkit.targets.base import Past
from dapkit.targets.duckdb.target import DuckDbSession, DuckDbTarget

TABLES = ("users", "courses", "enrollments")


@dataclass
class World:
    """A sandbox, a folder for a database and its stage, and what was told."""

    folder: Path
    session: Session
    advance: Callable[[float], None]
    heard: list[Event] = field(default_factory=list)

    async def sync(self, name: str = "college", purpose: Purpose = Purpose.SYNC, **more: Any) -> SyncResult:
        settings = {"namespace": "canvas", "tables": TABLES, **more}
        options = ReplicateOptions(
            purpose=purpose, target=DuckDbTarget(self.database(name)), stage=self.folder / "stage", **settings
        )
        return await replicate(self.session, options, self.heard.append)

    def database(self, name: str) -> Path:
        return self.folder / f"{name}.duckdb"

    def past(self) -> dict[str, Past]:
        """Return what was last done to each table on the books."""
        listed = list_tables(DuckDbTarget(self.database("college")), "canvas", count=False)
        return {each.book.table: each.last for each in listed if each.last is not None}

    def rows(self, name: str, table: str, namespace: str = "canvas") -> list[str]:
        """Return the rows as texts, since NaN equals nothing."""
        with duckdb.connect(str(self.database(name)), read_only=True) as connection:
            return sorted(map(repr, connection.sql(f'FROM "{namespace}"."{table}"').fetchall()))


def in_world(folder: Path, scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    settings = ConnectionSettings(
        base_url="",
        client_id=None,
        client_secret=None,
        client_secret_file=None,
        scope=None,
        pace=NO_PACE,
        ca_file=None,
        state_folder=folder,
        sandbox=SandboxSettings(home=None, scale=0.05, job_seconds=0.0),
        environ={},
    )

    async def run() -> None:
        async with connect(settings, lambda _: None) as connection:
            assert connection.sandbox is not None
            await scenario(World(folder, connection.session, connection.sandbox.advance))

    asyncio.run(run())


def test_after_every_sync_the_database_is_what_a_fresh_load_would_be(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        first = await world.sync()
        assert [loaded.road for loaded in first.done] == [Road.INITIALISE] * 3
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
        assert [loaded.road for loaded in result.done] == [Road.LEAVE] * 3
        assert {past.event for past in world.past().values()} == {"unchanged"}

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


def test_a_failure_stays_what_it_was_when_it_cannot_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        def broken(*_: object) -> None:
            raise TargetError("the power failed")

        def away(*_: object) -> None:
            raise OSError("the disk is gone")

        monkeypatch.setattr(DuckDbSession, "_book", broken)
        monkeypatch.setattr(DuckDbSession, "remember", away)
        result = await world.sync()
        assert [failure.error.message for failure in result.failed] == ["the power failed"] * 3

    in_world(tmp_path, scenario)


def test_what_is_no_failure_of_the_table_leaves_its_history_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        written: list[object] = []
        monkeypatch.setattr(DuckDbSession, "remember", lambda *line: written.append(line))
        refused = await world.sync(purpose=Purpose.INIT)
        assert [failure.error.code for failure in refused.failed] == ["already-replicated"] * 3

        def unreachable(*_: object) -> None:
            raise UnreachableTargetError("it is gone")

        world.advance(400)
        monkeypatch.setattr(DuckDbSession, "change", unreachable)
        gone = await world.sync()
        assert [failure.error.code for failure in gone.failed] == ["target-unreachable"] * 3
        assert written == []

    in_world(tmp_path, scenario)


def test_a_reloaded_table_is_merged_from_a_fresh_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        world.advance(400)
        submit = Session.submit

        async def demanding(self: Session, namespace: str, table: str, query: Any, *, again: bool = False) -> Any:
            if query.since is not None:
                raise SnapshotRequiredError("The table was reloaded", table=table)
            return await submit(self, namespace, table, query, again=again)

        with monkeypatch.context() as context:
            context.setattr(Session, "submit", demanding)
            update = await world.sync(purpose=Purpose.UPDATE)
            past = world.past()
            result = await world.sync()
        assert [failure.error.code for failure in update.failed] == ["snapshot-required"] * 3
        assert [loaded.road for loaded in result.done] == [Road.REPLACE] * 3
        assert {(last.event, last.detail["code"]) for last in past.values()} == {("failed", "snapshot-required")}
        assert past["users"].detail["message"] == "The table was reloaded"
        assert {last.event for last in world.past().values()} == {"replaced"}
        await world.sync(name="fresh")
        for table in TABLES:
            assert world.rows("college", table) == world.rows("fresh", table)

    in_world(tmp_path, scenario)


def test_a_database_of_the_service_takes_no_data_of_the_sandbox(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        with duckdb.connect(str(world.database("college"))) as connection:
            connection.execute("DELETE FROM instructure_dap.dapkit_origin")
        with pytest.raises(OriginError):
            await world.sync()

    in_world(tmp_path, scenario)
