"""The one seam over the HTTP library: requests and answers as values, its errors translated once.

A transport sends what it is told and nothing else: it follows no redirect, keeps no cookie, reads no netrc,
decodes no body and uses URLs as they are encoded. Proxies come from the environment; an address of this
machine itself is never asked of a proxy. There is no limit on how long an answer may take in all, only on how
long nothing may come.
"""

import base64
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import unquote, urlsplit

from dapkit.errors import (
    DapError,
    NetworkError,
    ProxyError,
    StalledError,
    TlsError,
    UnexpectedResponseError,
    UnreachableError,
    UsageError,
)
from dapkit.protocol.redaction import excerpt, place

if TYPE_CHECKING:
    import aiohttp

LARGEST_RESPONSE: Final = 64 * 1024 * 1024
"""Bytes beyond which the answer to `send` is refused."""

_READ_BUFFER: Final = 256 * 1024
_LONGEST_HEADER: Final = 64 * 1024
_KEPT_ALIVE: Final = 30.0
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it goes out."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A whole answer; names of headers are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpStream(Protocol):
    """An answer whose body is still to come; names of headers are looked up without regard to case."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises NetworkError when it breaks off, StalledError when it stops."""


class Transport(Protocol):
    """What sends requests. Raises NetworkError and its kinds when no (whole) answer comes."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the whole answer; raises UnexpectedResponseError when it is far too long."""

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Return the answer with its body still to come; leaving the context gives the rest up."""

    async def close(self) -> None:
        """Give up all connections."""


class _AiohttpStream:
    """The answer of aiohttp as ours."""

    def __init__(self, response: "aiohttp.ClientResponse", url: str) -> None:
        self._response = response
        self._url = url
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield whatever is there, in pieces as large as the network gave them."""
        content = self._response.content
        while True:
            with _translated(self._url):
                chunk = await content.readany()
            if not chunk:
                return
            yield chunk


class AiohttpTransport:
    """The transport that is used: aiohttp, which is imported with the first request.

    Args:
        ca_file: certificates (PEM) to trust beside the system's.
        read_timeout: seconds for which nothing may come before an answer counts as stalled.
        connect_timeout: seconds that a connection, with its TLS, may take.
    """

    def __init__(
        self, *, ca_file: Path | None = None, read_timeout: float = 60.0, connect_timeout: float = 30.0
    ) -> None:
        self._tls: ssl.SSLContext | bool = tls_context(ca_file) if ca_file is not None else True
        self._read_timeout = read_timeout
        self._connect_timeout = connect_timeout
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the whole answer."""
        body = bytearray()
        async with self.stream(request) as stream:
            async for chunk in stream.chunks():
                body += chunk
                if len(body) > LARGEST_RESPONSE:
                    raise UnexpectedResponseError(f"The answer from {place(request.url)} does not end.")
            return HttpResponse(status=stream.status, headers=stream.headers, body=bytes(body))

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        """Return the answer with its body still to come."""
        from yarl import URL  # noqa: PLC0415 -- comes with aiohttp, whose import costs 0.3 s

        session = self._open_session()
        proxy = proxy_for(request.url)
        with _translated(request.url):
            response = await session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                ssl=self._trust(request.url),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
            )
        try:
            yield _AiohttpStream(response, request.url)
        finally:
            response.close()

    async def close(self) -> None:
        """Give up all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _trust(self, url: str) -> ssl.SSLContext | bool:
        # Loading the system's certificates takes 0.1 s, which a sandbox, without TLS, does not need.
        if self._tls is True and url.startswith("https:"):
            self._tls = tls_context(None)
        return self._tls

    def _open_session(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp  # noqa: PLC0415 -- its import costs 0.3 s, which help need not pay

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0, keepalive_timeout=_KEPT_ALIVE),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    # aiohttp waits for a proxy's answer to CONNECT under this one alone
                    connect=2 * self._connect_timeout,
                    sock_connect=self._connect_timeout,
                    sock_read=self._read_timeout,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
            )
        return self._session


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the headers that it wants."""

    url: str
    headers: Mapping[str, str] | None


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that the environment (or the system's settings) names for a URL.

    Raises:
        ProxyError: what is named is not the address of a proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _THIS_MACHINE:
        return None
    proxies = urllib.request.getproxies()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    try:
        proxy = urlsplit(address if "://" in address else f"http://{address}")
        port = proxy.port
    except ValueError:
        proxy, port = urlsplit(""), None
    if proxy.scheme not in {"http", "https"} or not proxy.hostname:
        raise ProxyError(f"The proxy that the environment names is not one that can be used: {place(address)!r}.")
    name = f"[{proxy.hostname}]" if ":" in proxy.hostname else proxy.hostname
    headers = None
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers = {"Proxy-Authorization": f"Basic {base64.b64encode(user).decode()}"}
    return Proxy(f"{proxy.scheme}://{name}" + (f":{port}" if port is not None else ""), headers)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what the system trusts (OpenSSL itself obeys SSL_CERT_FILE) and what the given file holds.

    Raises:
        UsageError: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(
                f"The certificates of {ca_file} cannot be used: {reason}.", hint="Check --ca-file."
            ) from error
    return context


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn whatever the library raises while it talks to a URL's host into one of our errors."""
    try:
        yield
    except Exception as error:
        import aiohttp  # noqa: PLC0415 -- loaded by now

        if isinstance(error, aiohttp.ClientError | OSError | UnicodeError):
            raise _error_of(error, url) from None
        raise


