"""The official client is killed during its first load: dapkit rejects what it left, or repairs it with --repair."""

import time
from pathlib import Path

import psycopg
import pytest
from tests.support.official_client import NEEDS_OFFICIAL, official, start_official, try_official
from tests.support.postgres_contents import layout, rows
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import sandbox_process

from dapkit.errors import IncompatibleLayoutError

pytestmark = [pytest.mark.official, pytest.mark.server, pytest.mark.timeout(600), NEEDS_OFFICIAL]

COUNT = "SELECT count(*) FROM canvas.submissions"


def test_a_killed_initial_load(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "home", scale=1, part_rows=20_000) as made, postgres_server.database() as url:
        sandbox = made.with_environ(XDG_CACHE_HOME=str(tmp_path / "cache"))
        with start_official(sandbox, "initdb", "canvas", "submissions", url, tmp_path) as process:
            left = _wait_for_rows(url)
            process.kill()
        assert left > 0
        before = layout(url, "canvas", "instructure_dap")
        again, _, errors = try_official(sandbox, "initdb", "canvas", "submissions", url, tmp_path)
        assert again == 5, "the official client cannot repair this"
        assert "submissions" in errors
        arguments = ("--namespace", "canvas", "--table", "submissions", "--connection-string", url)
        for verb in ("initdb", "syncdb"):
            rejected = sandbox.dap(verb, *arguments)
            assert rejected.returncode == IncompatibleLayoutError.exit_code
            assert "--repair" in rejected.stderr
        assert _count(url) >= left
        assert layout(url, "canvas") >= {line for line in before if line[0] == "canvas"}
        repaired = sandbox.dap("initdb", *arguments, "--repair")
        assert repaired.returncode == 0, repaired.stderr
        assert layout(url, "canvas", "instructure_dap") == before
        with postgres_server.database() as expected:
            official(sandbox, "initdb", "canvas", "submissions", expected, tmp_path)
            assert rows(url, "canvas") == rows(expected, "canvas")
            assert layout(url, "canvas", "instructure_dap") == layout(expected, "canvas", "instructure_dap")
        sandbox.advance(24 * 7)
        official(sandbox, "syncdb", "canvas", "submissions", url, tmp_path)
        assert sandbox.dap("sync", *arguments[:4], "--to", url).returncode == 0


def _wait_for_rows(url: str) -> int:
    """Wait until the first rows of a load are visible; return how many."""
    for _ in range(3000):
        try:
            if count := _count(url):
                return count
        except psycopg.errors.UndefinedTable:
            pass
        time.sleep(0.02)
    return 0


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(COUNT).fetchone()
    assert found is not None
    return int(found[0])
