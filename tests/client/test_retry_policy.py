"""Retries of a session: outages, temporary failures, rate limits; in virtual time."""

import asyncio
import math
import random
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from tests.support.replies import TABLES, error_reply, reply
from tests.support.virtual_time import VirtualClock

from dapkit import errors
from dapkit.client.http import HttpRequest, HttpResponse
from dapkit.client.session import Session
from dapkit.errors import DapError
from dapkit.model import Format, Query
from dapkit.protocol.budget import NO_RATE_LIMIT, RateLimit

Reply = Any
Retries = list[tuple[DapError, float, str | None]]
Make = Callable[..., Session]
QUERY = Query(format=Format.JSONL)


class TestFailures:
    def test_an_outage_of_ten_minutes_is_survived(
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

    def test_an_endless_outage_fails_after_15_minutes(self, use: Any, service: Any, clock: VirtualClock) -> None:
        service.answers = [TABLES]
        service.handler = lambda _: error_reply(503)

        async def work(session: Session) -> None:
            await session.tables("canvas")
            await session.submit("canvas", "a", QUERY)

        with pytest.raises(errors.ServerError) as caught:
            use(work)
        assert caught.value.table == "a"
        assert 840 < clock.elapsed < 1050, "waiting for the rate limiter does not count"

    @pytest.mark.parametrize("error", [errors.UnreachableError, errors.ProxyError, errors.StalledError])
    def test_a_host_that_never_responds_fails_within_seconds(
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
            (error_reply(400), errors.RequestError),
            (error_reply(404), errors.TableNotFoundError),
            (reply(302, b"", Location="https://elsewhere.example/?t=SECRET"), errors.UnexpectedResponseError),
            (error_reply(500, "AccountDisabled"), errors.AccountDisabledError),
            (reply(200, {"id": "j", "status": "paused"}), errors.UnexpectedResponseError),
            (reply(200, {"id": "j", "status": "complete"}), errors.UnexpectedResponseError),
            (reply(204, b""), errors.UnexpectedResponseError),
        ],
    )
    def test_permanent_failures_are_not_retried(
        self, use: Any, service: Any, answer: Reply, expected: type[DapError]
    ) -> None:
        service.answers = [answer]
        with pytest.raises(expected) as caught:
            use(lambda session: session.submit("canvas", "a", QUERY))
        assert type(caught.value) is expected
        assert caught.value.table == "a"
        assert "SECRET" not in caught.value.message
        assert len(service.requests) == 1

    def test_an_html_page_from_the_start_fails_soon(self, use: Any, service: Any, clock: VirtualClock) -> None:
        service.login = lambda _: reply(200, b"<html>Please sign in</html>")
        with pytest.raises(errors.UnexpectedResponseError, match="is not JSON"):
            use(lambda session: session.tables("canvas"))
        assert service.logins == 3
        assert clock.elapsed < 5

    def test_an_html_page_between_good_responses_is_retried(self, use: Any, service: Any) -> None:
        service.answers = [
            reply(200, b"<html>"),
            errors.UnexpectedResponseError("without end"),
            reply(502, b"<html>"),
            TABLES,
        ]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")

    @pytest.mark.parametrize("status", [403, 404, 408])
    def test_an_error_of_a_proxy_is_retried(self, use: Any, service: Any, status: int) -> None:
        service.answers = [reply(status, b"<html>"), TABLES]
        assert use(lambda session: session.tables("canvas")) == ("a", "b")

    def test_a_permanent_error_page_fails_and_an_error_of_the_service_is_final(self, use: Any, service: Any) -> None:
        service.answers = [TABLES, *[reply(403, b"<html>Blocked</html>")] * 20]

        async def twice(session: Any) -> Any:
            await session.tables("canvas")
            return await session.tables("canvas")

        with pytest.raises(errors.UnexpectedResponseError, match="Blocked"):
            use(twice)
        assert 2 < len(service.requests) < 20
        service.answers = [error_reply(403)]
        asked = len(service.requests)
        with pytest.raises(errors.ForbiddenError):
            use(lambda session: session.tables("canvas"))
        assert len(service.requests) == asked + 1

    def test_the_listener_is_called_for_every_retry(self, use: Any, service: Any, retries: Retries) -> None:
        service.answers = [error_reply(500), errors.NetworkError("cut"), reply(202, {"id": "j", "status": "running"})]
        use(lambda session: session.submit("canvas", "a", QUERY))
        assert [(error.code, table, error.table) for error, _, table in retries] == [
            ("server", "a", "a"),
            ("network", "a", "a"),
        ]
        assert [0.25 <= pause <= 0.75 for _, pause, _ in retries] == [True, True]


