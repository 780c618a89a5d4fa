"""A session against a service in memory, on virtual time."""

import asyncio
import base64
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
from tests.support.replies import TABLES, error_reply, reply
from tests.support.virtual_time import VirtualClock

from dapkit import errors
from dapkit.client.http import HttpRequest, HttpResponse
from dapkit.client.session import Session, normalize_base_url
from dapkit.errors import DapError
from dapkit.model import Format, JobStatus, Query
from dapkit.protocol.budget import NO_RATE_LIMIT

T = TypeVar("T")
Reply = Any
Retries = list[tuple[DapError, float, str | None]]
Make = Callable[..., Session]
QUERY = Query(format=Format.JSONL)


class TestCalls:
    def test_a_complete_conversation(self, use: Any, service: Any) -> None:
        service.answers = [
            TABLES,
            reply(200, {"schema": {"title": "t"}, "version": 4}),
            reply(202, {"id": "j/1", "status": "waiting"}),
            reply(
                200,
                {"id": "j/1", "status": "complete", "objects": [{"id": "o"}], "schema_version": 4, "at": "2024-01-01"},
            ),
            reply(200, {"urls": {"o": {"url": "https://store.example/o?sig=1"}}}),
        ]

        async def work(session: Session) -> None:
            assert await session.tables("canvas") == ("a", "b")
            assert (await session.schema("canvas", "a")).version == 4
            assert (await session.submit("canvas", "a b", QUERY)).status is JobStatus.WAITING
            assert (await session.poll("j/1")).objects == ("o",)
            assert await session.sign(["o"]) == {"o": "https://store.example/o?sig=1"}
            assert await session.sign([]) == {}

        use(work)
        assert [(request.method, request.url) for request in service.requests] == [
            ("GET", "https://dap.example/dap/query/canvas/table"),
            ("GET", "https://dap.example/dap/query/canvas/table/a/schema"),
            ("POST", "https://dap.example/dap/query/canvas/table/a%20b/data"),
            ("GET", "https://dap.example/dap/job/j%2F1"),
            ("POST", "https://dap.example/dap/object/url"),
        ]
        assert service.requests[2].body == b'{"format":"jsonl"}'
        assert service.requests[2].headers["Content-Type"] == "application/json"
        for request in service.requests:
            assert request.headers["Authorization"] == "Bearer token-1"
            assert request.headers["Accept"] == "application/json"
            assert request.headers["User-Agent"].startswith("dapkit/")
        assert service.logins == 1
        assert service.closed

    def test_the_login(self, use: Any, service: Any) -> None:
        seen: list[HttpRequest] = []

        def login(request: HttpRequest) -> HttpResponse:
            seen.append(request)
            return reply(200, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "scope": ""})

        service.login = login
        use(lambda session: session.tables("canvas"))
        (request,) = seen
        assert (request.method, request.url) == ("POST", "https://dap.example/ids/auth/login")
        assert request.body == b"grant_type=client_credentials"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert (
            base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"us-east-1#abc:s3cr3t-value"
        )
        assert request.headers["User-Agent"].startswith("dapkit/")

    def test_only_queries_have_a_scope(self, use: Any, service: Any) -> None:
        service.answers = [TABLES, reply(202, {"id": "j", "status": "running"})]

        async def work(session: Session) -> None:
            await session.tables("canvas")
            await session.poll("j")

        use(work, scope="root account/1")
        assert service.requests[0].url.endswith("/table?scope=root%20account%2F1")
        assert "scope" not in service.requests[1].url

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_a_name_cannot_change_the_path(self, use: Any, name: str) -> None:
        with pytest.raises(errors.UsageError):
            use(lambda session: session.schema("canvas", name))

    def test_identity(self, make_session: Make) -> None:
        assert make_session(base_url=" HTTPS://DAP.Example:8443/x// ").identity == "https://dap.example:8443/x"
        assert make_session(identity="sandbox:").identity == "sandbox:"


