"""A dry run says what would be done, and changes nothing."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.engine.replication.test_replicate import World, in_world

from dapkit.engine.replication.converge import LOGS, Purpose, Road
from dapkit.engine.replication.dryrun import preview
from dapkit.engine.replication.options import ReplicateOptions
from dapkit.targets.duckdb.target import DuckDbTarget


@pytest.mark.parametrize("purpose", [Purpose.SYNC, Purpose.UPDATE])
def test_roads_and_ddl_are_told_and_nothing_is_changed(tmp_path: Path, purpose: Purpose) -> None:
    async def scenario(world: World) -> None:
        await world.sync(tables=("users",))
        before = world.rows("college", "users")
        world.advance(400)
        options = ReplicateOptions(
            purpose=purpose,
            namespace="canvas",
            tables=("users", "courses"),
            target=DuckDbTarget(world.database("college")),
            stage=tmp_path / "other",
        )
        users, courses = await preview(world.session, options, world.heard.append)
        assert (users.table, users.road, users.ddl) == ("users", Road.CHANGE, ())
        assert users.since is not None
        if purpose is Purpose.SYNC:
            assert courses.road is Road.INITIALISE
            assert courses.ddl[0].startswith('CREATE TABLE "canvas"."courses" ("id" BIGINT NOT NULL, ')
        else:
            assert courses.road is None
            assert courses.error is not None
            assert courses.error.code == "not-replicated"
        assert world.rows("college", "users") == before
        assert not (tmp_path / "other").exists()

    in_world(tmp_path, scenario)


def test_what_would_expire_is_told(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.sync(namespace=LOGS, tables=("web_logs",))
        before = world.rows("college", "web_logs", LOGS)
        world.advance(24 * 20)
        options = ReplicateOptions(
            purpose=Purpose.SYNC,
            namespace=LOGS,
            tables=("all",),
            target=DuckDbTarget(world.database("college")),
            stage=tmp_path / "other",
            expire_logs=timedelta(days=31),
        )
        (logs,) = await preview(world.session, options, world.heard.append)
        assert logs.since is not None
        assert logs.expire_before == logs.since - timedelta(days=31)
        (young,) = await preview(world.session, replace(options, if_stale=timedelta(days=40)), world.heard.append)
        assert (young.road, young.expire_before) == (Road.LEAVE, None)
        assert world.rows("college", "web_logs", LOGS) == before

    in_world(tmp_path, scenario)
