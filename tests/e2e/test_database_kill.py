"""A database whose sync is killed, whose server crashes, whose link is cut.

What the run itself can outlast it does; after `kill -9` the same command again makes it right.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.malformed_responses_server import BatteredServer, mariadb, postgresql
from tests.support.sandbox_process import SandboxProcess, sandbox_process

from dapkit.errors import (
    ConcurrentUpdateError,
    LockedError,
    PartialFailureError,
    TargetBusyError,
    TargetUnreachableError,
)

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(1800)]

KILLS = 100 if "DAPKIT_SOAK" in os.environ else 20
TABLES = ("submissions", "users", "enrollments", "quiz_submissions", "content_participations", "asset_user_accesses")
LOGS = ("--namespace", "canvas_logs", "--table", "web_logs")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> BatteredServer:
    """Each kind of server in turn."""
    if request.param == "postgresql":
        return postgresql(request.getfixturevalue("postgres_server"))
    return mariadb(request.getfixturevalue("mysql_server"))


@contextmanager
def world(folder: Path, **options: object) -> Iterator[SandboxProcess]:
    with sandbox_process(folder / "state", **{"scale": 0.5, "part_rows": 4000, "job_seconds": 0.05, **options}) as made:
        made.set_data_time("2025-01-10T00:00:00Z")
        yield made.with_environ(XDG_CACHE_HOME=str(folder / "cache"))


@contextmanager
def through_a_proxy(server: BatteredServer, url: str) -> Iterator[tuple[CuttingProxy, str]]:
    with cutting_proxy(server.port) as proxy:
        yield proxy, url.replace(f":{server.port}/", f":{proxy.port}/")


def sync(url: str, verb: str = "sync", *flags: str) -> tuple[str, ...]:
    """Return the words of a command on the tables."""
    return (verb, "--namespace", "canvas", "--table", ",".join(TABLES), "--to", url, *flags)


def assert_right(sandbox: SandboxProcess, server: BatteredServer, url: str, *also: str) -> None:
    """The next run ends well; then the database is what a fresh load makes, and nothing else is there."""
    last = sandbox.dap(*sync(url))
    assert last.returncode == 0, last.stderr
    with server.database() as truth:
        fresh = sandbox.dap(*sync(truth))
        assert fresh.returncode == 0, fresh.stderr
        assert server.contents(url) == server.contents(truth)
    compared = sandbox.dap(*sync(url, "reconcile", "--no-sync"))
    assert compared.returncode == 0, compared.stderr
    assert server.left(url) == sorted((*TABLES, *also))
    assert not list(Path(sandbox.environ["XDG_CACHE_HOME"]).rglob("*.gz"))


def test_killed_again_and_again_it_ends_as_a_fresh_load_would(server: BatteredServer, tmp_path: Path) -> None:
    moments = random.Random(20)
    killed = 0
    with world(tmp_path) as sandbox, server.database() as url:
        for number in range(KILLS):
            verb = "reconcile" if number % 5 == 4 else "sync"
            with sandbox.start(*sync(url, verb)) as running:
                time.sleep(moments.uniform(0.4, 1.6))
                killed += running.poll() is None
                running.kill()
            if number > KILLS // 2:
                sandbox.advance(24 * 7)
        assert killed > KILLS // 2
        assert_right(sandbox, server, url)


def test_logs_that_are_killed_again_and_again(server: BatteredServer, tmp_path: Path) -> None:
    moments = random.Random(7)
    with world(tmp_path, part_rows=200) as sandbox, server.database() as url:
        for _ in range(KILLS // 4):
            with sandbox.start("sync", *LOGS, "--to", url) as running:
                time.sleep(moments.uniform(0.4, 1.6))
                running.kill()
            sandbox.advance(24)
        done = sandbox.dap("reconcile", *LOGS, "--to", url)  # which syncs first
        assert done.returncode == 0, done.stderr


def test_what_goes_on_with_an_old_job_still_ends_where_the_service_is(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path, scale=0.1, job_seconds=3.0) as sandbox, server.database() as url:
        assert sandbox.dap(*sync(url)).returncode == 0
        sandbox.advance(24)
        with sandbox.start(*sync(url)) as running:
            time.sleep(2)
            running.kill()
        sandbox.advance(24)
        assert_right(sandbox, server, url)


def test_a_server_that_crashes_and_comes_back_is_outlasted(server: BatteredServer, tmp_path: Path) -> None:
    if server.crash is None:
        pytest.skip("the server that is named is not ours to crash")
    with world(tmp_path) as sandbox, server.database() as url:
        told = ""
        for _ in range(3):
            with sandbox.start(*sync(url)) as running:
                server.wait_for_work(url)
                server.crash()
                _, said = running.communicate(timeout=120)
            assert running.returncode == 0, said
            told += said
            sandbox.advance(24 * 7)
        assert " Again in " in told, "no crash met a load"
        assert_right(sandbox, server, url)


def test_a_link_that_is_cut_is_outlasted(server: BatteredServer, tmp_path: Path) -> None:
    limits = random.Random(7)
    with world(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        for _ in range(8):
            proxy.limits = [int(10 ** limits.uniform(2.5, 6.5)) for _ in range(6)]
            done = sandbox.dap(*sync(through))
            assert done.returncode == 0, done.stderr
            sandbox.advance(24)
        assert proxy.cuts > 8
        proxy.limits = []
        assert_right(sandbox, server, through)


def test_commits_whose_answers_are_lost_are_done_once(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        for lost in range(1, 7):
            proxy.lost_answers = lost
            done = sandbox.dap(*sync(through))
            assert done.returncode == 0, done.stderr
            assert proxy.lost_answers == 0
            sandbox.advance(24)
        assert proxy.cuts == 1 + 2 + 3 + 4 + 5 + 6
        assert_right(sandbox, server, through)


def test_a_link_that_is_cut_for_good_ends_within_patience(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        assert sandbox.dap(*sync(through)).returncode == 0
        sandbox.advance(24 * 7)
        for limit, code in ((30, TargetUnreachableError.exit_code), (9000, None)):
            proxy.limits = [limit] * 10_000
            began = time.monotonic()
            done = sandbox.with_environ(DAP_PATIENCE="3").dap(*sync(through))
            assert time.monotonic() - began < 40
            assert done.returncode == code or (code is None and done.returncode in _GONE), done.stderr
            assert "Traceback" not in done.stderr
            assert " Again in " in done.stderr
        proxy.limits = []
        assert_right(sandbox, server, through)


_GONE = {PartialFailureError.exit_code, TargetUnreachableError.exit_code}


def test_a_server_that_takes_few_connections(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, server.database() as url, server.limited(url, 2) as few:
        done = sandbox.dap(*sync(few))
        assert done.returncode == 0, done.stderr
        assert "connections" not in done.stderr, "nothing had to be tried again"


def test_two_at_once_on_one_machine(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, server.database() as url:
        with sandbox.start(*sync(url)) as first:
            server.wait_for_work(url)
            second = sandbox.dap(*sync(url))
            assert second.returncode == LockedError.exit_code
            assert str(first.pid) in second.stderr
            assert first.poll() is None, "the first was still at work"
            _, told = first.communicate(timeout=120)
        assert first.returncode == 0, told
        assert_right(sandbox, server, url)


def test_two_at_once_on_two_machines(server: BatteredServer, tmp_path: Path) -> None:
    honest = {0, PartialFailureError.exit_code, 50, ConcurrentUpdateError.exit_code, TargetBusyError.exit_code}
    with world(tmp_path) as sandbox, server.database() as url:
        elsewhere = sandbox.with_environ(XDG_CACHE_HOME=str(tmp_path / "other"), XDG_STATE_HOME=str(tmp_path / "far"))
        for _ in range(3):
            with sandbox.start(*sync(url)) as first, elsewhere.start(*sync(url)) as second:
                ended = [(*each.communicate(timeout=120), each.returncode) for each in (first, second)]
            for _, told, code in ended:
                assert code in honest, told
                assert "Traceback" not in told
            sandbox.advance(24 * 7)
        assert_right(sandbox, server, url)


def test_ctrl_c_leaves_the_database_as_it_was_between_tables(server: BatteredServer, tmp_path: Path) -> None:
    with world(tmp_path) as sandbox, server.database() as url:
        with sandbox.start(*sync(url)) as running:
            server.wait_for_work(url)
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=30)
        assert running.returncode == 130, told
        assert "Traceback" not in told
        assert_right(sandbox, server, url)