@pytest.mark.parametrize(
    "url",
    ["", "dap.example", "ftp://dap.example", "https://", "https://dap example", "https://dap.example:x",
     "https://[::1", "https://dap.example/?a=SECRET", "https://dap.example/#x", "https://u:SECRET@dap.example",
     "https://dap.example/é", "http://a..b", "http://" + "a" * 64 + ".example"],
)  # fmt: skip
def test_an_invalid_base_url(url: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        normalize_base_url(url)
    assert "SECRET" not in caught.value.message


class TestTokens:
    def test_one_login_for_all(self, use: Any, service: Any) -> None:
        service.latency = 1.0

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.tables("canvas") for _ in range(10)))

        use(work, pace=NO_RATE_LIMIT)
        assert service.logins == 1

    def test_a_token_is_renewed_before_it_expires(self, use: Any, service: Any, clock: VirtualClock) -> None:
        async def work(session: Session) -> None:
            for _ in range(12):
                await session.tables("canvas")
                await clock.sleep(1000)

        use(work)
        shown = [request.headers["Authorization"].removeprefix("Bearer token-") for request in service.requests]
        assert shown == ["1", "1", "1", "1", "2", "2", "2", "2", "3", "3", "3", "3"]

    def test_a_rejected_token_is_renewed_once(self, use: Any, service: Any) -> None:
        service.answers = [error_reply(401, "AuthenticationError"), TABLES]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")
        assert service.logins == 2
        assert service.requests[1].headers["Authorization"] == "Bearer token-2"

    def test_a_rejected_new_token_is_an_error(self, use: Any, service: Any) -> None:
        service.handler = lambda _: error_reply(401, "AuthenticationError")
        with pytest.raises(errors.RejectedCredentialsError) as caught:
            use(lambda session: session.tables("canvas"))
        assert caught.value.uuid == "u-1"
        assert (len(service.requests), service.logins) == (2, 2)

    def test_a_token_rejected_many_times_is_renewed_once(self, use: Any, service: Any) -> None:
        service.latency = 1.0
        service.handler = lambda request: (
            error_reply(401) if request.headers["Authorization"] == "Bearer token-1" else TABLES
        )

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.tables("canvas") for _ in range(10)))

        use(work, pace=NO_RATE_LIMIT)
        assert service.logins == 2

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_rejected_login_is_not_repeated(self, use: Any, service: Any, status: int) -> None:
        service.login = lambda _: error_reply(status, "Forbidden")

        async def work(session: Session) -> list[BaseException]:
            return await asyncio.gather(session.submit("canvas", "a", QUERY), session.poll("j"), return_exceptions=True)  # type: ignore[return-value]  # all of them fail

        first, second = use(work)
        assert type(first) is type(second) is errors.RejectedCredentialsError
        assert (first.table, second.job_id) == ("a", "j")
        assert first is not second
        assert service.logins == 1
        assert not service.requests

    def test_a_login_is_retried_like_any_other_request(self, use: Any, service: Any, retries: Retries) -> None:
        replies: list[Reply] = [error_reply(503), error_reply(429, Retry_After="7"), reply(200, b"<html>")]
        service.login = lambda _: replies.pop(0) if replies else reply(200, {"access_token": "t"})
        assert use(lambda session: session.tables("canvas")) == ()
        assert [error.code for error, _, _ in retries] == ["server", "rate-limited", "unexpected-response"]

    def test_check_login(self, use: Any, service: Any, clock: VirtualClock) -> None:
        date = formatdate(clock.now() - 90, usegmt=True)
        service.login = lambda _: reply(200, {"access_token": "t", "expires_in": 3600}, Date=date)
        check = use(lambda session: session.check_login())
        assert check.skew == pytest.approx(90, abs=1)
        assert check.expires_at == clock.now() + 3600

    def test_without_a_date_the_clock_skew_is_unknown(self, use: Any) -> None:
        assert use(lambda session: session.check_login()).skew is None


class TestObjects:
    URL = "https://store.example/bucket/part-0?X-Amz-Signature=a%2Fb"

    def test_an_object_is_read_without_credentials(self, use: Any, service: Any) -> None:
        service.answers = [reply(200, b"data", ETag='"e"')]

        async def work(session: Session) -> bytes:
            async with session.open(self.URL) as stream:
                assert (stream.status, stream.headers["etag"]) == (200, '"e"')
                return b"".join([chunk async for chunk in stream.chunks()])

        assert use(work) == b"data"
        (request,) = service.requests
        assert (request.url, request.body) == (self.URL, None)
        assert set(request.headers) == {"User-Agent", "Accept", "Accept-Encoding"}
        assert service.logins == 0

    @pytest.mark.parametrize(
        ("offset", "etag", "expected"),
        [
            (0, '"e"', {}),
            (5, None, {"Range": "bytes=5-"}),
            (5, '"e"', {"Range": "bytes=5-", "If-Range": '"e"'}),
        ],
    )
    def test_reading_continues_from_a_byte(
        self, use: Any, service: Any, offset: int, etag: str | None, expected: dict[str, str]
    ) -> None:
        service.answers = [reply(302, b"", Location="/moved"), reply(206, b"rest")]

        async def work(session: Session) -> None:
            async with session.open(self.URL, offset=offset, etag=etag) as stream:
                assert stream.status == 206

        use(work)
        for request in service.requests:
            shown = {name: value for name, value in request.headers.items() if name in {"Range", "If-Range"}}
            assert shown == expected
        assert service.requests[1].url == "https://store.example/moved"

    @pytest.mark.parametrize("status", [200, 403, 404, 416, 500, 503])
    def test_the_caller_gets_the_status_of_the_store(self, use: Any, service: Any, status: int) -> None:
        service.answers = [reply(status, b"")]

        async def work(session: Session) -> int:
            async with session.open(self.URL) as stream:
                return stream.status

        assert use(work) == status
        assert len(service.requests) == 1

    @pytest.mark.parametrize(
        "location",
        ["http://store.example/x?SECRET", "ftp://store.example/x?SECRET", "file:///etc/passwd", "https://[bad",
         "https://user:SECRET@store.example/", "https://store.example/a b?SECRET", "https://store.example:port/"],
    )  # fmt: skip
    def test_redirects_that_are_not_allowed(self, use: Any, service: Any, location: str) -> None:
        service.answers = [reply(302, b"", Location=location)]

        async def work(session: Session) -> None:
            async with session.open(self.URL):
                pass

        with pytest.raises(errors.UnexpectedResponseError) as caught:
            use(work)
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 1

    def test_the_number_of_redirects_is_limited(self, use: Any, service: Any) -> None:
        service.handler = lambda _: reply(307, b"", Location="https://store.example/again?SECRET")

        async def work(session: Session) -> None:
            async with session.open(self.URL):
                pass

        with pytest.raises(errors.UnexpectedResponseError, match="Too many redirects") as caught:
            use(work)
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 6
