"""The transport against real sockets: plain, with TLS, through proxies, and with every kind of failure."""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from dapkit import errors
from dapkit.client import http
from dapkit.client.credentials import Credentials
from dapkit.client.http import AiohttpTransport, HttpRequest, Proxy, proxy_for
from dapkit.client.session import Session, SessionOptions
from dapkit.errors import DapError
from dapkit.model import Format, JobStatus, Query
from dapkit.protocol.budget import NO_RATE_LIMIT
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Any: thing\r\n\r\nhello"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@dataclass
class Received:
    """What a server was sent: the heads of requests."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def listening(talk: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server on a port of this machine; it is closed at the end."""
    talks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@asynccontextmanager
async def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Received]:
    """Run a server that reads the head of each request and then responds."""
    heard = Received()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await respond(reader, writer)

    async with listening(talk, tls) as heard.port:
        yield heard


def saying(content: bytes, *, then_silence: bool = False) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if then_silence:
            await reader.read()

    return respond


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def get(respond: Respond, path: str = "/x", **options: Any) -> Any:
    """Return the response that a transport gets from a server."""

    async def work() -> Any:
        async with serving(respond) as heard, transport(**options) as client:
            return await client.send(HttpRequest(method="GET", url=f"http://127.0.0.1:{heard.port}{path}"))

    return run(work())


@asynccontextmanager
async def transport(**options: Any) -> AsyncIterator[AiohttpTransport]:
    client = AiohttpTransport(**options)
    try:
        yield client
    finally:
        await client.close()


def failing(respond: Respond, expected: type[DapError], **options: Any) -> str:
    """Return the error message of a transport for this server."""
    with pytest.raises(expected) as caught:
        get(respond, path="/x?X-Amz-Signature=SECRET", **options)
    assert type(caught.value) is expected
    assert "SECRET" not in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


class TestResponses:
    def test_a_complete_response(self) -> None:
        answer = get(saying(OK))
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.headers["x-ANY"] == "thing"

    def test_a_request_is_sent_unchanged(self) -> None:
        async def work() -> bytes:
            async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                heard.heads[0] += await reader.readexactly(4)
                writer.write(OK)

            async with serving(respond) as heard, transport() as client:
                request = HttpRequest(
                    method="POST",
                    url=f"http://127.0.0.1:{heard.port}/a%2Fb%20c+d?sig=a%2Bb%3D&x=%7e",
                    headers={"Accept": "application/json", "User-Agent": "test", "Content-Type": "text/plain"},
                    body=b"body",
                )
                await client.send(request)
                return heard.heads[0]

        sent = run(work())
        assert sent.startswith(b"POST /a%2Fb%20c+d?sig=a%2Bb%3D&x=%7e HTTP/1.1\r\n")
        assert sent.endswith(b"\r\n\r\nbody")
        for line in (b"User-Agent: test", b"Accept: application/json", b"Content-Type: text/plain"):
            assert sent.count(line) == 1
        assert b"Cookie" not in sent
        assert b"Authorization" not in sent

    def test_bodies_are_not_decoded(self) -> None:
        packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
        assert get(saying(packed)).body == b"\x1f\x8b\x08\x00"

    def test_redirects_and_cookies_are_not_followed_or_kept(self) -> None:
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        answer = get(saying(moved))
        assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/")

    def test_a_signed_location_may_be_long(self) -> None:
        target = "https://store.example/?" + "s" * 20_000
        moved = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
        assert get(saying(moved)).headers["Location"] == target

    def test_a_netrc_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password SECRET\n")
        monkeypatch.setenv("NETRC", str(netrc))

        async def work() -> bytes:
            async with serving(saying(OK)) as heard, transport() as client:
                await client.send(HttpRequest(method="GET", url=f"http://127.0.0.1:{heard.port}/"))
                return heard.heads[0]

        assert b"Authorization" not in run(work())

    def test_a_body_longer_than_announced_is_cut_or_rejected(self) -> None:
        """Which of the two happens depends on how the network splits the data."""
        with contextlib.suppress(errors.NetworkError):
            assert get(saying(OK + b" and more" * 1000)).body == b"hello"

    def test_a_response_that_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "MAX_RESPONSE_SIZE", 100_000)

        async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
                await writer.drain()

        assert "is too long" in failing(endless, errors.UnexpectedResponseError)

    def test_a_slow_body_is_not_stalled(self) -> None:
        async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            for piece in (b"x",) * 10:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.15)  # far below the timeout even on a busy machine, but longer in all

        assert get(slow, read_timeout=1.0).body == b"x" * 10