class TestRateLimits:
    @pytest.mark.parametrize("as_date", [False, True])
    def test_a_429_is_respected(
        self, use: Any, service: Any, clock: VirtualClock, retries: Retries, as_date: bool
    ) -> None:
        # the service's clock is an hour behind ours, which must not matter
        theirs = clock.now() - 3600
        header = formatdate(theirs + 45, usegmt=True) if as_date else "45"
        service.answers = [error_reply(429, Retry_After=header, Date=formatdate(theirs, usegmt=True)), TABLES]
        use(lambda session: session.tables("canvas"))
        assert service.times == [0, pytest.approx(45, abs=0.5)]
        assert [error.code for error, _, _ in retries] == ["rate-limited"]

    def test_a_429_delays_the_other_requests_without_using_up_their_attempts(self, use: Any, service: Any) -> None:
        service.answers = [error_reply(429, Retry_After="100")]

        async def work(session: Session) -> None:
            await session.tables("canvas")
            await asyncio.gather(*(session.tables("canvas") for _ in range(3)))

        use(work, pace=NO_RATE_LIMIT)
        assert service.times[0] == 0
        assert min(service.times[1:]) == 100

    def test_any_pace_succeeds_against_a_service_that_enforces_budgets(self, use: Any, service: Any) -> None:
        """It allows five in a minute, as the real one; hundreds come at once."""
        admitted: list[float] = []

        def answer(_: HttpRequest) -> HttpResponse:
            now = service.clock.elapsed
            if len(recent := [time for time in admitted if now - time < 60]) >= 5:
                return error_reply(429, Retry_After=str(math.ceil(60 - (now - recent[-5]))))
            admitted.append(now)
            return reply(202, {"id": "j", "status": "running"})

        service.handler, service.latency = answer, 0.2

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.submit("canvas", f"t{number}", QUERY) for number in range(200)))

        use(work, pace=NO_RATE_LIMIT)
        assert len(admitted) == 200
        assert admitted[-1] < 40 * 62, "the service's own speed"
        assert len(service.requests) < 1000

    def test_random_429s_do_not_slow_a_run(self, use: Any, service: Any, clock: VirtualClock) -> None:
        dice = random.Random(1)
        answer = reply(202, {"id": "j", "status": "running"})
        service.handler = lambda _: error_reply(429, Retry_After="1") if dice.random() < 0.3 else answer
        service.latency = 0.05

        async def work(session: Session) -> None:
            await asyncio.gather(*(session.submit("canvas", f"t{number}", QUERY) for number in range(100)))

        use(work, pace=NO_RATE_LIMIT)
        assert clock.elapsed < 20

    def test_endless_429s_fail(self, use: Any, service: Any) -> None:
        service.handler = lambda _: error_reply(429, Retry_After="60")
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

    def test_resubmissions_wait_for_first_submissions(self, use: Any, service: Any) -> None:
        service.handler = lambda _: reply(202, {"id": "j", "status": "running"})

        async def work(session: Session) -> None:
            names = ("a", "again", "b", "c")
            await asyncio.gather(*(session.submit("canvas", name, QUERY, resubmit=name == "again") for name in names))

        use(work, pace=RateLimit(1))
        assert [request.url.split("/")[-2] for request in service.requests] == ["a", "b", "c", "again"]
