"""A session against a service in memory, on virtual time."""

import asyncio
import base64
import json
import logging
import math
import random
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit import errors
from dapkit.client.http import HttpAnswer, HttpRequest
from dapkit.client.session import Session, normal_base_url
from dapkit.errors import DapError
from dapkit.model import Format, JobStatus, Query
from dapkit.protocol.budget import NO_PACE, Pace

T = TypeVar("T")
Reply = Any
Retries = list[tuple[DapError, float, str | None]]
Make = Callable[..., Session]
QUERY = Query(format=Format.JSONL)


def reply(status: int = 200, content: object = None, **headers: str) -> HttpAnswer:
    """Return an answer; `Retry_After` and the like become headers, bytes are a body as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(
        status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


def refusal(status: int, type_: str = "Some", **headers: str) -> HttpAnswer:
    return reply(status, {"error": {"type": type_, "uuid": "u-1", "message": "no"}}, **headers)


TABLES = reply(200, {"tables": ["a", "b"]})


@pytest.fixture
def use(make_session: Make, clock: VirtualClock) -> Callable[..., Any]:
    """Run something with a session, to its end."""

    def run(work: Callable[[Session], Awaitable[T]], **options: Any) -> T:
        async def whole() -> T:
            async with make_session(**options) as session:
                return await work(session)

        return run_virtually(whole(), clock)

    return run


class TestCalls:
    def test_a_whole_conversation(self, use: Any, service: Any) -> None:
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

        def login(request: HttpRequest) -> HttpAnswer:
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

    def test_a_scope_goes_with_queries_only(self, use: Any, service: Any) -> None:
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
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        normal_base_url(url)
    assert "SECRET" not in caught.value.message


class TestTokens:
    def test_one_login_for_all(self, use: Any, service: Any) -> None:
        service.latency = 1.0

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.tables("canvas") for _ in range(10)))

        use(work, pace=NO_PACE)
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
        service.answers = [refusal(401, "AuthenticationError"), TABLES]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")
        assert service.logins == 2
        assert service.requests[1].headers["Authorization"] == "Bearer token-2"

    def test_a_fresh_token_that_is_rejected_ends_it(self, use: Any, service: Any) -> None:
        service.handler = lambda _: refusal(401, "AuthenticationError")
        with pytest.raises(errors.RejectedCredentialsError) as caught:
            use(lambda session: session.tables("canvas"))
        assert caught.value.uuid == "u-1"
        assert (len(service.requests), service.logins) == (2, 2)

    def test_many_rejections_of_one_token_renew_it_once(self, use: Any, service: Any) -> None:
        service.latency = 1.0
        service.handler = lambda request: (
            refusal(401) if request.headers["Authorization"] == "Bearer token-1" else TABLES
        )

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.tables("canvas") for _ in range(10)))

        use(work, pace=NO_PACE)
        assert service.logins == 2

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_refused_login_is_not_repeated(self, use: Any, service: Any, status: int) -> None:
        service.login = lambda _: refusal(status, "Forbidden")

        async def work(session: Session) -> list[BaseException]:
            return await asyncio.gather(session.submit("canvas", "a", QUERY), session.poll("j"), return_exceptions=True)  # type: ignore[return-value]  # all of them fail

        first, second = use(work)
        assert type(first) is type(second) is errors.RejectedCredentialsError
        assert (first.table, second.job_id) == ("a", "j")
        assert first is not second
        assert service.logins == 1
        assert not service.requests

    def test_a_login_is_retried_like_any_other_request(self, use: Any, service: Any, retries: Retries) -> None:
        replies: list[Reply] = [refusal(503), refusal(429, Retry_After="7"), reply(200, b"<html>")]
        service.login = lambda _: replies.pop(0) if replies else reply(200, {"access_token": "t"})
        assert use(lambda session: session.tables("canvas")) == ()
        assert [error.code for error, _, _ in retries] == ["server", "rate-limited", "unexpected-answer"]

    def test_what_a_login_shows(self, use: Any, service: Any, clock: VirtualClock) -> None:
        date = formatdate(clock.now() - 90, usegmt=True)
        service.login = lambda _: reply(200, {"access_token": "t", "expires_in": 3600}, Date=date)
        check = use(lambda session: session.check_login())
        assert check.skew == pytest.approx(90, abs=1)
        assert check.expires_at == clock.now() + 3600

    def test_without_a_date_nothing_is_said_of_the_clock(self, use: Any) -> None:
        assert use(lambda session: session.check_login()).skew is None


class TestPatience:
    def test_a_night_s_outage_of_ten_minutes_is_survived(
        self, use: Any, service: Any, clock: VirtualClock, retries: Retries
    ) -> None:
        down_from, down_until = clock.now() + 100, clock.now() + 700

        def handler(_: HttpRequest) -> Reply:
            return errors.UnreachableError("down") if down_from <= clock.now() < down_until else TABLES

        service.handler = handler

        async def work(session: Session) -> None:
            for _ in range(3):
                await session.tables("canvas")
                await clock.sleep(100)

        use(work)
        assert retries
        assert all(pause <= 60 for _, pause, _ in retries)

    def test_an_outage_without_end_ends_after_a_quarter_of_an_hour(
        self, use: Any, service: Any, clock: VirtualClock
    ) -> None:
        service.answers = [TABLES]
        service.handler = lambda _: refusal(503)

        async def work(session: Session) -> None:
            await session.tables("canvas")
            await session.submit("canvas", "a", QUERY)

        with pytest.raises(errors.ServerError) as caught:
            use(work)
        assert caught.value.table == "a"
        assert 840 < clock.elapsed < 1050, "waiting for the pace is not counted"

    @pytest.mark.parametrize("error", [errors.UnreachableError, errors.ProxyError, errors.StalledError])
    def test_a_host_that_never_answers_fails_within_seconds(
        self, use: Any, service: Any, clock: VirtualClock, error: type[DapError]
    ) -> None:
        service.login = lambda _: error("no way")
        with pytest.raises(error):
            use(lambda session: session.tables("canvas"))
        assert service.logins == 3
        assert clock.elapsed < 5

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (errors.TlsError("not trusted"), errors.TlsError),
            (refusal(400), errors.RequestError),
            (refusal(404), errors.TableNotFoundError),
            (reply(302, b"", Location="https://elsewhere.example/?t=SECRET"), errors.UnexpectedAnswerError),
            (refusal(500, "AccountDisabled"), errors.AccountDisabledError),
            (reply(200, {"id": "j", "status": "paused"}), errors.UnexpectedAnswerError),
            (reply(200, {"id": "j", "status": "complete"}), errors.UnexpectedAnswerError),
            (reply(204, b""), errors.UnexpectedAnswerError),
        ],
    )
    def test_what_will_not_pass_is_asked_once(
        self, use: Any, service: Any, answer: Reply, expected: type[DapError]
    ) -> None:
        service.answers = [answer]
        with pytest.raises(expected) as caught:
            use(lambda session: session.submit("canvas", "a", QUERY))
        assert type(caught.value) is expected
        assert caught.value.table == "a"
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 1

    def test_a_page_in_place_of_messages_fails_soon_and_is_named(
        self, use: Any, service: Any, clock: VirtualClock
    ) -> None:
        service.login = lambda _: reply(200, b"<html>Please sign in</html>")
        with pytest.raises(errors.UnexpectedAnswerError, match="is not JSON"):
            use(lambda session: session.tables("canvas"))
        assert service.logins == 3
        assert clock.elapsed < 5

    def test_a_page_among_messages_passes(self, use: Any, service: Any) -> None:
        service.answers = [
            reply(200, b"<html>"),
            errors.UnexpectedAnswerError("without end"),
            reply(502, b"<html>"),
            TABLES,
        ]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")

    @pytest.mark.parametrize("status", [403, 404, 408])
    def test_a_refusal_that_others_speak_passes(self, use: Any, service: Any, status: int) -> None:
        service.answers = [reply(status, b"<html>"), TABLES]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")

    def test_a_page_that_stays_is_named_and_what_the_service_says_itself_is_final(self, use: Any, service: Any) -> None:
        service.answers = [TABLES, *[reply(403, b"<html>Blocked</html>")] * 20]

        async def twice(session: Any) -> Any:
            await session.tables("canvas")
            return await session.tables("canvas")

        with pytest.raises(errors.UnexpectedAnswerError, match="Blocked"):
            use(twice)
        assert 2 < len(service.requests) < 20
        service.answers = [refusal(403)]
        asked = len(service.requests)
        with pytest.raises(errors.ForbiddenError):
            use(lambda session: session.tables("canvas"))
        assert len(service.requests) == asked + 1

    def test_who_listens_hears_of_every_repetition(self, use: Any, service: Any, retries: Retries) -> None:
        service.answers = [refusal(500), errors.NetworkError("cut"), reply(202, {"id": "j", "status": "running"})]
        use(lambda session: session.submit("canvas", "a", QUERY))
        assert [(error.code, table, error.table) for error, _, table in retries] == [
            ("server", "a", "a"),
            ("network", "a", "a"),
        ]
        assert [0.25 <= pause <= 0.75 for _, pause, _ in retries] == [True, True]


class TestRateLimits:
    @pytest.mark.parametrize("as_date", [False, True])
    def test_a_429_is_obeyed(
        self, use: Any, service: Any, clock: VirtualClock, retries: Retries, as_date: bool
    ) -> None:
        # the service's clock is an hour behind ours, which must not matter
        theirs = clock.now() - 3600
        header = formatdate(theirs + 45, usegmt=True) if as_date else "45"
        service.answers = [refusal(429, Retry_After=header, Date=formatdate(theirs, usegmt=True)), TABLES]
        use(lambda session: session.tables("canvas"))
        assert service.times == [0, pytest.approx(45, abs=0.5)]
        assert [error.code for error, _, _ in retries] == ["rate-limited"]

    def test_a_429_holds_the_others_too_and_costs_them_nothing(self, use: Any, service: Any) -> None:
        service.answers = [refusal(429, Retry_After="100")]

        async def work(session: Session) -> None:
            await session.tables("canvas")
            await asyncio.gather(*(session.tables("canvas") for _ in range(3)))

        use(work, pace=NO_PACE)
        assert service.times[0] == 0
        assert min(service.times[1:]) == 100

    def test_a_service_that_keeps_budgets_is_got_along_with_at_any_pace(self, use: Any, service: Any) -> None:
        """It allows five in a minute, as the real one; hundreds come at once."""
        admitted: list[float] = []

        def answer(_: HttpRequest) -> HttpAnswer:
            now = service.clock.elapsed
            if len(recent := [time for time in admitted if now - time < 60]) >= 5:
                return refusal(429, Retry_After=str(math.ceil(60 - (now - recent[-5]))))
            admitted.append(now)
            return reply(202, {"id": "j", "status": "running"})

        service.handler, service.latency = answer, 0.2

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.submit("canvas", f"t{number}", QUERY) for number in range(200)))

        use(work, pace=NO_PACE)
        assert len(admitted) == 200
        assert admitted[-1] < 40 * 62, "the service's own speed"
        assert len(service.requests) < 1000

    def test_refusals_at_random_do_not_slow_a_run(self, use: Any, service: Any, clock: VirtualClock) -> None:
        dice = random.Random(1)
        answer = reply(202, {"id": "j", "status": "running"})
        service.handler = lambda _: refusal(429, Retry_After="1") if dice.random() < 0.3 else answer
        service.latency = 0.05

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.submit("canvas", f"t{number}", QUERY) for number in range(100)))

        use(work, pace=NO_PACE)
        assert clock.elapsed < 20

    def test_a_service_that_never_stops_refusing(self, use: Any, service: Any) -> None:
        service.handler = lambda _: refusal(429, Retry_After="60")
        with pytest.raises(errors.RateLimitedError):
            use(lambda session: session.submit("canvas", "a", QUERY))
        assert len(service.requests) == 30

    def test_the_published_budgets_are_kept_from_the_first_request(
        self, use: Any, service: Any, tmp_path: Path
    ) -> None:
        service.latency = 0.5
        service.handler = lambda _: reply(202, {"id": "j", "status": "running"})

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.submit("canvas", f"t{number}", QUERY) for number in range(23)))

        use(work, state_folder=tmp_path)
        moments = sorted(service.times)
        assert all(later - earlier > 60 for earlier, later in zip(moments, moments[5:], strict=False))
        assert moments[-1] < 4 * 62

    def test_repeated_submissions_wait_behind_first_ones(self, use: Any, service: Any) -> None:
        service.handler = lambda _: reply(202, {"id": "j", "status": "running"})

        async def work(session: Session) -> None:
            names = ("a", "again", "b", "c")
            await asyncio.gather(*(session.submit("canvas", name, QUERY, again=name == "again") for name in names))

        use(work, pace=Pace(1))
        assert [request.url.split("/")[-2] for request in service.requests] == ["a", "b", "c", "again"]


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
    def test_reading_goes_on_from_a_byte(
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
    def test_the_caller_sees_what_the_store_says(self, use: Any, service: Any, status: int) -> None:
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
    def test_where_no_redirect_may_lead(self, use: Any, service: Any, location: str) -> None:
        service.answers = [reply(302, b"", Location=location)]

        async def work(session: Session) -> None:
            async with session.open(self.URL):
                pass

        with pytest.raises(errors.UnexpectedAnswerError) as caught:
            use(work)
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 1

    def test_redirects_come_to_an_end(self, use: Any, service: Any) -> None:
        service.handler = lambda _: reply(307, b"", Location="https://store.example/again?SECRET")

        async def work(session: Session) -> None:
            async with session.open(self.URL):
                pass

        with pytest.raises(errors.UnexpectedAnswerError, match="without end") as caught:
            use(work)
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 6


def test_no_secret_reaches_a_log_or_an_error(
    use: Any,
    service: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    retries: Retries,
) -> None:
    """Even when the service echoes them."""
    echo = (
        b"s3cr3t-value was sent with Bearer token-1 and Basic dXMtZWFzdC0xI2FiYzpzM2NyM3QtdmFsdWU= for https://s/?sig=x"
    )
    # a command that ran before in this process may have taken the logger over
    monkeypatch.setattr(logging.getLogger("dapkit"), "propagate", True)
    caplog.set_level(logging.DEBUG, logger="dapkit")
    service.login = lambda _: reply(200, {"access_token": "token-very-secret", "expires_in": 3600})
    service.answers = [reply(500, echo), reply(200, echo), reply(400, {"error": {"message": echo.decode()}})]
    with pytest.raises(errors.RequestError) as caught:
        use(lambda session: session.tables("canvas"))
    said = caplog.text + str(caught.value.as_dict()) + str([error.as_dict() for error, _, _ in retries])
    assert "failed" in caplog.text
    for secret in ("token-very-secret", "token-1", "dXMtZWFzdC0x", "s3cr3t-value", "sig=x"):
        assert secret not in said


@pytest.mark.parametrize("echo", ["s3cr3t-value", "token-very-secret", "dXMtZWFzdC0xI2FiYzpzM2NyM3QtdmFsdWU="])
def test_a_failed_job_does_not_echo_a_secret(echo: str, use: Any, service: Any) -> None:
    error = {"type": f"Odd\x1b[2J {echo}", "uuid": f"u {echo}\x07", "message": f"because {echo} is bad"}
    cut = {"type": "Odd", "message": "x" * (499 - len(echo) // 2) + echo}
    service.login = lambda _: reply(200, {"access_token": "token-very-secret", "expires_in": 3600})
    service.answers = [
        reply(202, {"id": "j", "status": "failed", "error": error}),
        reply(200, {"id": "j", "status": "failed", "error": error}),
        reply(200, {"id": "j", "status": "failed", "error": cut}),
    ]

    async def work(session: Session) -> None:
        for job in (await session.submit("canvas", "a", QUERY), await session.poll("j")):
            assert job.failure is not None
            assert echo not in str(job.failure)
            assert job.failure.type.isprintable()
            assert job.failure.type.startswith("Odd")
            assert (job.failure.uuid or "").isprintable()
            assert job.failure.message == "because [hidden] is bad"
        shortened = (await session.poll("j")).failure
        assert shortened is not None
        assert echo[:5] not in shortened.message

    use(work)


def test_an_error_s_uuid_does_not_echo_a_secret(use: Any, service: Any) -> None:
    service.answers = [reply(400, {"error": {"type": "x", "message": "no", "uuid": "s3cr3t-value"}})]
    with pytest.raises(errors.RequestError) as caught:
        use(lambda session: session.tables("canvas"))
    assert caught.value.uuid == "[hidden]"