class TestFailures:
    def test_a_truncated_body(self) -> None:
        message = failing(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello"), errors.NetworkError)
        assert "ended too early" in message

    def test_truncated_chunks(self) -> None:
        cut = saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert "ended too early" in failing(cut, errors.NetworkError)

    def test_a_body_that_stalls(self) -> None:
        stalled = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", then_silence=True)
        failing(stalled, errors.StalledError, read_timeout=0.1)

    def test_a_response_that_never_starts(self) -> None:
        failing(saying(b"", then_silence=True), errors.StalledError, read_timeout=0.1)

    def test_a_connection_closed_without_a_response(self) -> None:
        assert "without a response" in failing(saying(b""), errors.NetworkError)

    def test_a_response_that_is_not_http(self) -> None:
        assert "Invalid HTTP response" in failing(saying(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), errors.NetworkError)

    def test_a_closed_port(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/x?SECRET"
            with pytest.raises(errors.UnreachableError, match=r"Cannot connect to 127\.0\.0\.1") as caught:
                run(fetched(url))
        assert "SECRET" not in caught.value.message

    def test_a_host_that_is_not_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def not_found(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", not_found)
        with pytest.raises(errors.UnreachableError, match=r"host nowhere\.invalid:99 was not found"):
            run(fetched("http://nowhere.invalid:99/"))

    @pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
    def test_an_invalid_host_name(self, host: str) -> None:
        async def work() -> None:
            async with transport() as http:
                await http.send(HttpRequest(method="GET", url=f"http://{host}/x?sig=hidden", headers={}))

        with pytest.raises(errors.UnexpectedResponseError) as caught:
            asyncio.run(work())
        assert "hidden" not in caught.value.message

    def test_a_connection_that_times_out(self) -> None:
        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            await asyncio.Event().wait()

        async def work() -> None:
            async with listening(deaf) as port:
                await fetched(f"https://127.0.0.1:{port}/", connect_timeout=0.1)

        with pytest.raises(errors.UnreachableError, match="timed out"):
            run(work())

    def test_an_error_of_the_caller_is_not_a_network_error(self) -> None:
        async def work() -> None:
            async with serving(saying(OK)) as heard, transport() as client:
                request = HttpRequest(method="GET", url=f"http://127.0.0.1:{heard.port}/")
                async with client.stream(request) as stream:
                    assert stream.status == 200
                    raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            run(work())


async def fetched(url: str, **options: Any) -> bytes:
    async with transport(**options) as client:
        return (await client.send(HttpRequest(method="GET", url=url))).body


class TestTls:
    def reach(self, tls: ssl.SSLContext, *, host: str = "127.0.0.1", **options: Any) -> bytes:
        async def work() -> bytes:
            async with serving(saying(OK), tls) as heard:
                return await fetched(f"https://{host}:{heard.port}/x?SECRET", **options)

        body: bytes = run(work())
        return body

    def test_a_private_certificate_authority(self, authority: trustme.CA, ca_file: Path) -> None:
        assert self.reach(server_tls(authority, "127.0.0.1"), ca_file=ca_file) == b"hello"

    def test_a_certificate_authority_from_the_environment(
        self, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert self.reach(server_tls(authority, "127.0.0.1")) == b"hello"

    def test_an_untrusted_certificate_authority(self, authority: trustme.CA) -> None:
        with pytest.raises(errors.TlsError, match="not trusted") as caught:
            self.reach(server_tls(authority, "127.0.0.1"))
        assert "--ca-file" in caught.value.hint
        assert "SECRET" not in caught.value.message

    def test_a_certificate_of_another_host(self, authority: trustme.CA, ca_file: Path) -> None:
        with pytest.raises(errors.TlsError, match="not trusted"):
            self.reach(server_tls(authority, "other.example"), ca_file=ca_file)

    def test_a_port_that_does_not_speak_tls(self) -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async def work() -> bytes:
            async with listening(plain) as port:
                return await fetched(f"https://127.0.0.1:{port}/")

        with pytest.raises(errors.TlsError, match=r"TLS connection to .* failed"):
            run(work())

    def test_a_broken_handshake_is_retryable(self) -> None:
        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)

        async def work() -> bytes:
            async with listening(cut) as port:
                return await fetched(f"https://127.0.0.1:{port}/")

        with pytest.raises(errors.NetworkError) as caught:
            run(work())
        assert caught.value.retryable

    @pytest.mark.parametrize("content", [None, b"no certificate", b""])
    def test_an_invalid_ca_file(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(errors.UsageError, match=r"ca\.pem") as caught:
            AiohttpTransport(ca_file=path)
        assert "--ca-file" in caught.value.hint


class TestProxyFor:
    @pytest.mark.parametrize(
        ("environ", "url", "expected"),
        [
            ({}, "https://a.example/", None),
            ({"https_proxy": "http://proxy:3128"}, "https://a.example/", "http://proxy:3128"),
            ({"https_proxy": "proxy:3128"}, "https://a.example/", "http://proxy:3128"),
            ({"HTTPS_PROXY": "http://[::1]:3128/"}, "https://a.example/", "http://[::1]:3128"),
            ({"https_proxy": "http://proxy"}, "http://a.example/", None),
            ({"http_proxy": "http://proxy"}, "http://a.example/", "http://proxy"),
            ({"all_proxy": "http://proxy"}, "https://a.example/", "http://proxy"),
            ({"https_proxy": "http://proxy", "no_proxy": "a.example"}, "https://a.example:8443/", None),
            ({"https_proxy": "http://proxy", "NO_PROXY": ".example"}, "https://a.example/", None),
            ({"https_proxy": "http://proxy", "no_proxy": "b.example"}, "https://a.example/", "http://proxy"),
            ({"https_proxy": "http://proxy", "no_proxy": "*"}, "https://a.example/", None),
            ({"http_proxy": "http://proxy"}, "http://127.0.0.1:5000/", None),
            ({"http_proxy": "http://proxy"}, "http://localhost:5000/", None),
            ({"http_proxy": "http://proxy"}, "http://[::1]:5000/", None),
        ],
    )
    def test_the_proxy_from_the_environment(
        self, environ: dict[str, str], url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert proxy_for(url) == (None if expected is None else Proxy(expected, None))

    def test_a_proxy_with_authentication(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "http://me:p%40ss@proxy:3128")
        proxy = proxy_for("https://a.example/")
        assert proxy is not None
        assert proxy.url == "http://proxy:3128"
        assert proxy.headers == {"Proxy-Authorization": "Basic " + base64.b64encode(b"me:p@ss").decode()}

    @pytest.mark.parametrize("address", ["socks5://u:SECRET@proxy:1080", "http://u:SECRET@proxy:x", "http://"])
    def test_an_invalid_proxy(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", address)
        with pytest.raises(errors.ProxyError) as caught:
            proxy_for("https://a.example/")
        assert "SECRET" not in caught.value.message


@asynccontextmanager
async def connect_proxy(upstream: int, *, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> AsyncIterator[Received]:
    """Run a CONNECT proxy that connects every host to one port of this machine."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                target.write(chunk)
                await target.drain()
        finally:
            target.close()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if b" 200 " in answer:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        elif not answer:
            await reader.read()

    async with serving(respond) as heard:
        yield heard


class TestProxies:
    def through(
        self,
        authority: trustme.CA,
        monkeypatch: pytest.MonkeyPatch,
        *,
        user: str = "",
        answer: bytes | None = None,
        **options: Any,
    ) -> tuple[bytes, Received, Received]:
        async def work() -> tuple[bytes, Received, Received]:
            async with serving(saying(OK), server_tls(authority, "dap.test")) as heard:
                more = {} if answer is None else {"answer": answer}
                async with connect_proxy(heard.port, **more) as proxy:
                    monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
                    return await fetched("https://dap.test/x?SECRET", **options), heard, proxy

        outcome: tuple[bytes, Received, Received] = run(work())
        return outcome

    def test_tls_through_a_tunnel(self, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        body, server, proxy = self.through(authority, monkeypatch, ca_file=ca_file, user="me:pw@")
        assert body == b"hello"
        assert proxy.heads[0].startswith(b"CONNECT dap.test:443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6cHc=" in proxy.heads[0]
        assert b"SECRET" not in proxy.heads[0]
        assert b"Proxy-Authorization" not in server.heads[0]

    def test_certificates_are_verified_through_a_tunnel(
        self, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(errors.TlsError, match=r"dap\.test is not trusted"):
            self.through(authority, monkeypatch)

    @pytest.mark.parametrize("status", [403, 407, 502])
    def test_a_proxy_that_rejects_the_connection(
        self, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        rejection = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
        with pytest.raises(errors.ProxyError, match=f"HTTP {status}") as caught:
            self.through(authority, monkeypatch, answer=rejection, user="me:SECRET@")
        assert "SECRET" not in caught.value.message

    def test_a_proxy_that_does_not_respond(self, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(errors.NetworkError):
            self.through(authority, monkeypatch, answer=b"", connect_timeout=0.1)

    def test_an_unreachable_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:SECRET@127.0.0.1:{unused.getsockname()[1]}")
            with pytest.raises(errors.ProxyError, match="cannot be reached") as caught:
                run(fetched("https://dap.test/"))
        assert "SECRET" not in caught.value.message

    def test_a_proxy_that_is_not_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def not_found(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
        monkeypatch.setattr(socket, "getaddrinfo", not_found)
        with pytest.raises(errors.ProxyError, match=r"proxy proxy\.invalid was not found"):
            run(fetched("https://dap.test/"))


def test_a_session_with_the_sandbox() -> None:
    async def work() -> None:
        async with Sandbox(SandboxOptions(job_seconds=0.0)) as sandbox:
            options = SessionOptions(
                base_url=sandbox.base_url,
                credentials=Credentials("sandbox#client", "sandbox-secret"),
                pace=NO_RATE_LIMIT,
            )
            async with Session(options) as session:
                assert abs((await session.check_login()).skew or 0) < 2
                table = (await session.tables("canvas"))[0]
                assert (await session.schema("canvas", table)).version >= 1
                job = await session.submit("canvas", table, Query(format=Format.JSONL))
                while not job.status.terminal:
                    job = await session.poll(job.id)
                assert job.status is JobStatus.COMPLETE
                for url in (await session.sign(job.objects)).values():
                    async with session.open(url) as stream:
                        assert stream.status == 200
                        body = b"".join([chunk async for chunk in stream.chunks()])
                    async with session.open(url, offset=5, etag=stream.headers["ETag"]) as stream:
                        assert stream.status == 206
                        assert b"".join([chunk async for chunk in stream.chunks()]) == body[5:]
                with pytest.raises(errors.TableNotFoundError):
                    await session.submit("canvas", "no_such_table", Query(format=Format.JSONL))

    run(work())