def _error_of(error: Exception, url: str) -> DapError:
    """Return what a failure of the library means, from the most to the least particular kind."""
    import aiohttp  # noqa: PLC0415 -- loaded by now

    host = urlsplit(url).netloc.rpartition("@")[2]
    match error:
        case aiohttp.ClientHttpProxyError():
            return ProxyError(f"The proxy refused the way to {host} with HTTP {error.status} {excerpt(error.message)}.")
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            return _connection_error(error, host, urlsplit(url).hostname)
        case aiohttp.ConnectionTimeoutError():
            return UnreachableError(f"No connection to {host} came about in time.")
        case TimeoutError():
            return StalledError(f"Nothing more came from {host} for too long.")
        case aiohttp.ClientPayloadError():
            return NetworkError(f"The answer from {host} broke off before its end.")
        case aiohttp.ServerDisconnectedError():
            return NetworkError(f"{host} closed the connection without an answer.")
        case aiohttp.InvalidURL() | UnicodeError():  # the latter of a host that no name can be
            return UnexpectedResponseError(f"This is not an address that can be asked: {place(url)!r}.")
        case aiohttp.ClientResponseError():
            # also what follows a body that is longer than announced
            return NetworkError(f"{host} sent what is not HTTP, or more than it announced: {excerpt(error.message)}.")
    return NetworkError(f"The connection to {host} failed: {_reason(error)}.")


def _connection_error(
    error: "aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError", host: str, name: str | None
) -> DapError:
    """Return why no connection to a host came about; the trouble may be with the proxy in between."""
    import aiohttp  # noqa: PLC0415 -- loaded by now

    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return TlsError(f"The certificate of {error.host} is not trusted: {excerpt(reason)}.")
        case aiohttp.ClientSSLError():
            return _tls_error(error.os_error, error.host)
        case aiohttp.ClientProxyConnectionError():
            return ProxyError(f"The proxy for {host} cannot be reached: {_reason(error.os_error)}.")
        case aiohttp.ClientConnectorDNSError() if error.host != name:
            return ProxyError(f"The proxy {error.host} cannot be found: {_reason(error.os_error)}.")
        case aiohttp.ClientConnectorDNSError():
            return UnreachableError(f"The host {host} cannot be found: {_reason(error.os_error)}.")
    return UnreachableError(f"There is no connection to {host}: {_reason(error.os_error)}.")


def _tls_error(error: OSError, host: str) -> DapError:
    """Return what a failed handshake means: a connection that was cut in it may well stand the next time."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return NetworkError(f"{host} closed the connection while it was being secured.")
    reason = cast(str | None, getattr(error, "reason", None)) or str(error)
    return TlsError(f"No secure connection to {host} came about: {excerpt(reason)}.")


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return excerpt(str(text))
