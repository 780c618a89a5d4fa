"""`kill -9` of `dap reconcile`, as files come and as the database works: the next run leaves nothing of it."""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pymysql
import pytest
from tests.support.malformed_responses_server import BatteredServer, mariadb, postgresql
from tests.support.mariadb_server import MySqlServer
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import SandboxProcess, sandbox_process

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(900)]

KILLS = 8
TABLES = ("users", "enrollments", "submissions")
_THEIRS = "nspname !~ '^(pg_|information_schema)'"
_THINGS = f"""
SELECT nspname, relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE {_THEIRS} OR (nspname LIKE 'pg_temp%' AND relkind = 'r')
UNION ALL SELECT nspname, typname FROM pg_type JOIN pg_namespace AS space ON space.oid = typnamespace WHERE {_THEIRS}
UNION ALL SELECT nspname, '' FROM pg_namespace WHERE {_THEIRS}
"""


def test_on_postgresql(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database() as url:

        def things() -> list[tuple[str, ...]]:
            with psycopg.connect(url) as connection:
                return sorted(connection.execute(_THINGS.encode()).fetchall())

        _nothing_is_left(postgresql(postgres_server), url, things, tmp_path)


def test_on_mariadb(mysql_server: MySqlServer, tmp_path: Path) -> None:
    with mysql_server.database() as url:

        def things() -> list[tuple[str, ...]]:
            server, name = mysql_server, url.rpartition("/")[2]
            place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
            with pymysql.connect(**place, database=name) as connection, connection.cursor() as cursor:  # type: ignore[call-overload]
                cursor.execute("SHOW TABLES")
                return sorted(cursor.fetchall())

        _nothing_is_left(mariadb(mysql_server), url, things, tmp_path)


def _nothing_is_left(
    server: BatteredServer, url: str, things: Callable[[], list[tuple[str, ...]]], folder: Path
) -> None:
    cache = folder / "cache"
    with sandbox_process(folder / "state", scale=0.3, part_rows=2000, job_seconds=0.1) as plain:
        sandbox = plain.with_environ(XDG_CACHE_HOME=str(cache))
        _run(sandbox, "sync", url)
        before = things()
        left = 0
        for number in range(KILLS):
            with sandbox.start(*_words("reconcile", url), "--no-sync") as running:
                _until(lambda: any(cache.rglob("*.gz")))
                if number % 2:
                    server.wait_for_work(url)
                assert running.poll() is None, "it ended before it was killed"
                running.kill()
            left += any(cache.rglob("*.gz"))
            _run(sandbox, ("sync", "reconcile")[number % 2], url)
            assert things() == before
            assert not list(cache.rglob("*.gz"))
        assert left, "no kill met a comparison with files"


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "no file came"
        time.sleep(0.002)


def _words(verb: str, url: str) -> tuple[str, ...]:
    return (verb, "--namespace", "canvas", "--table", ",".join(TABLES), "--to", url)


def _run(sandbox: SandboxProcess, verb: str, url: str) -> None:
    done = sandbox.dap(*_words(verb, url))
    assert done.returncode == 0, done.stderr[-2000:]
