"""The checks of the doctor, on loopback."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme

from dapkit.api import doctor as probes
from dapkit.api.doctor import (
    Finding,
    Verdict,
    failed,
    judge_installation,
    judge_proxy,
    judge_skew,
    judge_space,
    without_credentials,
)
from dapkit.config.settings import ConnectionSettings, read_settings
from dapkit.errors import RejectedCredentialsError, ServerError


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def settings(environ: dict[str, str], **given: Any) -> ConnectionSettings:
    return read_settings(given, environ).connection


def network_findings(base_url: str, ca_file: Path | None = None) -> dict[str, Finding]:
    async def gather() -> list[Finding]:
        return [finding async for finding in probes.probe_network(base_url, ca_file)]

    return {finding.check: finding for finding in asyncio.run(gather())}


@asynccontextmanager
async def tls_server(authority: trustme.CA) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def tls_findings(authority: trustme.CA, ca_file: Path | None) -> dict[str, Finding]:
    async def gather() -> list[Finding]:
        async with tls_server(authority) as port:
            return [finding async for finding in probes.probe_network(f"https://localhost:{port}", ca_file)]

    return {finding.check: finding for finding in asyncio.run(gather())}


def test_a_trusted_certificate_passes(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    found = tls_findings(authority, ca_file)
    assert {check: finding.verdict for check, finding in found.items()} == {
        "ca-file": Verdict.OK,
        "proxy": Verdict.OK,
        "dns": Verdict.OK,
        "tls": Verdict.OK,
    }


def test_an_unknown_authority_fails_with_a_hint(authority: trustme.CA) -> None:
    found = tls_findings(authority, None)
    assert found["tls"].verdict is Verdict.FAIL
    assert "--ca-file" in found["tls"].hint


def test_an_invalid_ca_file_fails(authority: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    assert tls_findings(authority, tmp_path / "ca.pem")["ca-file"].verdict is Verdict.FAIL


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_missing_ca_file_is_named_and_not_reported_as_a_connection_failure(
    scheme: str, closed_port: int, tmp_path: Path
) -> None:
    found = network_findings(f"{scheme}://127.0.0.1:{closed_port}", tmp_path / "no-such.pem")
    assert found["ca-file"].verdict is Verdict.FAIL
    assert "no-such.pem" in found["ca-file"].message
    assert found["tls"].verdict is Verdict.SKIP
    assert "connection" not in found


def test_an_invalid_proxy_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://elsewhere:1080")
    assert network_findings("https://example.invalid")["proxy"].verdict is Verdict.FAIL


def test_a_session_that_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "clock.json").write_text("{")
    chosen = settings({"DAP_SANDBOX_HOME": str(home)}, sandbox=True, sandbox_scale=0.05)

    async def gather() -> list[Finding]:
        return [finding async for finding in probes.probe_service(chosen, lambda _: None)]

    login, *rest = asyncio.run(gather())
    assert (login.check, login.verdict) == ("login", Verdict.FAIL)
    assert "clock.json" in login.message
    assert {finding.verdict for finding in rest} == {Verdict.SKIP}


def test_a_closed_port_fails(closed_port: int) -> None:
    found = network_findings(f"http://127.0.0.1:{closed_port}")
    assert found["connection"].verdict is Verdict.FAIL
    assert str(closed_port) in found["connection"].message


def test_a_host_name_that_cannot_exist_fails() -> None:
    found = network_findings("https://no-such-host.invalid")
    assert found["dns"].verdict is Verdict.FAIL
    assert "tls" not in found


def test_an_invalid_url_fails() -> None:
    found = network_findings("ftp://x")
    assert {check: finding.verdict for check, finding in found.items()} == {"address": Verdict.FAIL}


def test_behind_a_proxy_host_name_and_certificate_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    found = network_findings("https://api.example")
    assert found["proxy"].message == "http://proxy.example:3128 for api.example"
    assert found["dns"].verdict is found["tls"].verdict is Verdict.SKIP


@pytest.mark.parametrize(
    ("environ", "given", "verdict"),
    [
        ({}, {}, Verdict.FAIL),
        ({"DAP_CLIENT_ID": "region#1"}, {}, Verdict.FAIL),
        ({"DAP_CLIENT_ID": "region#1", "DAP_CLIENT_SECRET": "hush"}, {}, Verdict.OK),
        ({}, {"sandbox": True}, Verdict.OK),
    ],
)
def test_credentials_are_checked_without_showing_the_secret(
    environ: dict[str, str], given: dict[str, Any], verdict: Verdict
) -> None:
    finding = probes.probe_credentials(settings(environ, **given))
    assert finding.verdict is verdict
    assert "hush" not in finding.message


def test_a_folder_that_does_not_exist_yet_passes(tmp_path: Path) -> None:
    findings = probes.probe_folder(tmp_path / "a" / "b")
    assert [finding.check for finding in findings] == ["folder", "space"]
    assert findings[0].verdict is Verdict.OK
    assert list(tmp_path.glob("a")) == []


def test_a_file_instead_of_a_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert [finding.verdict for finding in probes.probe_folder(folder)] == [Verdict.FAIL]


class FakeSession:
    def __init__(self, login: object, tables: object) -> None:
        self._login = login
        self._tables = tables

    async def check_login(self) -> object:
        if isinstance(self._login, Exception):
            raise self._login
        return self._login

    async def tables(self, _namespace: str) -> object:
        if isinstance(self._tables, Exception):
            raise self._tables
        return self._tables


@pytest.mark.parametrize(
    ("login", "tables", "verdicts"),
    [
        (SimpleNamespace(skew=1.0), ("a",), {"login": "ok", "clock": "ok", "response": "ok"}),
        (SimpleNamespace(skew=900.0), ServerError("503"), {"login": "ok", "clock": "fail", "response": "fail"}),
        (RejectedCredentialsError("no"), (), {"login": "fail", "clock": "skip", "response": "skip"}),
    ],
)
def test_the_service_is_checked_step_by_step(
    login: object, tables: object, verdicts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def connect(*_: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(session=FakeSession(login, tables))

    monkeypatch.setattr(probes, "connect", connect)

    async def gather() -> list[Finding]:
        unused = cast(ConnectionSettings, None)
        return [finding async for finding in probes.probe_service(unused, lambda _: None)]

    assert {finding.check: finding.verdict.value for finding in asyncio.run(gather())} == verdicts


def test_checks_that_depend_on_a_failed_one_are_skipped(tmp_path: Path) -> None:
    async def gather() -> list[Finding]:
        connection = settings({"DAP_API_URL": "nonsense"})
        return [finding async for finding in probes.examine(connection, tmp_path, lambda _: None)]

    found = {finding.check: finding.verdict.value for finding in asyncio.run(gather())}
    assert found["credentials"] == found["address"] == "fail"
    assert found["login"] == found["clock"] == found["response"] == "skip"
    assert found["folder"] == "ok"
    assert "installation" in found


@pytest.mark.parametrize(
    ("skew", "verdict", "word"),
    [
        (0.0, Verdict.OK, "behind"),
        (-59.0, Verdict.OK, "behind"),
        (61.0, Verdict.WARN, "ahead of"),
        (-299.0, Verdict.WARN, "behind"),
        (301.0, Verdict.FAIL, "ahead of"),
        (None, Verdict.SKIP, "no date"),
    ],
)
def test_small_clock_differences_are_accepted(skew: float | None, verdict: Verdict, word: str) -> None:
    finding = judge_skew(skew)
    assert finding.verdict is verdict
    assert word in finding.message
    assert bool(finding.hint) == (verdict in (Verdict.WARN, Verdict.FAIL))


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(50_000_000_000, Verdict.OK), (5_000_000_000, Verdict.WARN), (50_000_000, Verdict.FAIL)],
)
def test_free_space_is_compared_with_the_size_of_a_snapshot(free: int, verdict: Verdict) -> None:
    assert judge_space(free, Path("out")).verdict is verdict


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128/"),
        ("user:p@ss@proxy:3128", "proxy:3128"),
    ],
)
def test_a_proxy_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
    assert judge_proxy(url, "https://api.example").message == f"{shown} for api.example"


def test_without_a_proxy_the_check_passes() -> None:
    assert judge_proxy(None, "https://api.example").verdict is Verdict.OK


OWN = Path("/venv/bin/dap")
OTHER = Path("/usr/bin/dap")


@pytest.mark.parametrize(
    ("commands", "official", "verdict", "words"),
    [
        ((OWN,), None, Verdict.OK, "No other"),
        ((), None, Verdict.OK, "No other"),
        ((OWN, OTHER), None, Verdict.WARN, "comes later on PATH: /usr/bin/dap"),
        ((OTHER, OWN), None, Verdict.WARN, "comes first on PATH: /usr/bin/dap"),
        ((OWN,), "2.3.1", Verdict.WARN, "instructure-dap-client 2.3.1"),
    ],
)
def test_other_commands_with_the_same_name_are_reported(
    commands: tuple[Path, ...], official: str | None, verdict: Verdict, words: str
) -> None:
    finding = judge_installation(commands, OWN, official)
    assert finding.verdict is verdict
    assert words in finding.message


def test_a_failure_has_hint_and_uuid() -> None:
    finding = failed("login", RejectedCredentialsError("Rejected", uuid="u-1"))
    assert finding.message == "Rejected (uuid u-1)"
    assert finding.hint == RejectedCredentialsError.default_hint


def test_a_finding_can_be_printed_as_lines_and_as_json() -> None:
    finding = Finding(check="dns", verdict=Verdict.FAIL, message="No name.", hint="Set one.")
    assert finding.lines() == ["fail  dns           No name.", f"{'':20} -> Set one."]
    assert finding.as_dict() == {"check": "dns", "verdict": "fail", "message": "No name.", "hint": "Set one."}
