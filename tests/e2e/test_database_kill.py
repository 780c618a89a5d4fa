"""Syncs that are killed, whose server crashes, or whose connection is cut.

Where possible, the run itself recovers; after `kill -9`, running the same command again does.
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
from tests.support.database_server import DatabaseServer, mysql, postgresql
from tests.support.mysql_server import MYSQL_SERVERS
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


@pytest.fixture(params=["postgresql", *MYSQL_SERVERS])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Each type of server in turn."""
    if request.param == "postgresql":
        return postgresql(request.getfixturevalue("postgres_server"))
    return mysql(request.getfixturevalue("mysql_servers")(request.param))


@contextmanager
def sandbox_of(folder: Path, **options: object) -> Iterator[SandboxProcess]:
    with sandbox_process(
        folder / "state", **{"scale": 0.5, "part_rows": 4000, "job_seconds": 0.05, **options}
    ) as plain:
        plain.set_data_time("2025-01-10T00:00:00Z")
        yield plain.with_environ(XDG_CACHE_HOME=str(folder / "cache"))


@contextmanager
def through_a_proxy(server: DatabaseServer, url: str) -> Iterator[tuple[CuttingProxy, str]]:
    with cutting_proxy(server.port) as proxy:
        # The proxy has to recognise a COMMIT, which it cannot in an encrypted connection.
        plain = "?ssl=disable" if url.startswith("mysql:") else ""
        yield proxy, url.replace(f":{server.port}/", f":{proxy.port}/") + plain


def sync(url: str, verb: str = "sync", *flags: str) -> tuple[str, ...]:
    """Return the arguments of a command on the tables."""
    return (verb, "--namespace", "canvas", "--table", ",".join(TABLES), "--to", url, *flags)


def assert_correct(sandbox: SandboxProcess, server: DatabaseServer, url: str, *also: str) -> None:
    """Check that the next run succeeds, and that the database then equals a fresh load, without leftovers."""
    last = sandbox.dap(*sync(url))
    assert last.returncode == 0, last.stderr
    with server.database() as expected:
        fresh = sandbox.dap(*sync(expected))
        assert fresh.returncode == 0, fresh.stderr
        assert server.contents(url) == server.contents(expected)
    compared = sandbox.dap(*sync(url, "reconcile", "--no-sync"))
    assert compared.returncode == 0, compared.stderr
    assert server.tables_in(url) == sorted((*TABLES, *also))
    assert not list(Path(sandbox.environ["XDG_CACHE_HOME"]).rglob("*.gz"))


def test_repeated_kills_end_in_the_same_database_as_a_fresh_load(server: DatabaseServer, tmp_path: Path) -> None:
    moments = random.Random(20)
    killed = 0
    with sandbox_of(tmp_path) as sandbox, server.database() as url:
        for number in range(KILLS):
            verb = "reconcile" if number % 5 == 4 else "sync"
            with sandbox.start(*sync(url, verb)) as running:
                time.sleep(moments.uniform(0.4, 1.6))
                killed += running.poll() is None
                running.kill()
            if number > KILLS // 2:
                sandbox.advance(24 * 7)
        assert killed > KILLS // 2
        assert_correct(sandbox, server, url)


