"""A session with the service: every call of its API, through one place.

`Session.call` is that place: it brings the token, waits for the pace, sends, understands the answer and
decides what a failure means, for every request, the login included. `Session.open` reads objects from the
store, which gets no credentials and is not retried here, because only who writes the file knows from where to
go on.
"""

import base64
import copy
import logging
import platform
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from dapkit import __version__
from dapkit.client.clock import SYSTEM_CLOCK, Clock
from dapkit.client.credentials import Credentials
from dapkit.client.http import AiohttpTransport, HttpRequest, HttpStream, Transport
from dapkit.client.rate_limiter import RateLimiter, RateLimitFile
from dapkit.client.token_provider import TokenProvider
from dapkit.errors import (
    DapError,
    NetworkError,
    RateLimitedError,
    UnexpectedResponseError,
    UsageError,
)
from dapkit.model import SANDBOX_SERVICE, Failure, Job, Query, VersionedSchema
from dapkit.protocol import messages
from dapkit.protocol.budget import PUBLISHED_RATE_LIMIT, RateLimit
from dapkit.protocol.error_response import Endpoint, error_of, foreign_error, is_foreign
from dapkit.protocol.redaction import excerpt, place, redact
from dapkit.protocol.retry import (
    AttemptHistory,
    FailedAttempt,
    GiveUp,
    Renew,
    Retry,
    RetryPolicy,
    classify,
    http_date,
    lengthened,
    retry_after,
)
from dapkit.protocol.token import Token, token_of

_LOG: Final = logging.getLogger(__name__)
USER_AGENT: Final = f"dapkit/{__version__} (Python {platform.python_version()}; {platform.system()})"

_MOST_REDIRECTS: Final = 5
_SHORTEST_SECRET: Final = 8
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_T = TypeVar("_T")

RetryListener = Callable[[DapError, float, str | None], None]
"""Called before a request is repeated: why, after how many seconds, for which table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a session is made of.

    Args:
        base_url: the service's address, such as `https://api-gateway.instructure.com`.
        credentials: what is shown at the login.
        user_agent: what the service is told that we are.
        scope: for users with several, for example a root account.
        pace: how fast to ask.
        state_folder: where the processes of one client share their pace; None shares nothing.
        ca_file: certificates (PEM) to trust beside the system's.
        retry_timeout: for how long a request may go on failing.
        identity: what journals call the service; by default its address.
        data_clock: what tells the time of the service's data in seconds since the epoch; by default the clock does.
    """

    base_url: str
    credentials: Credentials
    user_agent: str = USER_AGENT
    scope: str | None = None
    pace: RateLimit = PUBLISHED_RATE_LIMIT
    state_folder: Path | None = None
    ca_file: Path | None = None
    retry_timeout: RetryPolicy = field(default_factory=RetryPolicy)
    identity: str | None = None
    data_clock: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the API. `path` is encoded and begins after the base URL."""

    endpoint: Endpoint
    method: str
    path: str
    body: bytes | None = None
    media_type: str = messages.JSON_MEDIA_TYPE
    table: str | None = None
    job_id: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCheck:
    """What a login shows: when its token ends, and how many seconds our clock is ahead of the service's."""

    expires_at: float
    skew: float | None


