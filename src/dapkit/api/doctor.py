"""The checks of `dap doctor`: credentials, network, service, output folder, installation.

Each finding is yielded as soon as it is known. A check whose precondition has failed is skipped and says so. The
functions `judge_…` are pure: they turn an observation into a finding with a hint.
"""

import asyncio
import os
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dapkit.api.connection import connect, credentials_of
from dapkit.client.http import proxy_for, tls_context
from dapkit.client.session import Session, normalize_base_url
from dapkit.config.settings import ConnectionSettings, commands_on_path
from dapkit.config.versions import installed_versions, version_text
from dapkit.errors import DapError, DiagnosisError, UsageError
from dapkit.events import Listener
from dapkit.formatting import count, duration, html_table, names, size

CONNECT_SECONDS = 10.0
NAMESPACE = "canvas"
SKEW_WARNING = 60.0
SKEW_FAILURE = 300.0
SPACE_WARNING = 10e9
SPACE_FAILURE = 100e6
OFFICIAL_PACKAGE = "instructure-dap-client"


class Verdict(StrEnum):
    """The outcome of a check; `skip` means that it was not possible."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Verdict
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding as a JSON object."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "message": self.message,
            "hint": self.hint or None,
        }

    def lines(self) -> list[str]:
        """Return the finding as a line for people, and the hint as another one."""
        lines = [f"{self.verdict.value:<5} {self.check:<13} {self.message}"]
        if self.hint:
            lines.append(f"{'':<20} -> {self.hint}")
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorResult:
    """The findings of all checks."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return self.error is None

    @property
    def error(self) -> DiagnosisError | None:
        """The error that the command ends with; None if no check failed."""
        failed = [each.check for each in self.findings if each.verdict is Verdict.FAIL]
        if not failed:
            return None
        message = f"{count(len(failed), 'check')} failed: {names(failed)}"
        return DiagnosisError(message, hint="Follow the hint next to each check, then run dap doctor again.")

    def raise_for_failed(self) -> None:
        """Raise DiagnosisError if a check failed."""
        if self.error is not None:
            raise self.error

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        rows = [(each.verdict.value, each.check, each.message, each.hint) for each in self.findings]
        return html_table("Checks", ("", "check", "found", "what to do"), rows)


def ok(check: str, message: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check=check, verdict=Verdict.OK, message=message)


def skipped(check: str, reason: str) -> Finding:
    """Return the finding of a check that was not possible."""
    return Finding(check=check, verdict=Verdict.SKIP, message=reason)


def failed(check: str, error: DapError) -> Finding:
    """Return the finding of a check that ended with an error."""
    uuid = f" (uuid {error.uuid})" if error.uuid else ""
    return Finding(check=check, verdict=Verdict.FAIL, message=f"{error.message}{uuid}", hint=error.hint)


def judge_skew(skew: float | None) -> Finding:
    """Judge by how many seconds this machine's clock is ahead of the service's; None if that is unknown."""
    if skew is None:
        return skipped("clock", "The service sent no date to compare with")
    side = "ahead of" if skew > 0 else "behind"
    message = f"This machine's clock is {duration(abs(skew))} {side} the service's"
    if abs(skew) < SKEW_WARNING:
        return ok("clock", message)
    verdict = Verdict.WARN if abs(skew) < SKEW_FAILURE else Verdict.FAIL
    hint = "Synchronize the clock with a time server; TLS and times without a zone depend on it."
    return Finding(check="clock", verdict=verdict, message=message, hint=hint)


def judge_space(free: int, folder: Path) -> Finding:
    """Judge the number of free bytes in the output folder."""
    message = f"{size(free)} free for {folder}"
    if free >= SPACE_WARNING:
        return ok("space", message)
    verdict = Verdict.WARN if free >= SPACE_FAILURE else Verdict.FAIL
    hint = "A snapshot of a large institution needs tens of GB: free some space, or use another folder."
    return Finding(check="space", verdict=verdict, message=message, hint=hint)


