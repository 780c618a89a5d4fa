"""A session with the service: every request to its API.

All requests, the login included, go through `Session.call`: it gets the token, waits for the rate limiter, sends,
decodes the response, and decides what a failure means. `Session.open` reads objects from the object store. It sends no
credentials and does not retry: only the caller, who writes the file, knows from which byte to continue.
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
from urllib.parse import quote, urlsplit

from dapkit import __version__
from dapkit.client.clock import SYSTEM_CLOCK, Clock
from dapkit.client.credentials import Credentials
from dapkit.client.http import AiohttpTransport, HttpRequest, HttpResponse, HttpStream, Transport
from dapkit.client.rate_limiter import RateLimiter, RateLimitFile, WaitListener
from dapkit.client.redirects import redirect_target
from dapkit.client.request_log import log_request
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
from dapkit.protocol.error_response import Endpoint, error_from_response, intermediary_error, is_from_intermediary
from dapkit.protocol.redaction import INVALID_URL, display_url, excerpt, redact
from dapkit.protocol.retry import (
    AttemptHistory,
    FailedAttempt,
    GiveUp,
    RenewToken,
    Retry,
    RetryPolicy,
    add_failure,
    classify,
    parse_http_date,
    parse_retry_after,
)
from dapkit.protocol.secrets import Address, without_traceback
from dapkit.protocol.token import Token, token_from_response

_LOG: Final = logging.getLogger(__name__)
USER_AGENT: Final = f"dapkit/{__version__} (Python {platform.python_version()}; {platform.system()})"

_MAX_REDIRECTS: Final = 5
_MIN_SECRET_LENGTH: Final = 8
"""Shorter texts are not hidden: a secret of a few characters would hide parts of ordinary words."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_T = TypeVar("_T")

RetryListener = Callable[[DapError, float, str | None], None]
"""Called before a request is repeated: with the error, the pause in seconds, and the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How to reach the service.

    Args:
        base_url: the service's URL, such as `https://api-gateway.instructure.com`.
        credentials: the client id and secret.
        user_agent: the User-Agent header.
        scope: for users with several, for example a root account.
        pace: the rate limit to keep to.
        state_folder: where the processes of one client share their rate limit; None to share nothing.
        ca_file: certificates (PEM) to trust in addition to the system's.
        retry_policy: how long a request is retried.
        identity: the name of the service in journals and manifests; by default its URL.
        data_clock: the time of the service's data in seconds since the epoch; by default the clock's.
    """

    base_url: str
    credentials: Credentials
    user_agent: str = USER_AGENT
    scope: str | None = None
    pace: RateLimit = PUBLISHED_RATE_LIMIT
    state_folder: Path | None = None
    ca_file: Path | None = None
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    identity: str | None = None
    data_clock: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call of the API. `path` is encoded and begins after the base URL."""

    endpoint: Endpoint
    method: str
    path: str
    body: bytes | None = None
    media_type: str = messages.JSON_MEDIA_TYPE
    table: str | None = None
    job_id: str | None = None
    resubmit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCheck:
    """The result of a login: when its token expires, and how many seconds our clock is ahead of the service's."""

    expires_at: float
    skew: float | None