def normal_base_url(text: str) -> str:
    """Return a base URL without trailing slashes.

    Raises:
        UsageError: it is not the address of a service.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # a label that is empty or too long cannot be looked up
    except ValueError:
        valid, parts = False, urlsplit("")
    if not valid or not url.isascii() or any(not "!" <= character <= "~" for character in url):
        raise UsageError(
            f"{place(text)!r} is not the base URL of a service.",
            hint="It is written like https://api-gateway.instructure.com (--base-url or DAP_API_URL).",
        )
    if parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"The base URL {place(text)!r} has more than a host and a path.",
            hint="Credentials go into DAP_CLIENT_ID and DAP_CLIENT_SECRET, a scope into --scope.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


class Session:
    """A session with the service; used as an asynchronous context manager.

    Args:
        options: what it is made of.
        clock: the time.
        transport: what sends the requests; by default real HTTP.
        on_retry: is told of every repetition.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        clock: Clock = SYSTEM_CLOCK,
        transport: Transport | None = None,
        on_retry: RetryListener | None = None,
    ) -> None:
        self._base_url = normal_base_url(options.base_url)
        self.identity: str = options.identity or self._base_url
        self._options = options
        self.clock = clock
        self.scope = options.scope
        self._transport = transport or AiohttpTransport(ca_file=options.ca_file)
        self._on_retry = on_retry
        file = None
        if options.state_folder is not None and options.pace.submissions is not None:
            file = RateLimitFile.of_client(options.state_folder, self._base_url, options.credentials.client_id)
        self._pacer = RateLimiter(options.pace, clock, file)
        self._tokens = TokenProvider(self._log_in, clock)
        self._answered = False
        self._understood = False
        self._login: _LoginTimes | None = None
        self._secrets = {options.credentials.client_secret, _pair(options.credentials)}

    @property
    def sandbox(self) -> bool:
        """Whether the service is a sandbox inside this process, and the data so synthetic."""
        return self.identity == SANDBOX_SERVICE

    def data_now(self) -> datetime:
        """Return the time (UTC) by which the age of data is told: a sandbox's data has a clock of its own."""
        return datetime.fromtimestamp((self._options.data_clock or self.clock.now)(), UTC)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up whatever is under way and all connections."""
        await self._tokens.close()
        await self._transport.close()

    async def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables, as the service orders them."""
        call = Call(endpoint=Endpoint.TABLES, method="GET", path=self._query_path(namespace))
        return await self.call(call, messages.decode_tables)

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        """Return a table's schema with its version."""
        path = self._query_path(namespace, table, "schema")
        call = Call(endpoint=Endpoint.SCHEMA, method="GET", path=path, table=table)
        return await self.call(call, lambda body: messages.decode_schema(body, namespace, table))

    async def submit(self, namespace: str, table: str, query: Query, *, again: bool = False) -> Job:
        """Ask for a table; the service may return a job that it already has, in any state.

        Args:
            namespace: where the table is.
            table: its name.
            query: what is asked of it.
            again: whether this repeats a query, which goes behind those that were not asked yet.
        """
        call = Call(
            endpoint=Endpoint.SUBMIT,
            method="POST",
            path=self._query_path(namespace, table, "data"),
            body=messages.encode_query(query),
            table=table,
            again=again,
        )
        return self._shown(await self.call(call, messages.decode_job))

    async def poll(self, job_id: str) -> Job:
        """Return how a job stands. Raises ExpiredError when the service knows it no more."""
        path = f"/dap/job/{messages.segment(job_id)}"
        call = Call(endpoint=Endpoint.POLL, method="GET", path=path, job_id=job_id)
        return self._shown(await self.call(call, messages.decode_job))

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object, good for minutes. Raises ExpiredError when one is gone."""
        if not object_ids:
            return {}
        body = messages.encode_object_ids(object_ids)
        call = Call(endpoint=Endpoint.SIGN, method="POST", path="/dap/object/url", body=body)
        return await self.call(call, lambda answer: messages.decode_urls(answer, object_ids))

    async def check_login(self) -> LoginCheck:
        """Log in anew and return what that shows."""
        token = await self._tokens.fresh()
        times = self._login
        date = None if times is None else times.service_date
        if times is None or date is None:
            return LoginCheck(expires_at=token.expires_at, skew=None)
        # the service wrote its date, cut to the second, some time between our sending and its arrival
        return LoginCheck(expires_at=token.expires_at, skew=(times.asked_at + times.answered_at) / 2 - date - 0.5)

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[HttpStream]:
        """Open an object of the store, from a byte on; redirects are followed.

        The caller looks at the status: 206 when the store gives just the rest, 200 when it gives everything
        (also because the object is another by now), anything else when it refuses. A failure is not retried.

        Args:
            url: the object's signed URL.
            offset: the first byte wanted.
            etag: the strong entity tag that the bytes before came with.

        Raises:
            NetworkError: no answer came, or it breaks off or stops while it is read.
            UnexpectedResponseError: redirects without end or to where none may lead.
        """
        headers = {"User-Agent": self._options.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag is not None:
                headers["If-Range"] = etag
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._transport.stream(HttpRequest(method="GET", url=url, headers=headers)) as stream:
                location = stream.headers.get("Location") if stream.status in _REDIRECTS else None
                if location is None:
                    yield stream
                    return
            url = _redirected(url, location)
        raise UnexpectedResponseError(f"The object store redirects without end, lastly to {place(url)}.")

    async def call(self, call: Call, decode: Callable[[bytes], _T]) -> _T:
        """Make one call of the API and return its decoded answer, however often it takes.

        Raises:
            DapError: what finally went wrong, with the table or job that the call names.
        """
        order = self._pacer.order(again=call.again)
        trail = AttemptHistory()
        while True:
            token = None if call.endpoint is Endpoint.LOGIN else await self._token(call)
            async with self._pacer.turn(call.endpoint, order) as turn:
                sent_at = self.clock.now()
                outcome = await self._attempt(call, token, decode)
                if not isinstance(outcome, FailedAttempt):
                    return outcome
                self._hide_secrets(outcome.error)
                trail = lengthened(trail, outcome.error, self.clock.now() - sent_at)
                trail = replace(trail, answered=self._answered, understood=self._understood)
                step = classify(outcome, trail, self._options.retry_timeout, random.random())
                limited = isinstance(outcome.error, RateLimitedError)
                if limited and isinstance(step, Retry):
                    turn.refused(step.after)
            _LOG.debug("%s failed (%s): %s", call.endpoint, type(step).__name__, outcome.error.message)
            match step:
                case Retry(after):
                    if self._on_retry is not None:
                        self._on_retry(_placed(outcome.error, call), after, call.table)
                    # a pause after a 429 is part of the pace now, which the next attempt waits for
                    if not limited:
                        trail = replace(trail, spent=trail.spent + after)
                        await self.clock.sleep(after)
                case Renew():
                    trail = replace(trail, renewals=trail.renewals + 1)
                    if token is not None:
                        self._tokens.reject(token)
                case GiveUp(error):
                    raise _placed(error, call)

    async def _attempt(self, call: Call, token: Token | None, decode: Callable[[bytes], _T]) -> _T | FailedAttempt:
        """Send a call once; return its decoded answer or what went wrong."""
        sent_at = self.clock.now()
        try:
            answer = await self._transport.send(self._request(call, token))
        except (NetworkError, UnexpectedResponseError) as error:
            return FailedAttempt(error=error, garbled=True)
        self._answered = True
        date = http_date(answer.headers.get("Date"))
        if call.endpoint is Endpoint.LOGIN:
            self._login = _LoginTimes(sent_at, self.clock.now(), date)
        if answer.status in {200, 202}:
            try:
                value = decode(answer.body)
            except UnexpectedResponseError as error:
                return FailedAttempt(error=error, garbled=messages.garbled(answer.body))
            self._understood = True
            return value
        if self._understood and is_foreign(answer.status, answer.body):
            return FailedAttempt(error=foreign_error(call.endpoint, answer.status, answer.body), garbled=True)
        return FailedAttempt(
            error=error_of(call.endpoint, answer.status, answer.body, answer.headers.get("Location")),
            demand=retry_after(answer.headers.get("Retry-After"), self.clock.now() if date is None else date),
            renewable=token is not None,
        )

    def _request(self, call: Call, token: Token | None) -> HttpRequest:
        headers = {
            "User-Agent": self._options.user_agent,
            "Accept": messages.JSON_MEDIA_TYPE,
            "Accept-Encoding": "identity",
            "Authorization": f"Basic {_pair(self._options.credentials)}" if token is None else f"Bearer {token.text}",
        }
        if call.body is not None:
            headers["Content-Type"] = call.media_type
        return HttpRequest(method=call.method, url=self._base_url + call.path, headers=headers, body=call.body)

    def _hide_secrets(self, error: DapError) -> None:
        """Take out of an error what the service may have echoed of ours."""
        message = self._redacted(error.message)
        error.message, error.args = message, (message,)
        error.hint, error.uuid = self._redacted(error.hint), error.uuid and self._redacted(error.uuid)

    def _shown(self, job: Job) -> Job:
        """Return a job whose failure may be told: the service may have echoed of ours there, too."""
        if job.failure is None:
            return job
        failure = Failure(
            type=excerpt(self._redacted(job.failure.type)),
            uuid=job.failure.uuid and excerpt(self._redacted(job.failure.uuid)),
            message=self._redacted(job.failure.message),
        )
        return replace(job, failure=failure)

    def _redacted(self, text: str) -> str:
        """Return a text without the secrets of this session; what is too short to be one stays."""
        return redact(text, *(secret for secret in self._secrets if len(secret) >= _SHORTEST_SECRET))

    async def _token(self, call: Call) -> Token:
        try:
            return await self._tokens.current()
        except DapError as error:
            # the login's error is shared by all who waited for it: each gets one of its own
            raise _placed(copy.copy(error), call) from error

    async def _log_in(self) -> Token:
        call = Call(
            endpoint=Endpoint.LOGIN,
            method="POST",
            path="/ids/auth/login",
            body=messages.LOGIN_BODY,
            media_type=messages.FORM_MEDIA_TYPE,
        )
        grant = await self.call(call, messages.decode_token_response)
        self._secrets.add(grant.access_token)
        times = self._login
        assert times is not None, "an answer to a login leaves its times"
        return token_of(grant, asked_at=times.asked_at, service_date=times.service_date)

    def _query_path(self, namespace: str, *rest: str) -> str:
        """Return the path of a `/query` call: `rest` is a table and what is wanted of it."""
        parts = [messages.segment(namespace), "table", *(messages.segment(part) for part in rest)]
        scope = self._options.scope
        query = f"?scope={quote(scope, safe='')}" if scope else ""
        return f"/dap/query/{'/'.join(parts)}{query}"


@dataclass(frozen=True, slots=True)
class _LoginTimes:
    """When the last login was sent and answered on our clock, and what the service's clock said then."""

    asked_at: float
    answered_at: float
    service_date: float | None


def _pair(credentials: Credentials) -> str:
    """Return id and secret as the login sends them."""
    pair = f"{credentials.client_id}:{credentials.client_secret}".encode("ascii")
    return base64.b64encode(pair).decode("ascii")


def _placed(error: DapError, call: Call) -> DapError:
    """Return the error with the table or job that its call was about."""
    error.table = error.table or call.table
    error.job_id = error.job_id or call.job_id
    return error


def _redirected(url: str, location: str) -> str:
    """Return where a redirect of the object store leads.

    Raises:
        UnexpectedResponseError: to where no redirect may lead.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        target, parts, usable = location, urlsplit(""), False
    if not usable or "@" in parts.netloc or any(not "!" <= character <= "~" for character in target):
        raise UnexpectedResponseError(f"The object store redirects to what is no address for HTTP: {place(target)!r}.")
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise UnexpectedResponseError(f"The object store redirects to an insecure address: {place(target)!r}.")
    return target