def judge_proxy(proxy: str | None, url: str) -> Finding:
    """Say which proxy is used, without its credentials."""
    host = urlsplit(url).hostname or url
    if proxy is None:
        return ok("proxy", f"No proxy for {host}")
    return ok("proxy", f"{without_credentials(proxy)} for {host}")


def without_credentials(url: str) -> str:
    """Return a URL without user and password."""
    head, separator, tail = url.partition("://")
    rest = tail if separator else head
    return (f"{head}://" if separator else "") + rest.rpartition("@")[2]


def judge_installation(commands: Sequence[Path], own: Path, official_version: str | None) -> Finding:
    """Judge which programs are called `dap`: `own` is ours, `commands` those on PATH, in its order."""
    if official_version is not None:
        return Finding(
            check="installation",
            verdict=Verdict.WARN,
            message=f"{OFFICIAL_PACKAGE} {official_version} is installed in the same environment and also provides dap",
            hint=f"Use the command dapkit, which is never replaced, or uninstall {OFFICIAL_PACKAGE}.",
        )
    # Without the official client here, another `dap` can only come from another environment on PATH.
    others = [path for path in commands if path != own]
    if not others:
        return ok("installation", "No other command is called dap")
    first = "comes first on PATH" if commands[0] != own else "comes later on PATH"
    return Finding(
        check="installation",
        verdict=Verdict.WARN,
        message=f"Another command called dap {first}: {others[0]}",
        hint="Use the command dapkit, or put dapkit's folder first on PATH.",
    )


async def examine(settings: ConnectionSettings, folder: Path, on_event: Listener) -> AsyncGenerator[Finding]:
    """Run all checks; each comes after those that it depends on."""
    yield ok("versions", version_text(installed_versions()))
    credentials = probe_credentials(settings)
    yield credentials
    reachable = True
    if not settings.sandbox:
        async for finding in probe_network(settings.base_url, settings.ca_file):
            reachable = reachable and finding.verdict is not Verdict.FAIL
            yield finding
    if credentials.verdict is Verdict.FAIL or not reachable:
        reason = "Skipped because a check above failed"
        for check in ("login", "clock", "response"):
            yield skipped(check, reason)
    else:
        # Closed here: otherwise the garbage collector would close the session if the caller stops early.
        async with aclosing(probe_service(settings, on_event)) as findings:
            async for finding in findings:
                yield finding
    for finding in probe_folder(folder):
        yield finding
    yield probe_installation()


def probe_credentials(settings: ConnectionSettings) -> Finding:
    """Check that there are credentials, without using them."""
    if settings.sandbox:
        return ok("credentials", "The sandbox has its own credentials")
    try:
        credentials = credentials_of(settings)
    except DapError as error:
        return failed("credentials", error)
    return ok("credentials", f"Client id {credentials.client_id}, with a secret")


async def probe_network(base_url: str, ca_file: Path | None) -> AsyncIterator[Finding]:
    """Check the proxy, the host name and the TLS certificate of the service."""
    try:
        address = urlsplit(normalize_base_url(base_url))
    except UsageError as error:
        yield failed("address", error)
        return
    trust = probe_ca_file(ca_file)
    if trust is not None:
        yield trust
    try:
        proxy = proxy_for(base_url)
    except DapError as error:
        yield failed("proxy", error)
        return
    yield judge_proxy(proxy.url if proxy else None, base_url)
    if proxy is not None:
        # Only the proxy resolves names and connects, so neither can be checked from here.
        yield skipped("dns", "The proxy resolves the host name")
        yield skipped("tls", "Checked with the login, through the proxy")
        return
    name = await probe_name(address)
    yield name
    if trust is not None and trust.verdict is Verdict.FAIL:
        yield skipped("tls", "Skipped because the trusted certificates cannot be used")
    elif name.verdict is Verdict.OK:
        yield await probe_tls(address, ca_file)


