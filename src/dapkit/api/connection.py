"""A session with the service, or with a sandbox inside this process.

The sandbox is imported only where it is started, because its imports take a quarter of a command's start-up time.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dapkit.client.credentials import Credentials, read_credentials
from dapkit.client.http import AiohttpTransport
from dapkit.client.session import Session, SessionOptions
from dapkit.config.settings import ConnectionSettings
from dapkit.errors import DapError, OutputError
from dapkit.events import Listener, Notice, RateLimitReached, Retrying
from dapkit.model import SANDBOX_SERVICE
from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit
from dapkit.protocol.error_response import Endpoint
from dapkit.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from dapkit.sandbox.service.server import Sandbox

REFRESH_HOURS = 4
_REQUESTS = {
    Endpoint.SUBMIT: "new jobs",
    Endpoint.TABLES: "lists of tables",
    Endpoint.SCHEMA: "schemas",
    Endpoint.POLL: "the state of jobs",
    Endpoint.SIGN: "URLs of files",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConnection:
    """An open session, the sandbox that it uses (if any), and the listener."""

    session: Session
    on_event: Listener
    sandbox: "Sandbox | None" = None

    def check(self) -> None:
        """Raise OutputError if the sandbox's clock cannot be stored. Call it before the work, not after it."""
        if self.sandbox is not None:
            self.sandbox.check_clock()

    def advance(self) -> None:
        """Move the sandbox's data clock to its next refresh, so that the next command finds changes.

        If the clock cannot be stored, that is only a notice, because the work is complete.
        """
        if self.sandbox is not None:
            try:
                self.sandbox.advance(REFRESH_HOURS)
            except OutputError as error:
                self.on_event(Notice(message=error.message))


@asynccontextmanager
async def connect(settings: ConnectionSettings, on_event: Listener) -> AsyncIterator[ServiceConnection]:
    """Open a session. The listener also receives an event for each retry.

    Raises:
        CredentialsError: credentials are missing or invalid.
        UsageError: the base URL is invalid.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(_sandbox(settings)) if settings.sandbox else None
        options = session_options(settings, sandbox)  # after the sandbox has started, and knows its port

        def on_retry(error: DapError, pause: float, table: str | None) -> None:
            on_event(Retrying(table=table, error=error, pause=pause))

        def on_wait(endpoint: Endpoint, limit: int) -> None:
            requests = _REQUESTS.get(endpoint, endpoint.value)
            on_event(RateLimitReached(requests=requests, per_minute=limit, jobs=endpoint is Endpoint.SUBMIT))

        transport = AiohttpTransport(ca_file=options.ca_file, read_timeout=settings.read_timeout)
        session = await stack.enter_async_context(
            Session(options, transport=transport, on_retry=on_retry, on_wait=on_wait)
        )
        yield ServiceConnection(session=session, on_event=on_event, sandbox=sandbox)


def _sandbox(settings: ConnectionSettings) -> "Sandbox":
    from dapkit.sandbox.service.server import Sandbox  # noqa: PLC0415, see the module
    from dapkit.sandbox.service.state import SandboxOptions  # noqa: PLC0415, see the module

    options = SandboxOptions(
        seed=settings.sandbox_seed,
        scale=settings.sandbox_scale,
        home=settings.sandbox_home,
        embedded=True,
        job_seconds=settings.sandbox_job_seconds,
    )
    return Sandbox(options)


def session_options(settings: ConnectionSettings, sandbox: "Sandbox | None") -> SessionOptions:
    """Return the options of the session; with a sandbox, with its address and credentials."""
    # A sandbox has no rate limits unless the user sets them.
    default = NO_RATE_LIMIT if settings.sandbox else PUBLISHED_RATE_LIMIT
    pace = RateLimit.parse(settings.pace) if settings.pace else default
    if sandbox is not None:
        return SessionOptions(
            base_url=sandbox.base_url,
            credentials=Credentials(client_id=sandbox.client_id, client_secret=sandbox.client_secret),
            scope=settings.scope,
            pace=pace,
            retry_policy=RetryPolicy(seconds=settings.retry_timeout),
            identity=SANDBOX_SERVICE,
            data_clock=sandbox.data_seconds,
        )
    return SessionOptions(
        base_url=settings.base_url,
        credentials=credentials_of(settings),
        scope=settings.scope,
        pace=pace,
        retry_policy=RetryPolicy(seconds=settings.retry_timeout),
        ca_file=settings.ca_file,
        state_folder=settings.state_folder,
    )


def credentials_of(settings: ConnectionSettings) -> Credentials:
    """Return the credentials. Raises CredentialsError if they are missing or invalid."""
    return read_credentials(settings.client_id, settings.client_secret, settings.client_secret_file)
