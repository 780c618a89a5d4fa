"""`kill -9` of `dap reconcile`, during downloads and while the database works: the next run leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pymysql
import pytest
from tests.support.database_server import DatabaseServer, mysql, postgresql
from tests.support.mysql_server import MySqlServer
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import SandboxProcess, sandbox_process
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(900)]

KILLS = 8
TABLES = ("users", "enrollments", "submissions")
_OURS = "nspname !~ '^(pg_|information_schema)'"
_OBJECTS = f"""
SELECT nspname, relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE {_OURS} OR (nspname LIKE 'pg_temp%' AND relkind = 'r')
UNION ALL SELECT nspname, typname FROM pg_type JOIN pg_namespace AS space ON space.oid = typnamespace WHERE {_OURS}
UNION ALL SELECT nspname, '' FROM pg_namespace WHERE {_OURS}
"""


def test_kills_during_reconcile_leave_postgresql_clean(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database() as url:

        def objects() -> list[tuple[str, ...]]:
            with psycopg.connect(url) as connection:
                return sorted(connection.execute(_OBJECTS.encode()).fetchall())

        _assert_nothing_is_left(postgresql(postgres_server), url, objects, tmp_path)


def test_kills_during_reconcile_leave_mysql_clean(mysql_server: MySqlServer, tmp_path: Path) -> None:
    with mysql_server.database() as url:

        def objects() -> list[tuple[str, ...]]:
            server, name = mysql_server, url.rpartition("/")[2]
            address = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
            with pymysql.connect(**address, database=name) as connection, connection.cursor() as cursor:  # type: ignore[call-overload]
                cursor.execute("SHOW TABLES")
                return sorted(cursor.fetchall())

        _assert_nothing_is_left(mysql(mysql_server), url, objects, tmp_path)


def _assert_nothing_is_left(
    server: DatabaseServer, url: str, objects: Callable[[], list[tuple[str, ...]]], folder: Path
) -> None:
    cache = folder / "cache"
    with sandbox_process(folder / "state", scale=0.3, part_rows=2000, job_seconds=0.1) as plain:
        sandbox = plain.with_environ(XDG_CACHE_HOME=str(cache))
        _run(sandbox, "sync", url)
        before = objects()
        left = 0
        for number in range(KILLS):
            with sandbox.start(*_arguments("reconcile", url), "--no-sync") as running:
                wait_until(lambda: any(cache.rglob("*.gz")), "a file is downloaded")
                if number % 2:
                    server.wait_for_activity(url)
                assert running.poll() is None, "it ended before the kill"
                running.kill()
            left += any(cache.rglob("*.gz"))
            _run(sandbox, ("sync", "reconcile")[number % 2], url)
            assert objects() == before
            assert not list(cache.rglob("*.gz"))
        assert left, "no kill happened while there were files"


def _arguments(verb: str, url: str) -> tuple[str, ...]:
    return (verb, "--namespace", "canvas", "--table", ",".join(TABLES), "--to", url)


def _run(sandbox: SandboxProcess, verb: str, url: str) -> None:
    done = sandbox.dap(*_arguments(verb, url))
    assert done.returncode == 0, done.stderr[-2000:]