def probe_ca_file(ca_file: Path | None) -> Finding | None:
    """Check the certificates to trust in addition to the system's; return None if there are none."""
    if ca_file is None:
        return None
    try:
        tls_context(ca_file)
    except DapError as error:
        return failed("ca-file", error)
    return ok("ca-file", f"{ca_file} is trusted in addition to the system's certificates")


async def probe_name(address: SplitResult) -> Finding:
    """Resolve the host name."""
    host = address.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await loop.getaddrinfo(host, _port(address), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        return Finding(
            check="dns",
            verdict=Verdict.FAIL,
            message=f"Cannot resolve the host name {host}: {_reason(error)}",
            hint="Check the spelling of the base URL and the DNS settings; behind a proxy, set HTTPS_PROXY.",
        )
    return ok("dns", f"{host} is {found[0][4][0]}")


async def probe_tls(address: SplitResult, ca_file: Path | None) -> Finding:
    """Connect and, for https, check the certificate."""
    host, port = address.hostname or "", _port(address)
    try:
        context = tls_context(ca_file) if address.scheme == "https" else None
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    # Before OSError, of which it is a subclass: the host was reached, so the certificate is the problem.
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "the handshake failed"
        return Finding(
            check="tls",
            verdict=Verdict.FAIL,
            message=f"The certificate of {host} is not trusted: {reason}",
            hint="If your network uses its own certificate authority, set --ca-file or SSL_CERT_FILE.",
        )
    except (OSError, TimeoutError) as error:
        return Finding(
            check="connection",
            verdict=Verdict.FAIL,
            message=f"Cannot connect to {host}, port {port}: {_reason(error)}",
            hint="Check the base URL, firewalls, and whether a proxy is required (HTTPS_PROXY).",
        )
    writer.close()
    if context is None:
        message = "No TLS, because the base URL begins with http://"
        return Finding(
            check="tls", verdict=Verdict.WARN, message=message, hint="Use https:// unless the host is local."
        )
    return ok("tls", f"The certificate of {host} is trusted")


async def probe_service(settings: ConnectionSettings, on_event: Listener) -> AsyncGenerator[Finding]:
    """Log in, compare the clocks, and request a list of tables."""
    try:
        async with connect(settings, on_event) as connection:
            login = await connection.session.check_login()
            yield ok("login", "The service accepts the credentials")
            yield judge_skew(login.skew)
            yield await probe_response(connection.session)
    except DapError as error:
        yield failed("login", error)
        for check in ("clock", "response"):
            yield skipped(check, "Skipped because the login failed")


async def probe_response(session: Session) -> Finding:
    """Request the tables of the namespace that every account has."""
    try:
        tables = await session.tables(NAMESPACE)
    except DapError as error:
        return failed("response", error)
    return ok("response", f"The service lists {len(tables)} tables of {NAMESPACE}")


def probe_folder(folder: Path) -> list[Finding]:
    """Check that the output folder can be written and has enough space; nothing is left behind."""
    try:
        # The folder itself may not exist yet: then the nearest one above it decides.
        existing = folder.absolute()
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        finding = Finding(
            check="folder",
            verdict=Verdict.FAIL,
            message=f"Cannot write to {folder}: {_reason(error)}",
            hint="Use --output-directory to choose a folder that you can write to.",
        )
        return [finding]
    return [ok("folder", f"{folder} can be written"), judge_space(free, folder)]


def probe_installation() -> Finding:
    """Look for other programs called dap."""
    try:
        official = version(OFFICIAL_PACKAGE)
    except PackageNotFoundError:
        official = None
    own = Path(sys.argv[0]).with_name("dap.exe" if sys.platform == "win32" else "dap")
    with suppress(OSError):  # the current folder may have been removed
        own = own.absolute()
    return judge_installation(commands_on_path("dap"), own, official)


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no response within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or os.strerror(getattr(error, "errno", None) or 5)
