"""Reconciling finds each kind of difference, and nothing in a table that is right."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.replication.test_run import World, in_world

from dapkit.cli.logs import comparison_text
from dapkit.errors import LockedError, NotReplicatedError
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.plan import LOGS
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.results import Comparison, SyncCommand
from dapkit.targets.base import ExpectedTable
from dapkit.targets.duckdb.target import DuckDbSession, DuckDbTarget
from dapkit.transfer import locking


async def reconciled(
    world: World,
    *,
    sync: bool = True,
    namespace: str = "canvas",
    tables: tuple[str, ...] = ("users",),
    sample: float | None = None,
    **more: Any,
) -> ReconcileResult:
    options = ReplicateOptions(
        command=SyncCommand.SYNC,
        namespace=namespace,
        tables=tables,
        target=DuckDbTarget(world.database("college")),
        stage=world.folder / "stage",
        **more,
    )
    return await reconcile(world.session, options, world.heard.append, sync=sync, sample=sample)


def tampered(world: World, sql: str) -> None:
    with duckdb.connect(str(world.database("college"))) as connection:
        connection.execute(sql)


def test_a_right_database_is_equal_also_after_changes(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync()
        world.advance(400)
        before = world.rows("college", "users")
        result = await reconciled(world, tables=("users", "courses"))
        assert result.equal
        assert [each.comparison.rows > 0 for each in result.done] == [True, True]
        assert world.rows("college", "users") != before, "it was synced first"
        with duckdb.connect(str(world.database("college")), read_only=True) as connection:
            assert connection.sql("FROM duckdb_schemas() WHERE schema_name LIKE '%scratch%'").fetchall() == []

    in_world(tmp_path, scenario)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("DELETE FROM canvas.users WHERE id = (SELECT min(id) FROM canvas.users)", {"missing": 1}),
    ("UPDATE canvas.users SET id = -5 WHERE id = (SELECT min(id) FROM canvas.users)", {"missing": 1, "extra": 1}),
    ("INSERT INTO canvas.users FROM canvas.users ORDER BY id LIMIT 1", {"repeated": 1}),
    (
        "UPDATE canvas.users SET name = 'somebody else' WHERE id = (SELECT min(id) FROM canvas.users)",
        {"differing": {"name": 1}},
    ),
    (
        "UPDATE canvas.users SET name = NULL WHERE id = (SELECT min(id) FROM canvas.users WHERE name IS NOT NULL)",
        {"differing": {"name": 1}},
    ),
]


@pytest.mark.parametrize(("sql", "found"), KINDS)
@pytest.mark.parametrize("sync", [True, False])
def test_each_kind_of_difference_is_found_and_named(
    tmp_path: Path, sql: str, found: dict[str, Any], sync: bool
) -> None:
    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        tampered(world, sql)
        comparison = (await reconciled(world, sync=sync)).done[0].comparison
        expected = {"missing": 0, "extra": 0, "repeated": 0, "differing": {}, **found}
        assert {name: getattr(comparison, name) for name in expected} == expected
        assert not comparison.equal
        assert named(comparison) > 0

    in_world(tmp_path, scenario)


def named(comparison: Comparison) -> int:
    keys = (comparison.missing_keys, comparison.extra_keys, comparison.repeated_keys, comparison.values)
    return sum(map(len, keys))


def test_a_table_that_is_only_stale_is_not_wrong(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        before = world.rows("college", "users")
        world.advance(400)
        result = await reconciled(world, sync=False)
        assert result.equal
        assert world.rows("college", "users") == before
        tampered(world, "UPDATE canvas.users SET name = 'somebody else'")
        assert not (await reconciled(world, sync=False)).equal

    in_world(tmp_path, scenario)


def test_the_second_of_two_comparisons_ends_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "LOCK_POLL", 0.01)

    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        one, other = await asyncio.gather(
            reconciled(world, sync=False), reconciled(world, sync=False), return_exceptions=True
        )
        assert isinstance(one, ReconcileResult)
        assert isinstance(other, LockedError)
        both = await asyncio.gather(reconciled(world, wait=True), reconciled(world, wait=True))
        assert all(result.equal for result in both)

    in_world(tmp_path, scenario)


@pytest.mark.parametrize("next_is_sync", [True, False])
def test_what_a_killed_comparison_left_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, next_is_sync: bool
) -> None:
    class KilledError(BaseException):
        """Nothing is cleaned after it, as after kill -9."""

    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))

        def killed(*_: object) -> None:
            raise KilledError

        with monkeypatch.context() as context:
            context.setattr(DuckDbSession, "compare", killed)
            with pytest.raises(BaseExceptionGroup):
                await reconciled(world, sync=False)
        assert any((tmp_path / "stage").rglob("part-*"))
        await (world.sync(tables=("users",)) if next_is_sync else reconciled(world, sync=False))
        assert {path.suffix for path in (tmp_path / "stage").iterdir()} == {".lock"}

    in_world(tmp_path, scenario)


def test_a_sample_says_of_how_many_rows_the_values_were_compared(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        tampered(world, "UPDATE canvas.users SET name = 'somebody else'")
        tampered(world, "DELETE FROM canvas.users WHERE id = (SELECT min(id) FROM canvas.users)")
        comparison = (await reconciled(world, sync=False, sample=20)).done[0].comparison
        assert 0 < comparison.compared < comparison.rows
        assert comparison.differing == {"name": comparison.compared}
        assert comparison.missing == 1
        assert f"{comparison.compared} of {comparison.rows} rows compared" in comparison_text(comparison)

    in_world(tmp_path, scenario)


def test_logs_that_the_service_forgot_are_not_too_many(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync(namespace=LOGS, tables=("web_logs",))
        world.advance(24 * 20)
        result = await reconciled(world, namespace=LOGS, tables=("web_logs",))
        assert result.equal
        comparison = result.done[0].comparison
        assert 0 < comparison.compared < comparison.rows
        tampered(
            world,
            "DELETE FROM canvas_logs.web_logs WHERE timestamp = (SELECT max(timestamp) FROM canvas_logs.web_logs)",
        )
        assert (await reconciled(world, sync=False, namespace=LOGS, tables=("web_logs",))).done[0].comparison.missing

    in_world(tmp_path, scenario)


def test_what_is_not_in_the_database_cannot_be_compared(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        with pytest.raises(NotReplicatedError):
            await reconciled(world, sync=False, tables=("courses",))
        with pytest.raises(NotReplicatedError):
            await reconciled(world, sync=False, namespace="catalog", tables=("all",))

    in_world(tmp_path, scenario)


def test_expired_logs_are_not_missed(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        logs: dict[str, Any] = {"namespace": LOGS, "tables": ("web_logs",)}
        await world.sync(**logs)
        world.advance(24 * 20)
        (loaded,) = (await world.sync(**logs, expire_logs=timedelta(days=31))).done
        assert loaded.counts.expired > 0
        assert (await reconciled(world, **logs)).equal

    in_world(tmp_path, scenario)


def test_a_table_that_cannot_be_compared_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = DuckDbSession.compare

    def failing(self: DuckDbSession, truth: ExpectedTable) -> Comparison:
        if truth.live.table == "users":
            raise ValueError("nobody thought of this")
        return real(self, truth)

    async def scenario(world: World) -> None:
        await world.sync(tables=("users", "courses"))
        monkeypatch.setattr(DuckDbSession, "compare", failing)
        result = await reconciled(world, sync=False, tables=("users", "courses"))
        assert [(failure.table, failure.error.code) for failure in result.failed] == [("users", "internal")]
        assert [table.table for table in result.done] == ["courses"]

    in_world(tmp_path, scenario)
