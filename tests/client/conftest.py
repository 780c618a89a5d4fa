"""A service that is a function, on virtual time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from multidict import CIMultiDict
from tests.support.replies import reply
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.credentials import Credentials
from dapkit.client.http import HttpRequest, HttpResponse, HttpStream
from dapkit.client.session import Session, SessionOptions
from dapkit.errors import DapError

T = TypeVar("T")
Reply = HttpResponse | DapError
Handler = Callable[[HttpRequest], Reply]


@dataclass
class FakeStream:
    status: int
    headers: CIMultiDict[str]
    body: bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class FakeService:
    """A transport with prepared answers. `answers` are used up first, then `handler` answers.

    Each login is answered with a new token, unless `login` says otherwise.
    """

    clock: VirtualClock
    handler: Handler = lambda request: reply(200, {"tables": []})
    answers: list[Reply] = field(default_factory=list)
    login: Handler | None = None
    latency: float = 0.0
    requests: list[HttpRequest] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    logins: int = 0
    closed: bool = False

    async def send(self, request: HttpRequest) -> HttpResponse:
        if self.latency:
            await self.clock.sleep(self.latency)
        if request.url.endswith("/ids/auth/login"):
            self.logins += 1
            if self.login is None:
                return reply(200, {"access_token": f"token-{self.logins}", "expires_in": 3600})
            return self._given(self.login(request))
        self.requests.append(request)
        self.times.append(self.clock.elapsed)
        return self._given(self.answers.pop(0) if self.answers else self.handler(request))

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        answer = await self.send(request)
        yield FakeStream(answer.status, CIMultiDict(answer.headers), answer.body)

    async def close(self) -> None:
        self.closed = True

    @staticmethod
    def _given(answer: Reply) -> HttpResponse:
        if isinstance(answer, DapError):
            raise answer
        return answer


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def service(clock: VirtualClock) -> FakeService:
    return FakeService(clock)


@pytest.fixture
def retries() -> list[tuple[DapError, float, str | None]]:
    return []


@pytest.fixture
def make_session(
    clock: VirtualClock, service: FakeService, retries: list[tuple[DapError, float, str | None]]
) -> Callable[..., Session]:
    def make(**options: Any) -> Session:
        options.setdefault("base_url", "https://dap.example/")
        options.setdefault("credentials", Credentials("us-east-1#abc", "s3cr3t-value"))
        return Session(
            SessionOptions(**options),
            clock=clock,
            transport=service,
            on_retry=lambda error, pause, table: retries.append((error, pause, table)),
        )

    return make


@pytest.fixture
def use(make_session: Callable[..., Session], clock: VirtualClock) -> Callable[..., Any]:
    """Run a coroutine with a session."""

    def run(work: Callable[[Session], Awaitable[T]], **options: Any) -> T:
        async def in_session() -> T:
            async with make_session(**options) as session:
                return await work(session)

        return run_virtually(in_session(), clock)

    return run
