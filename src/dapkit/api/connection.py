"""A session with the service that the settings name, or with a sandbox inside this process.

The sandbox is imported where it is started: what it needs takes a quarter of the time that a command starts in.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dapkit.client.credentials import Credentials, read_credentials
from dapkit.client.http import AiohttpTransport
from dapkit.client.session import Session, SessionOptions
from dapkit.config.settings import ConnectionSettings, SandboxSettings
from dapkit.errors import DapError, OutputError
from dapkit.events import Listener, Notice, Retrying
from dapkit.model import SANDBOX_SERVICE
from dapkit.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from dapkit.sandbox.service.server import Sandbox

REFRESH_HOURS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A session, the sandbox it talks to when there is one, and who is told of it."""

    session: Session
    on_event: Listener
    sandbox: "Sandbox | None" = None

    def check(self) -> None:
        """Raise OutputError when the sandbox's clock could not be moved on: better before the work than after it."""
        if self.sandbox is not None:
            self.sandbox.check_clock()

    def move_on(self) -> None:
        """Move the sandbox's data clock to its next refresh, so that the next command sees changes.

        That it cannot be kept is told and spoils nothing: what was asked for is whole by now.
        """
        if self.sandbox is not None:
            try:
                self.sandbox.advance(REFRESH_HOURS)
            except OutputError as error:
                self.on_event(Notice(message=error.message))


@asynccontextmanager
async def connect(settings: ConnectionSettings, on_event: Listener) -> AsyncIterator[Connection]:
    """Open a session; retries are told to the listener.

    Raises:
        CredentialsError: credentials are missing or cannot be meant.
        UsageError: the base URL is none.
    """
    for message in settings.notices:
        on_event(Notice(message=message))
    async with AsyncExitStack() as stack:
        sandbox = None
        if settings.sandbox is not None:
            sandbox = await stack.enter_async_context(_sandbox(settings.sandbox))
        options = session_options(settings, sandbox)

        def on_retry(error: DapError, pause: float, table: str | None) -> None:
            on_event(Retrying(table=table, error=error, pause=pause))

        transport = AiohttpTransport(ca_file=options.ca_file, read_timeout=settings.read_timeout)
        session = await stack.enter_async_context(Session(options, transport=transport, on_retry=on_retry))
        yield Connection(session=session, on_event=on_event, sandbox=sandbox)


def _sandbox(settings: SandboxSettings) -> "Sandbox":
    from dapkit.sandbox.service.server import Sandbox, SandboxOptions  # noqa: PLC0415, a large import that most never need

    options = SandboxOptions(
        seed=settings.seed,
        scale=settings.scale,
        home=settings.home,
        embedded=True,
        job_seconds=settings.job_seconds,
    )
    return Sandbox(options)


def session_options(settings: ConnectionSettings, sandbox: "Sandbox | None") -> SessionOptions:
    """Return the options of the session; with a sandbox, its address and credentials."""
    if sandbox is not None:
        return SessionOptions(
            base_url=sandbox.base_url,
            credentials=Credentials(client_id=sandbox.client_id, client_secret=sandbox.client_secret),
            scope=settings.scope,
            pace=settings.pace,
            retry_policy=RetryPolicy(seconds=settings.retry_timeout),
            identity=SANDBOX_SERVICE,
            data_clock=sandbox.data_seconds,
        )
    return SessionOptions(
        base_url=settings.base_url,
        credentials=credentials_of(settings),
        scope=settings.scope,
        pace=settings.pace,
        retry_policy=RetryPolicy(seconds=settings.retry_timeout),
        ca_file=settings.ca_file,
        state_folder=settings.state_folder,
    )


def credentials_of(settings: ConnectionSettings) -> Credentials:
    """Return the credentials; raises MissingCredentialsError when there are none."""
    return read_credentials(
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        secret_file=settings.client_secret_file,
        environ=settings.environ,
    )
