"""Sessions with the service or a sandbox, according to the settings."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dapkit.api import connection
from dapkit.api.connection import connect, credentials_of, session_options
from dapkit.client.rate_limiter import WaitListener
from dapkit.client.session import Session
from dapkit.config.settings import ConnectionSettings, read_settings
from dapkit.errors import InterruptedRunError, MissingCredentialsError, OutputError, UsageError
from dapkit.events import Event, Notice, RateLimitReached
from dapkit.model import SANDBOX_SERVICE
from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit
from dapkit.protocol.error_response import Endpoint

ENVIRON = {"DAP_CLIENT_ID": "region#1", "DAP_CLIENT_SECRET": "hush"}


def settings(environ: dict[str, str], **given: Any) -> ConnectionSettings:
    return read_settings(given, environ).connection


def test_requests_follow_the_settings(tmp_path: Path) -> None:
    environ = {**ENVIRON, "XDG_STATE_HOME": str(tmp_path), "DAP_SCOPE": "root"}
    chosen = settings(environ, base_url="https://api.example/", pace="7", ca_file=tmp_path / "ca")
    options = session_options(chosen, None)
    assert options.base_url == "https://api.example/"
    assert (options.credentials.client_id, options.credentials.client_secret) == ("region#1", "hush")
    assert (options.scope, options.ca_file, options.pace) == ("root", tmp_path / "ca", RateLimit(7))
    assert options.state_folder == chosen.state_folder
    assert options.identity is None
    assert options.user_agent.startswith("dapkit/")


def test_a_sandbox_has_no_rate_limits_unless_they_are_set() -> None:
    fake: Any = SimpleNamespace(base_url="http://x", client_id="a", client_secret="b", data_seconds=lambda: 0.0)
    assert session_options(settings({}, sandbox=True), fake).pace == NO_RATE_LIMIT
    assert session_options(settings({"DAP_PACE": "7"}, sandbox=True), fake).pace == RateLimit(7)
    assert session_options(settings(ENVIRON), None).pace == PUBLISHED_RATE_LIMIT


def test_without_credentials_there_is_no_session() -> None:
    async def attempt() -> None:
        async with connect(settings({}), lambda _: None):
            raise AssertionError

    with pytest.raises(MissingCredentialsError):
        asyncio.run(attempt())


def test_options_take_precedence_over_credentials_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    by_option = credentials_of(settings(ENVIRON, client_id="region#2", client_secret="from-option"))
    by_file = credentials_of(settings(ENVIRON, client_secret_file=tmp_path / "secret"))
    assert (by_option.client_id, by_option.client_secret) == ("region#2", "from-option")
    assert by_file.client_secret == "from-file"


def test_an_invalid_base_url_is_a_usage_error() -> None:
    async def attempt() -> None:
        async with connect(settings(ENVIRON, base_url="nonsense"), lambda _: None):
            raise AssertionError

    with pytest.raises(UsageError, match="base URL"):
        asyncio.run(attempt())


def test_a_clock_that_cannot_be_stored_is_an_error_before_the_work_and_a_notice_after_it(tmp_path: Path) -> None:
    heard: list[Event] = []
    home = tmp_path / "home"
    chosen = settings({"DAP_SANDBOX_HOME": str(home)}, sandbox=True, sandbox_scale=0.05)

    async def visit() -> None:
        async with connect(chosen, heard.append) as connection:
            connection.check()
            home.rmdir()
            home.touch()
            with pytest.raises(OutputError, match=r"clock\.json"):
                connection.check()
            connection.advance()

    asyncio.run(visit())
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert "clock.json" in notice.message


def test_the_built_in_sandbox_advances_its_clock(tmp_path: Path) -> None:
    heard: list[Event] = []
    chosen = settings(
        {"DAP_SANDBOX_HOME": str(tmp_path / "home"), "DAP_API_URL": "https://elsewhere"},
        sandbox=True,
        sandbox_scale=0.05,
        sandbox_job_seconds=0.0,
    )

    async def visit() -> tuple[str, Sequence[str]]:
        async with connect(chosen, heard.append) as connection:
            before = connection.sandbox.state.data_clock.now_ms() if connection.sandbox else 0
            tables = await connection.session.tables("canvas")
            connection.advance()
            assert connection.sandbox is not None
            assert connection.sandbox.state.data_clock.now_ms() == before + 4 * 3_600_000
            return connection.session.identity, tables

    identity, tables = asyncio.run(visit())
    assert identity == SANDBOX_SERVICE
    assert "courses" in tables
    assert heard == []


def test_the_age_of_sandbox_data_is_measured_by_the_data_clock(tmp_path: Path) -> None:
    async def visit() -> list[datetime]:
        chosen = settings({"DAP_SANDBOX_HOME": str(tmp_path), "DAP_SANDBOX_SCALE": "0.05"}, sandbox=True)
        async with connect(chosen, lambda _: None) as connection:
            times = [connection.session.data_now()]
            connection.advance()
            return [*times, connection.session.data_now()]

    first = datetime(2026, 9, 1, tzinfo=UTC)
    assert asyncio.run(visit()) == [first, first + timedelta(hours=4)]


def test_the_age_of_service_data_is_measured_by_the_machines_clock() -> None:
    options = session_options(settings(ENVIRON), None)
    before = datetime.now(UTC)
    assert before <= Session(options).data_now() <= datetime.now(UTC)


def test_the_sandbox_is_imported_only_when_it_is_started() -> None:
    program = (
        "import sys, dapkit.cli.export_command as _; print(*sorted({'duckdb', 'dapkit.sandbox'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (Endpoint.TABLES, RateLimitReached(requests="lists of tables", per_minute=5)),
        (Endpoint.SUBMIT, RateLimitReached(requests="new jobs", per_minute=5, jobs=True)),
    ],
)
def test_a_wait_for_the_rate_limit_is_an_event(
    endpoint: Endpoint, expected: RateLimitReached, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []

    class WaitingSession(Session):
        def __init__(self, *_: Any, on_wait: WaitListener, **__: Any) -> None:
            on_wait(endpoint, 5)
            raise InterruptedRunError("enough")

    monkeypatch.setattr(connection, "Session", WaitingSession)

    async def attempt() -> None:
        async with connect(settings(ENVIRON), events.append):
            raise AssertionError

    with pytest.raises(InterruptedRunError):
        asyncio.run(attempt())
    assert events == [expected]
