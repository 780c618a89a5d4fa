"""HTTP: requests and responses as values. The only module that imports the HTTP library.

A transport sends a request as it is: it follows no redirects, stores no cookies, reads no netrc, does not decompress,
and does not re-encode URLs. Proxies come from the environment, except for addresses of this machine. A response may
take any length of time; only the time without any data is limited.
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
from dapkit.protocol.redaction import display_url, excerpt
from dapkit.protocol.secrets import Address, without_traceback

if TYPE_CHECKING:
    import aiohttp

MAX_RESPONSE_SIZE: Final = 64 * 1024 * 1024
"""Bytes; `send` rejects a longer response."""

_READ_BUFFER: Final = 256 * 1024
_MAX_HEADER_SIZE: Final = 64 * 1024
_KEEP_ALIVE: Final = 30.0  # seconds; below the usual idle timeouts of load balancers
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it is sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", Address(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A complete response. Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpStream(Protocol):
    """A response whose body has not been read yet. Header names are case-insensitive."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises NetworkError if the connection breaks, StalledError if it stalls."""


class Transport(Protocol):
    """Sends requests. Raises NetworkError or a subclass if there is no complete response."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the complete response. Raises UnexpectedResponseError if it is too long."""

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Return the response before its body is read. Leaving the context discards the rest."""

    async def close(self) -> None:
        """Close all connections."""


class _AiohttpStream:
    """An `HttpStream` over a response of aiohttp."""

    def __init__(self, response: "aiohttp.ClientResponse", url: str) -> None:
        self._response = response
        self._url = url
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the data in the chunks in which the network delivers it."""
        content = self._response.content
        while True:
            with _translate_errors(self._url):
                chunk = await content.readany()
            if not chunk:
                return
            yield chunk


class AiohttpTransport:
    """A transport that uses aiohttp and imports it with the first request.

    Args:
        ca_file: certificates (PEM) to trust in addition to the system's.
        read_timeout: seconds without data before a response counts as stalled.
        connect_timeout: seconds to establish a connection, including TLS.
    """

    def __init__(
        self, *, ca_file: Path | None = None, read_timeout: float = 60.0, connect_timeout: float = 30.0
    ) -> None:
        self._tls: ssl.SSLContext | bool = tls_context(ca_file) if ca_file is not None else True
        self._read_timeout = read_timeout
        self._connect_timeout = connect_timeout
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the complete response."""
        body = bytearray()
        async with self.stream(request) as stream:
            async for chunk in stream.chunks():
                body += chunk
                if len(body) > MAX_RESPONSE_SIZE:
                    raise UnexpectedResponseError(f"The response from {display_url(request.url)} is too long")
            return HttpResponse(status=stream.status, headers=stream.headers, body=bytes(body))

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        """Return the response before its body is read."""
        from yarl import URL  # noqa: PLC0415 -- imports aiohttp, which takes 0.3 s

        session = self._open_session()
        proxy = proxy_for(request.url)
        with _translate_errors(request.url):
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
        """Close all connections."""
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
            import aiohttp  # noqa: PLC0415 -- takes 0.3 s, which `--help` should not wait for

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0, keepalive_timeout=_KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    # The only timeout that aiohttp applies to a proxy's response to CONNECT, on top of the TCP
                    # connection, so it has to be longer than `sock_connect`.
                    connect=2 * self._connect_timeout,
                    sock_connect=self._connect_timeout,
                    sock_read=self._read_timeout,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                max_line_size=_MAX_HEADER_SIZE,
                max_field_size=_MAX_HEADER_SIZE,
            )
        return self._session


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the headers to send to it."""

    url: str
    headers: Mapping[str, str] | None = field(repr=False)


@without_traceback
def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL from the environment or the system's settings.

    Raises:
        ProxyError: the configured proxy has an invalid address.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # A proxy cannot reach the sandbox on this machine, and NO_PROXY often does not list localhost.
    if host in _LOCAL_HOSTS:
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
        raise ProxyError(f"Invalid proxy address {display_url(address)!r}")
    name = f"[{proxy.hostname}]" if ":" in proxy.hostname else proxy.hostname
    headers = None
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers = {"Proxy-Authorization": f"Basic {base64.b64encode(user).decode()}"}
    return Proxy(f"{proxy.scheme}://{name}" + (f":{port}" if port is not None else ""), headers)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates (or SSL_CERT_FILE) and those in the given file.

    Raises:
        UsageError: the file cannot be read or contains no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            reason = "no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(f"Cannot read certificates from {ca_file}: {reason}", hint="Check --ca-file.") from error
    return context


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Translate the exceptions of the HTTP library into our errors."""
    try:
        yield
    except Exception as error:
        import aiohttp  # noqa: PLC0415 -- loaded by now

        if isinstance(error, aiohttp.ClientError | OSError | UnicodeError):
            raise _translated(error, url) from None
        raise


def _translated(error: Exception, url: str) -> DapError:
    """Return an exception of the library as our error. The most specific classes come first."""
    import aiohttp  # noqa: PLC0415 -- loaded by now

    host = urlsplit(url).netloc.rpartition("@")[2]
    match error:
        case aiohttp.ClientHttpProxyError():
            return ProxyError(
                f"The proxy rejected the connection to {host}: HTTP {error.status} {excerpt(error.message)}"
            )
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            return _connection_error(error, host, urlsplit(url).hostname)
        case aiohttp.ConnectionTimeoutError():
            return UnreachableError(f"Connecting to {host} timed out")
        case TimeoutError():
            return StalledError(f"{host} stopped sending data")
        case aiohttp.ClientPayloadError():
            return NetworkError(f"The response from {host} ended too early")
        case aiohttp.ServerDisconnectedError():
            return NetworkError(f"{host} closed the connection without a response")
        case aiohttp.InvalidURL() | UnicodeError():  # the latter for an invalid host name
            return UnexpectedResponseError(f"Invalid URL: {display_url(url)!r}")
        case aiohttp.ClientResponseError():
            # Also raised for what follows a body that is longer than its Content-Length.
            return NetworkError(f"Invalid HTTP response from {host}: {excerpt(error.message)}")
    return NetworkError(f"The connection to {host} failed: {_reason(error)}")


def _connection_error(
    error: "aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError", host: str, name: str | None
) -> DapError:
    """Return why no connection could be made; the proxy may be the cause."""
    import aiohttp  # noqa: PLC0415 -- loaded by now

    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return TlsError(f"The certificate of {error.host} is not trusted: {excerpt(reason)}")
        case aiohttp.ClientSSLError():
            return _tls_error(error.os_error, error.host)
        case aiohttp.ClientProxyConnectionError():
            return ProxyError(f"The proxy for {host} cannot be reached: {_reason(error.os_error)}")
        case aiohttp.ClientConnectorDNSError() if error.host != name:
            return ProxyError(f"The proxy {error.host} was not found: {_reason(error.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            return UnreachableError(f"The host {host} was not found: {_reason(error.os_error)}")
    return UnreachableError(f"Cannot connect to {host}: {_reason(error.os_error)}")


def _tls_error(error: OSError, host: str) -> DapError:
    # A connection that was cut during the handshake may succeed next time; a rejected certificate will not.
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return NetworkError(f"{host} closed the connection during the TLS handshake")
    reason = cast(str | None, getattr(error, "reason", None)) or str(error)
    return TlsError(f"The TLS connection to {host} failed: {excerpt(reason)}")


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return excerpt(str(text))