def test_repeated_kills_while_loading_logs(server: DatabaseServer, tmp_path: Path) -> None:
    moments = random.Random(7)
    with sandbox_of(tmp_path, part_rows=200) as sandbox, server.database() as url:
        for _ in range(KILLS // 4):
            with sandbox.start("sync", *LOGS, "--to", url) as running:
                time.sleep(moments.uniform(0.4, 1.6))
                running.kill()
            sandbox.advance(24)
        done = sandbox.dap("reconcile", *LOGS, "--to", url)  # which syncs first
        assert done.returncode == 0, done.stderr


def test_a_run_that_resumes_an_old_job_still_reaches_the_current_data(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path, scale=0.1, job_seconds=3.0) as sandbox, server.database() as url:
        assert sandbox.dap(*sync(url)).returncode == 0
        sandbox.advance(24)
        with sandbox.start(*sync(url)) as running:
            time.sleep(2)
            running.kill()
        sandbox.advance(24)
        assert_correct(sandbox, server, url)


def test_a_run_survives_a_crash_and_restart_of_the_server(server: DatabaseServer, tmp_path: Path) -> None:
    if server.crash is None:
        pytest.skip("the server that is named was not started by the tests, so they must not crash it")
    with sandbox_of(tmp_path) as sandbox, server.database() as url:
        messages = ""
        for _ in range(3):
            with sandbox.start(*sync(url)) as running:
                server.wait_for_activity(url)
                server.crash()
                _, stderr = running.communicate(timeout=120)
            assert running.returncode == 0, stderr
            messages += stderr
            sandbox.advance(24 * 7)
        assert " Retrying in " in messages, "no crash happened during a load"
        assert_correct(sandbox, server, url)


def test_a_run_survives_cut_connections(server: DatabaseServer, tmp_path: Path) -> None:
    limits = random.Random(7)
    with sandbox_of(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        for _ in range(8):
            proxy.limits = [int(10 ** limits.uniform(2.5, 6.5)) for _ in range(6)]
            done = sandbox.dap(*sync(through))
            assert done.returncode == 0, done.stderr
            sandbox.advance(24)
        assert proxy.cuts > 8
        proxy.limits = []
        assert_correct(sandbox, server, through)


def test_a_commit_whose_response_is_lost_is_applied_once(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        for lost in range(1, 7):
            proxy.lost_commit_responses = lost
            done = sandbox.dap(*sync(through))
            assert done.returncode == 0, done.stderr
            assert proxy.lost_commit_responses == 0
            sandbox.advance(24)
        assert proxy.cuts == 1 + 2 + 3 + 4 + 5 + 6
        assert_correct(sandbox, server, through)


def test_a_permanently_cut_connection_ends_within_the_retry_timeout(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path) as sandbox, server.database() as url, through_a_proxy(server, url) as (proxy, through):
        assert sandbox.dap(*sync(through)).returncode == 0
        sandbox.advance(24 * 7)
        for limit, code in ((30, TargetUnreachableError.exit_code), (9000, None)):
            proxy.limits = [limit] * 10_000
            began = time.monotonic()
            done = sandbox.with_environ(DAP_RETRY_TIMEOUT="3").dap(*sync(through))
            assert time.monotonic() - began < 100, "it retried for much longer than 3 seconds"
            assert done.returncode == code or (code is None and done.returncode in _CONNECTION_LOST), done.stderr
            assert "Traceback" not in done.stderr
            assert " Retrying in " in done.stderr
        proxy.limits = []
        assert_correct(sandbox, server, through)


_CONNECTION_LOST = {PartialFailureError.exit_code, TargetUnreachableError.exit_code}


def test_a_server_that_allows_few_connections(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path) as sandbox, server.database() as url, server.limited(url, 2) as limited:
        done = sandbox.dap(*sync(limited))
        assert done.returncode == 0, done.stderr
        assert "connections" not in done.stderr, "something had to be retried"


def test_two_runs_at_once_on_one_machine(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path) as sandbox, server.database() as url:
        with sandbox.start(*sync(url)) as first:
            server.wait_for_activity(url)
            second = sandbox.dap(*sync(url))
            assert second.returncode == LockedError.exit_code
            assert str(first.pid) in second.stderr
            assert first.poll() is None, "the first run has ended"
            _, stderr = first.communicate(timeout=120)
        assert first.returncode == 0, stderr
        assert_correct(sandbox, server, url)


def test_two_runs_at_once_on_two_machines(server: DatabaseServer, tmp_path: Path) -> None:
    allowed = {0, PartialFailureError.exit_code, 50, ConcurrentUpdateError.exit_code, TargetBusyError.exit_code}
    with sandbox_of(tmp_path) as sandbox, server.database() as url:
        elsewhere = sandbox.with_environ(XDG_CACHE_HOME=str(tmp_path / "other"), XDG_STATE_HOME=str(tmp_path / "far"))
        for _ in range(3):
            with sandbox.start(*sync(url)) as first, elsewhere.start(*sync(url)) as second:
                ended = [(*each.communicate(timeout=120), each.returncode) for each in (first, second)]
            for _, stderr, code in ended:
                assert code in allowed, stderr
                assert "Traceback" not in stderr
            sandbox.advance(24 * 7)
        assert_correct(sandbox, server, url)


def test_ctrl_c_leaves_a_consistent_database(server: DatabaseServer, tmp_path: Path) -> None:
    with sandbox_of(tmp_path) as sandbox, server.database() as url:
        with sandbox.start(*sync(url)) as running:
            server.wait_for_activity(url)
            running.send_signal(signal.SIGINT)
            _, stderr = running.communicate(timeout=30)
        assert running.returncode == 130, stderr
        assert "Traceback" not in stderr
        assert_correct(sandbox, server, url)
