"""A dry run returns what would be done, and changes nothing."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.sync_setup import SyncSetup, run_with_sandbox

from dapkit.protocol.namespaces import LOGS
from dapkit.replication.options import SyncRequest
from dapkit.replication.preview import preview
from dapkit.results import SyncAction, SyncCommand
from dapkit.targets.duckdb.target import duckdb_file


@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.UPDATE])
def test_actions_and_ddl(tmp_path: Path, command: SyncCommand) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(tables=("users",))
        before = setup.rows("college", "users")
        setup.advance(400)
        options = SyncRequest(
            command=command,
            namespace="canvas",
            tables=("users", "roles"),
            target=duckdb_file(setup.database("college")),
            stage=tmp_path / "other",
        )
        users, roles = await preview(setup.session, options, setup.events.append)
        assert (users.table, users.action, users.ddl) == ("users", SyncAction.INCREMENTAL, ())
        assert users.since is not None
        if command is SyncCommand.SYNC:
            assert roles.action is SyncAction.INITIAL_LOAD
            assert roles.ddl[0].startswith('CREATE TABLE "canvas"."roles" ("id" BIGINT NOT NULL, ')
        else:
            assert roles.action is None
            assert roles.error is not None
            assert roles.error.code == "not-replicated"
        assert setup.rows("college", "users") == before
        assert not (tmp_path / "other").exists()

    run_with_sandbox(tmp_path, scenario)


def test_which_rows_would_expire(tmp_path: Path) -> None:
    async def scenario(setup: SyncSetup) -> None:
        await setup.load(namespace=LOGS, tables=("web_logs",))
        before = setup.rows("college", "web_logs", LOGS)
        setup.advance(24 * 20)
        options = SyncRequest(
            command=SyncCommand.SYNC,
            namespace=LOGS,
            tables=("all",),
            target=duckdb_file(setup.database("college")),
            stage=tmp_path / "other",
            expire_logs=timedelta(days=31),
        )
        (logs,) = await preview(setup.session, options, setup.events.append)
        assert logs.since is not None
        assert logs.expire_before == logs.since - timedelta(days=31)
        (young,) = await preview(setup.session, replace(options, if_stale=timedelta(days=40)), setup.events.append)
        assert (young.action, young.expire_before) == (SyncAction.SKIP, None)
        assert setup.rows("college", "web_logs", LOGS) == before

    run_with_sandbox(tmp_path, scenario)