@without_traceback
def normalize_base_url(text: str) -> str:
    """Return a base URL with the host in lower case and without trailing slashes.

    Raises:
        UsageError: it is not a valid base URL.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # a label that is empty or too long cannot be looked up
    except ValueError:
        valid, parts = False, urlsplit("")
    if not valid or not url.isascii() or any(not "!" <= character <= "~" for character in url):
        shown = display_url(text)
        raise UsageError(
            f"Invalid base URL {shown!r}" if shown != INVALID_URL else "The base URL has an invalid host or port",
            hint="Use a URL such as https://api-gateway.instructure.com (--base-url or DAP_API_URL).",
        )
    if parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"The base URL {display_url(text)!r} contains more than a host and a path",
            hint="Put credentials into DAP_CLIENT_ID and DAP_CLIENT_SECRET, and a scope into --scope.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


class Session:
    """A session with the service. Use it as an asynchronous context manager.

    Args:
        options: how to reach the service.
        clock: the source of time.
        transport: sends the requests; by default over HTTP.
        on_retry: called before each retry.
        on_wait: called when requests to an endpoint have to wait for the rate limit for the first time.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        clock: Clock = SYSTEM_CLOCK,
        transport: Transport | None = None,
        on_retry: RetryListener | None = None,
        on_wait: WaitListener = lambda _endpoint, _limit: None,
    ) -> None:
        self._base_url = normalize_base_url(options.base_url)
        self.identity: str = options.identity or self._base_url
        self._options = options
        self.clock = clock
        self.scope = options.scope
        self._transport = transport or AiohttpTransport(ca_file=options.ca_file)
        self._on_retry = on_retry
        file = None
        if options.state_folder is not None and options.pace.jobs_per_minute is not None:
            file = RateLimitFile.of_client(options.state_folder, self._base_url, options.credentials.client_id)
        self._rate_limiter = RateLimiter(options.pace, clock, file, on_wait)
        self._tokens = TokenProvider(self._log_in, clock)
        self._service_responded = False
        self._response_understood = False
        self._last_login: _LoginTimes | None = None
        self._secrets = {options.credentials.client_secret, _basic_credentials(options.credentials)}

    @property
    def sandbox(self) -> bool:
        """Whether the service is the sandbox inside this process, so that all data is synthetic."""
        return self.identity == SANDBOX_SERVICE

    @property
    def jobs_per_minute(self) -> int | None:
        """The rate limit for new jobs; None without one."""
        return self._options.pace.jobs_per_minute

    def data_now(self) -> datetime:
        """Return the time (UTC) to compare the age of data with: a sandbox's data has its own clock."""
        return datetime.fromtimestamp((self._options.data_clock or self.clock.now)(), UTC)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel a running login and close all connections."""
        await self._tokens.close()
        await self._transport.close()

    async def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables, in the service's order."""
        call = ApiCall(endpoint=Endpoint.TABLES, method="GET", path=self._query_path(namespace))
        return await self.call(call, messages.decode_tables)

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        """Return a table's schema with its version."""
        path = self._query_path(namespace, table, "schema")
        call = ApiCall(endpoint=Endpoint.SCHEMA, method="GET", path=path, table=table)
        return await self.call(call, lambda body: messages.decode_schema(body, namespace, table))

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        """Submit a query. The service may return an existing job for an equal query, in any state.

        Args:
            namespace: the table's namespace.
            table: the table's name.
            query: what to request.
            resubmit: whether the query was submitted before; it then waits behind first submissions.
        """
        call = ApiCall(
            endpoint=Endpoint.SUBMIT,
            method="POST",
            path=self._query_path(namespace, table, "data"),
            body=messages.encode_query(query),
            table=table,
            resubmit=resubmit,
        )
        return self._with_redacted_failure(await self.call(call, messages.decode_job))

    async def poll(self, job_id: str) -> Job:
        """Return the current state of a job. Raises ExpiredError if the service no longer has it."""
        path = f"/dap/job/{messages.path_segment(job_id)}"
        call = ApiCall(endpoint=Endpoint.POLL, method="GET", path=path, job_id=job_id)
        return self._with_redacted_failure(await self.call(call, messages.decode_job))

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        """Return a URL for each object, valid for minutes. Raises ExpiredError if one no longer exists."""
        if not object_ids:
            return {}
        body = messages.encode_object_ids(object_ids)
        call = ApiCall(endpoint=Endpoint.SIGN, method="POST", path="/dap/object/url", body=body)
        return await self.call(call, lambda response: messages.decode_urls(response, object_ids))

    async def check_login(self) -> LoginCheck:
        """Log in again and return the result."""
        token = await self._tokens.renew()
        login = self._last_login
        if login is None or login.service_date is None:
            return LoginCheck(expires_at=token.expires_at, skew=None)
        # The service wrote its date, truncated to a second, at some moment between our sending and our receiving.
        # So take the middle of both, and half a second for the truncation.
        skew = (login.requested_at + login.answered_at) / 2 - login.service_date - 0.5
        return LoginCheck(expires_at=token.expires_at, skew=skew)

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[HttpStream]:
        """Open an object of the store, starting at a byte, and follow redirects. Failures are not retried.

        The caller checks the status: 206 if the store sends the rest, 200 if it sends everything (it ignores ranges, or
        the object has changed), anything else if it rejects the request.

        Args:
            url: the object's signed URL.
            offset: the first byte to read.
            etag: the strong entity tag of the bytes before it.

        Raises:
            NetworkError: no response, or the connection broke or stalled while the body was read.
            UnexpectedResponseError: too many redirects, or one to a URL that is not allowed.
        """
        headers = {"User-Agent": self._options.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag is not None:
                headers["If-Range"] = etag
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._logged_stream(HttpRequest(method="GET", url=url, headers=headers)) as stream:
                location = Address(stream.headers.get("Location", "")) if stream.status in _REDIRECTS else None
                if not location:
                    yield stream
                    return
            url = Address(redirect_target(url, location))
        raise UnexpectedResponseError(f"Too many redirects by the object store, the last one to {display_url(url)}")

    @asynccontextmanager
    async def _logged_stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        started, status, failure = self.clock.now(), None, None
        try:
            async with self._transport.stream(request) as stream:
                status = stream.status
                yield stream
        except DapError as error:
            failure = error
            raise
        finally:
            seconds = self.clock.now() - started
            log_request(request.method, request.url, status=status, seconds=seconds, error=failure)

    async def call(self, call: ApiCall, decode: Callable[[bytes], _T]) -> _T:
        """Make one call of the API, with retries, and return its decoded response.

        Raises:
            DapError: the error of the last attempt, with the table or job of the call.
        """
        position = self._rate_limiter.queue_position(resubmit=call.resubmit)
        history = AttemptHistory()
        while True:
            token = None if call.endpoint is Endpoint.LOGIN else await self._token(call)
            async with self._rate_limiter.permit(call.endpoint, position) as permit:
                sent_at = self.clock.now()
                outcome = await self._attempt(call, token, decode)
                if not isinstance(outcome, FailedAttempt):
                    return outcome
                history = replace(
                    add_failure(history, outcome.error, self.clock.now() - sent_at),
                    service_responded=self._service_responded,
                    response_understood=self._response_understood,
                )
                step = classify(outcome, history, self._options.retry_policy, random.random())
                rate_limited = isinstance(outcome.error, RateLimitedError)
                if rate_limited and isinstance(step, Retry):
                    permit.rate_limited(step.after)
            _LOG.debug("The request to %s failed: %s", call.endpoint, type(step).__name__)
            match step:
                case Retry(after):
                    if self._on_retry is not None:
                        self._on_retry(_with_context(outcome.error, call), after, call.table)
                    # After a 429, the rate limiter makes all requests to this endpoint wait, the next attempt
                    # included. Sleeping here too would double the pause.
                    if not rate_limited:
                        history = replace(history, seconds=history.seconds + after)
                        await self.clock.sleep(after)
                case RenewToken():
                    history = replace(history, token_renewals=history.token_renewals + 1)
                    if token is not None:
                        self._tokens.discard(token)
                case GiveUp(error):
                    raise _with_context(error, call)

    async def _attempt(self, call: ApiCall, token: Token | None, decode: Callable[[bytes], _T]) -> _T | FailedAttempt:
        """Send a call once; return its decoded response or the failure, without our secrets."""
        sent_at, status = self.clock.now(), None
        outcome: _T | FailedAttempt
        try:
            response = await self._transport.send(self._request(call, token))
        except (NetworkError, UnexpectedResponseError) as error:
            outcome = FailedAttempt(error=error, unreadable=True)
        else:
            outcome, status = self._outcome(call, token, decode, response, sent_at), response.status
        failure = outcome.error if isinstance(outcome, FailedAttempt) else None
        if failure is not None:
            self._redact_error(failure)
        log_request(
            call.method,
            self._base_url + call.path,
            status=status,
            seconds=self.clock.now() - sent_at,
            error=failure,
            table=call.table,
            job_id=call.job_id,
        )
        return outcome

    def _outcome(
        self,
        call: ApiCall,
        token: Token | None,
        decode: Callable[[bytes], _T],
        response: HttpResponse,
        sent_at: float,
    ) -> _T | FailedAttempt:
        """Return the decoded response to a call, or the failure that it reports."""
        self._service_responded = True
        date = parse_http_date(response.headers.get("Date"))
        if call.endpoint is Endpoint.LOGIN:
            self._last_login = _LoginTimes(sent_at, self.clock.now(), date)
        if response.status in {200, 202}:
            try:
                value = decode(response.body)
            except UnexpectedResponseError as error:
                # Without its traceback, whose local variables contain the response, perhaps a token.
                return FailedAttempt(error=error.with_traceback(None), unreadable=not messages.is_json(response.body))
            self._response_understood = True
            return value
        # Before the first readable response, an HTML error page means a wrong URL and is final. Afterwards, it is a
        # temporary failure of something in between.
        if self._response_understood and is_from_intermediary(response.status, response.body):
            page = intermediary_error(call.endpoint, response.status, response.body)
            return FailedAttempt(error=page, unreadable=True)
        now = self.clock.now() if date is None else date
        return FailedAttempt(
            error=error_from_response(call.endpoint, response.status, response.body, response.headers.get("Location")),
            retry_after=parse_retry_after(response.headers.get("Retry-After"), now),
            token_sent=token is not None,
        )

    def _request(self, call: ApiCall, token: Token | None) -> HttpRequest:
        headers = {
            "User-Agent": self._options.user_agent,
            "Accept": messages.JSON_MEDIA_TYPE,
            "Accept-Encoding": "identity",
            "Authorization": f"Basic {_basic_credentials(self._options.credentials)}"
            if token is None
            else f"Bearer {token.text}",
        }
        if call.body is not None:
            headers["Content-Type"] = call.media_type
        return HttpRequest(method=call.method, url=self._base_url + call.path, headers=headers, body=call.body)

    def _redact_error(self, error: DapError) -> None:
        """Remove our secrets from an error: the service may have echoed them."""
        message = self._redacted(error.message)
        error.message, error.args = message, (message,)
        error.hint, error.uuid = self._redacted(error.hint), error.uuid and self._redacted(error.uuid)

    def _with_redacted_failure(self, job: Job) -> Job:
        """Return the job with our secrets removed from its failure."""
        if job.failure is None:
            return job
        failure = Failure(
            type=excerpt(self._redacted(job.failure.type)),
            uuid=job.failure.uuid and excerpt(self._redacted(job.failure.uuid)),
            message=self._redacted(job.failure.message),
        )
        return replace(job, failure=failure)

    def _redacted(self, text: str) -> str:
        return redact(text, *(secret for secret in self._secrets if len(secret) >= _MIN_SECRET_LENGTH))

    async def _token(self, call: ApiCall) -> Token:
        try:
            return await self._tokens.current()
        except DapError as error:
            # All requests that waited for the login share its error, but each adds its own table or job.
            raise _with_context(copy.copy(error), call) from error

    async def _log_in(self) -> Token:
        call = ApiCall(
            endpoint=Endpoint.LOGIN,
            method="POST",
            path="/ids/auth/login",
            body=messages.LOGIN_BODY,
            media_type=messages.FORM_MEDIA_TYPE,
        )
        response = await self.call(call, messages.decode_token_response)
        self._secrets.add(response.access_token)
        login = self._last_login
        assert login is not None, "_attempt records the times of each login"
        return token_from_response(response, requested_at=login.requested_at, service_date=login.service_date)

    def _query_path(self, namespace: str, *rest: str) -> str:
        """Return the path of a `/query` call; `rest` is a table and its subresource."""
        parts = [messages.path_segment(namespace), "table", *(messages.path_segment(part) for part in rest)]
        scope = self._options.scope
        query = f"?scope={quote(scope, safe='')}" if scope else ""
        return f"/dap/query/{'/'.join(parts)}{query}"


@dataclass(frozen=True, slots=True)
class _LoginTimes:
    """When the last login was sent and answered on our clock, and the service's clock at that time."""

    requested_at: float
    answered_at: float
    service_date: float | None


def _basic_credentials(credentials: Credentials) -> str:
    pair = f"{credentials.client_id}:{credentials.client_secret}".encode("ascii")
    return base64.b64encode(pair).decode("ascii")


def _with_context(error: DapError, call: ApiCall) -> DapError:
    """Return the error with the table and job of its call."""
    error.table = error.table or call.table
    error.job_id = error.job_id or call.job_id
    return error
