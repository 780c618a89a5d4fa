"""What the doctor looks at: credentials, the way to the service, itself, the output folder, the installation.

Each finding is yielded as soon as it is there; a probe whose ground has failed is skipped and says so.
"""

import asyncio
import os
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dapkit.api.connection import connect, credentials_of
from dapkit.cli.doctor_findings import (
    OFFICIAL_PACKAGE,
    Finding,
    Verdict,
    failed,
    judge_installation,
    judge_proxy,
    judge_skew,
    judge_space,
    ok,
    skipped,
)
from dapkit.cli.settings import other_commands
from dapkit.client.http import proxy_for, tls_context
from dapkit.client.session import Session, normalize_base_url
from dapkit.config.settings import ConnectionSettings
from dapkit.errors import DapError, UsageError
from dapkit.events import Listener

CONNECT_SECONDS = 10.0
NAMESPACE = "canvas"


async def examine(settings: ConnectionSettings, folder: Path, on_event: Listener) -> AsyncIterator[Finding]:
    """Look at everything, in the order in which one thing depends on another."""
    credentials = probe_credentials(settings)
    yield credentials
    reachable = True
    if settings.sandbox is None:
        async for finding in probe_way(settings.base_url, settings.ca_file):
            reachable = reachable and finding.verdict is not Verdict.FAIL
            yield finding
    if credentials.verdict is Verdict.FAIL or not reachable:
        reason = "Not tried, since what it needs has failed above."
        for check in ("login", "clock", "answer"):
            yield skipped(check, reason)
    else:
        async for finding in probe_service(settings, on_event):
            yield finding
    for finding in probe_folder(folder):
        yield finding
    yield probe_installation(settings)


def probe_credentials(settings: ConnectionSettings) -> Finding:
    """Look whether there are credentials, without using them."""
    if settings.sandbox is not None:
        return ok("credentials", "The sandbox's own.")
    try:
        credentials = credentials_of(settings)
    except DapError as error:
        return failed("credentials", error)
    return ok("credentials", f"A secret is given for the client id {credentials.client_id}.")


async def probe_way(base_url: str, ca_file: Path | None) -> AsyncIterator[Finding]:
    """Look at the proxy, the name, and the TLS certificate of the service."""
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
        yield skipped("dns", "The proxy looks the name up.")
        yield skipped("tls", "Looked at with the login, through the proxy.")
        return
    name = await probe_name(address)
    yield name
    if trust is not None and trust.verdict is Verdict.FAIL:
        yield skipped("tls", "Not looked at, since the certificates to trust cannot be used.")
    elif name.verdict is Verdict.OK:
        yield await probe_tls(address, ca_file)


def probe_ca_file(ca_file: Path | None) -> Finding | None:
    """Look whether the certificates to trust besides the system's can be used; None when there are none."""
    if ca_file is None:
        return None
    try:
        tls_context(ca_file)
    except DapError as error:
        return failed("ca-file", error)
    return ok("ca-file", f"{ca_file} is trusted besides the system's certificates.")


async def probe_name(address: SplitResult) -> Finding:
    """Look the host's name up."""
    host = address.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await loop.getaddrinfo(host, _port(address), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        return Finding(
            check="dns",
            verdict=Verdict.FAIL,
            message=f"The name {host} cannot be looked up: {_reason(error)}.",
            advice="Check the base URL's spelling and this machine's DNS; behind a proxy set HTTPS_PROXY.",
        )
    return ok("dns", f"{host} is {found[0][4][0]}.")


async def probe_tls(address: SplitResult, ca_file: Path | None) -> Finding:
    """Connect, and over https check the certificate against the trusted authorities."""
    host, port = address.hostname or "", _port(address)
    try:
        context = tls_context(ca_file) if address.scheme == "https" else None
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "the handshake failed"
        return Finding(
            check="tls",
            verdict=Verdict.FAIL,
            message=f"The certificate of {host} is not trusted: {reason}.",
            advice="If your network has an authority of its own, name it with --ca-file or SSL_CERT_FILE.",
        )
    except (OSError, TimeoutError) as error:
        return Finding(
            check="connection",
            verdict=Verdict.FAIL,
            message=f"No connection to {host}, port {port}: {_reason(error)}.",
            advice="Check the base URL, firewalls, and whether a proxy is needed (HTTPS_PROXY).",
        )
    writer.close()
    if context is None:
        message = "None: the base URL begins with http://."
        return Finding(check="tls", verdict=Verdict.WARN, message=message, advice="Use https:// except on loopback.")
    return ok("tls", f"The certificate of {host} is trusted.")


async def probe_service(settings: ConnectionSettings, on_event: Listener) -> AsyncIterator[Finding]:
    """Log in, compare clocks, and ask for a list of tables."""
    try:
        async with connect(settings, on_event) as connection:
            login = await connection.session.check_login()
            yield ok("login", "The service accepts the credentials.")
            yield judge_skew(login.skew)
            yield await probe_answer(connection.session)
    except DapError as error:
        yield failed("login", error)
        for check in ("clock", "answer"):
            yield skipped(check, "Not tried, since the login failed.")


async def probe_answer(session: Session) -> Finding:
    """Ask for the tables of the namespace that every account has."""
    try:
        tables = await session.tables(NAMESPACE)
    except DapError as error:
        return failed("answer", error)
    return ok("answer", f"The service lists {len(tables)} tables of {NAMESPACE}.")


def probe_folder(folder: Path) -> list[Finding]:
    """Look whether the output folder can be written to and how much room it has; leaves no trace."""
    try:
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
            message=f"{folder} cannot be written to: {_reason(error)}.",
            advice="Name a folder that you may write to with --output-directory.",
        )
        return [finding]
    return [ok("folder", f"{folder} can be written to."), judge_space(free, folder)]


def probe_installation(settings: ConnectionSettings) -> Finding:
    """Look for other programs called dap."""
    try:
        official = version(OFFICIAL_PACKAGE)
    except PackageNotFoundError:
        official = None
    own = Path(sys.argv[0]).with_name("dap.exe" if sys.platform == "win32" else "dap")
    with suppress(OSError):  # the current folder may be gone
        own = own.absolute()
    return judge_installation(other_commands(settings.environ, "dap"), own, official)


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or os.strerror(getattr(error, "errno", None) or 5)
