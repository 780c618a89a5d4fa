"""A database whose sync is killed, whose server crashes, whose link is cut: the same command again makes it right."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.support.cutting_proxy import cutting_proxy
from tests.support.postgres_contents import rows
from tests.support.postgres_server import PostgresServer, named_or_private_server
from tests.support.sandbox_process import SandboxProcess, sandbox_process

from dapkit.errors import LockedError, PartlyFailedError, UnreachableTargetError

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(1800)]

KILLS = 100 if "DAPKIT_SOAK" in os.environ else 20
TABLES = ("submissions", "users", "enrollments", "quiz_submissions", "content_participations", "asset_user_accesses")
HONEST = {0, PartlyFailedError.exit_code, UnreachableTargetError.exit_code}
"""How a run may end whose database went away."""
_LEFT = """
SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE relkind = 'r' AND nspname !~ '^(pg_(catalog|toast)|information_schema|instructure_dap)$'
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'dapkit_scratch'
"""


@contextmanager
def world(folder: Path, **options: object) -> Iterator[SandboxProcess]:
    with sandbox_process(folder / "state", **{"scale": 0.5, "part_rows": 4000, "job_seconds": 0.05, **options}) as made:
        made.set_data_time("2025-01-10T00:00:00Z")
        yield made.with_environ(XDG_CACHE_HOME=str(folder / "cache"))


def sync(url: str, verb: str = "sync", *flags: str) -> tuple[str, ...]:
    """Return the words of a command on the tables."""
    return (verb, "--namespace", "canvas", "--table", ",".join(TABLES), "--to", url, *flags)


def assert_right(sandbox: SandboxProcess, server: PostgresServer, url: str) -> None:
    """The next run ends well; then the database is what a fresh load makes, and nothing else is there."""
    last = sandbox.dap(*sync(url))
    assert last.returncode == 0, last.stderr
    with server.database() as truth:
        fresh = sandbox.dap(*sync(truth))
        assert fresh.returncode == 0, fresh.stderr
        assert rows(url, "canvas") == rows(truth, "canvas")
    compared = sandbox.dap(*sync(url, "reconcile", "--no-sync"))
    assert compared.returncode == 0, compared.stderr
    with psycopg.connect(url) as connection:
        assert sorted(row[0] for row in connection.execute(_LEFT.encode())) == sorted(TABLES)
    assert not list(Path(sandbox.environ["XDG_CACHE_HOME"]).rglob("*.gz"))


def assert_honest(code: int, told: str) -> None:
    """A run without its database ends with a code that is documented, and says why in words."""
    assert code in HONEST, told
    assert "Traceback" not in told
    assert code == 0 or "PostgreSQL" in told or "cannot be reached" in told, told


def test_killed_again_and_again_it_ends_as_a_fresh_load_would(postgres_server: PostgresServer, tmp_path: Path) -> None:
    moments = random.Random(20)
    killed = 0
    with world(tmp_path) as sandbox, postgres_server.database() as url:
        for number in range(KILLS):
            verb = "reconcile" if number % 5 == 4 else "sync"
            with sandbox.start(*sync(url, verb)) as running:
                time.sleep(moments.uniform(0.4, 1.6))
                killed += running.poll() is None
                running.kill()
            if number > KILLS // 2:
                sandbox.advance(24 * 7)
        assert killed > KILLS // 2
        assert_right(sandbox, postgres_server, url)


def test_what_goes_on_with_an_old_job_still_ends_where_the_service_is(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with world(tmp_path, scale=0.1, job_seconds=3.0) as sandbox, postgres_server.database() as url:
        assert sandbox.dap(*sync(url)).returncode == 0
        sandbox.advance(24)
        with sandbox.start(*sync(url)) as running:
            time.sleep(2)
            running.kill()
        sandbox.advance(24)
        assert_right(sandbox, postgres_server, url)


def test_a_server_that_crashes_and_comes_back(tmp_path: Path) -> None:
    with named_or_private_server() as server:
        if server.crash is None:
            pytest.skip("DAPKIT_TEST_POSTGRES names a server that is not ours to crash")
        with world(tmp_path) as sandbox, server.database() as url:
            codes = set()
            for _ in range(3):
                with sandbox.start(*sync(url)) as running:
                    assert _at_work(url)
                    server.crash()
                    _, told = running.communicate(timeout=120)
                assert_honest(running.returncode, told)
                codes.add(running.returncode)
                sandbox.advance(24 * 7)
            assert codes != {0}, "no crash met a load"
            assert_right(sandbox, server, url)


def _at_work(url: str) -> bool:
    """Wait until rows are on their way into the database."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dapkit' AND xact_start IS NOT NULL"
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            found = connection.execute(question).fetchone()
            if found is not None and found[0]:
                return True
            time.sleep(0.02)
    return False


def test_a_link_that_is_cut(postgres_server: PostgresServer, tmp_path: Path) -> None:
    limits = random.Random(7)
    with world(tmp_path) as sandbox, postgres_server.database() as url:
        parts = urlsplit(url)
        with cutting_proxy(parts.port or 5432) as proxy:
            through = url.replace(f":{parts.port}/", f":{proxy.port}/")
            for _ in range(8):
                proxy.limit = int(10 ** limits.uniform(2.5, 6.5))
                done = sandbox.dap(*sync(through))
                assert_honest(done.returncode, done.stderr)
                sandbox.advance(24)
            assert proxy.cuts > 8
            proxy.limit = None
            assert_right(sandbox, postgres_server, through)


def test_two_at_once_on_one_machine(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, postgres_server.database() as url:
        with sandbox.start(*sync(url)) as first:
            assert _at_work(url)
            second = sandbox.dap(*sync(url))
            assert second.returncode == LockedError.exit_code
            assert str(first.pid) in second.stderr
            assert first.poll() is None, "the first was still at work"
            _, told = first.communicate(timeout=120)
        assert first.returncode == 0, told
        assert_right(sandbox, postgres_server, url)


def test_two_at_once_on_two_machines(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, postgres_server.database() as url:
        elsewhere = sandbox.with_environ(XDG_CACHE_HOME=str(tmp_path / "other"), XDG_STATE_HOME=str(tmp_path / "far"))
        for _ in range(3):
            with sandbox.start(*sync(url)) as first, elsewhere.start(*sync(url)) as second:
                ended = [(*each.communicate(timeout=120), each.returncode) for each in (first, second)]
            for _, told, code in ended:
                assert code in HONEST | {50, 55}, told
                assert "Traceback" not in told
            sandbox.advance(24 * 7)
        assert_right(sandbox, postgres_server, url)


def test_ctrl_c_leaves_the_database_as_it_was_between_tables(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, postgres_server.database() as url:
        with sandbox.start(*sync(url)) as running:
            assert _at_work(url)
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=30)
        assert running.returncode == 130, told
        assert "Traceback" not in told
        assert_right(sandbox, postgres_server, url)
