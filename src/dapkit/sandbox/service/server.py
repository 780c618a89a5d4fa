"""The sandbox: a local fake of the service on a loopback socket, as an asynchronous context manager.

It can run in a separate process or inside the command that uses it. It runs in the event loop of the caller.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from dapkit.errors import UsageError
from dapkit.sandbox.data.dataset import Dataset
from dapkit.sandbox.faults import FaultPlan
from dapkit.sandbox.service.auth import Account, TokenIssuer
from dapkit.sandbox.service.backend import Backend, Data, JobTimes
from dapkit.sandbox.service.clock import DataClock, RealClock, last_refresh, milliseconds
from dapkit.sandbox.service.control import Control
from dapkit.sandbox.service.identifiers import Identifiers
from dapkit.sandbox.service.object_cache import ObjectCache
from dapkit.sandbox.service.object_store import ObjectStore
from dapkit.sandbox.service.rate_limits import Budgets
from dapkit.sandbox.service.routes import add_api, count_responses, set_date
from dapkit.sandbox.service.signing import UrlSigner
from dapkit.sandbox.service.state import SandboxOptions, SandboxState
from dapkit.sandbox.service.traffic import Traffic

FIRST_DATA_TIME = datetime(2026, 9, 1, tzinfo=UTC)
"""The start of the data clock of an embedded sandbox. It is fixed, so that results are the same everywhere."""

_MAX_BODY = 16 << 20


class Sandbox:
    """A running sandbox, from entering to leaving the context.

    Args:
        options: how it behaves.
        data: the source of the rows, for tests; by default the synthetic dataset of seed and scale.
    """

    def __init__(self, options: SandboxOptions | None = None, *, data: Data | None = None) -> None:
        self.options = options or SandboxOptions()
        self._data = data
        self._stack = AsyncExitStack()
        self._state: SandboxState | None = None
        _require_loopback(self.options.host)

    @property
    def base_url(self) -> str:
        """Where it is served."""
        return self.state.base_url

    @property
    def client_id(self) -> str:
        """The accepted client id."""
        return self.options.client_id

    @property
    def client_secret(self) -> str:
        """The accepted client secret."""
        return self.options.client_secret

    @property
    def traffic(self) -> Traffic:
        """Counts of requests and responses."""
        return self.state.traffic

    @property
    def state(self) -> SandboxState:
        """Its parts. Raises RuntimeError when it is not running."""
        if self._state is None:
            message = "the sandbox is not running"
            raise RuntimeError(message)
        return self._state

    def check_clock(self) -> None:
        """Raise OutputError if the data clock could not be stored."""
        self.state.data_clock.check()

    def data_seconds(self) -> float:
        """Return the time of the data in seconds since the epoch."""
        return self.state.data_clock.now_ms() / 1000

    def advance(self, hours: float = 4) -> None:
        """Move the data clock ahead, and store it. Raises OutputError if it cannot be stored."""
        self.state.data_clock.advance(hours)

    def skip(self, seconds: float) -> None:
        """Move the clock of tokens, jobs and URLs ahead."""
        self.state.real_clock.skip(seconds)

    async def __aenter__(self) -> Self:
        # In a thread, because reading the catalogue takes a while: the caller's event loop keeps running.
        state = await asyncio.to_thread(_build_state, self.options, self._data)
        self._stack.push_async_callback(_in_thread, state.cache.close)
        try:
            port = await self._listen(state)
        except BaseException:
            await self._stack.aclose()
            raise
        scheme = "http" if self.options.tls is None else "https"
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        state.base_url = f"{scheme}://{host}:{port}"
        self._state = state
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ends stalled responses first; the server would otherwise wait for them.
        self.state.closing.set()
        await self._stack.aclose()
        self._state = None

    async def _listen(self, state: SandboxState) -> int:
        """Open the socket and return its port. Raises UsageError if the port is not available."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[count_responses(state)])
        add_api(app, state)
        ObjectStore(state).add_to(app)
        Control(state).add_to(app)
        app.on_response_prepare.append(set_date(state))
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        options = self.options
        site = web.TCPSite(runner, options.host, options.port, ssl_context=options.tls)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"The sandbox cannot listen on {options.host} port {options.port}: {error.strerror}",
                hint="Choose another port, or 0 for any free port.",
            ) from error
        return int(runner.addresses[0][1])


def _build_state(options: SandboxOptions, data: Data | None) -> SandboxState:
    """Create the parts of a sandbox; blocks."""
    source = data or Dataset(seed=options.seed, scale=options.scale, part_rows=options.part_rows)
    # Everything that affects the objects of a job must be included: identifiers and URLs are signed with it, and are
    # valid for any process with the same dataset.
    dataset = f"seed {options.seed}, scale {options.scale!r}, parts of {options.part_rows}"
    tables = [(namespace, table) for namespace in source.namespaces() for table in source.tables(namespace)]
    real_clock = RealClock(options.now)
    first_ms = milliseconds(FIRST_DATA_TIME) if options.embedded else last_refresh(real_clock.now_ms())
    data_clock = DataClock(first_ms, options.home)
    if options.data_time is not None:
        data_clock.set(milliseconds(options.data_time))
    times = JobTimes(duration_ms=int(options.job_seconds * 1000), lifetime_ms=options.job_life_seconds * 1000)
    account = Account(
        client_id=options.client_id,
        client_secret=options.client_secret,
        any_credentials=options.embedded,
        token_seconds=options.token_seconds,
    )
    identifiers = Identifiers(tables, dataset)
    return SandboxState(
        options=options,
        real_clock=real_clock,
        data_clock=data_clock,
        backend=Backend(source, identifiers, real_clock=real_clock, data_clock=data_clock, times=times),
        tokens=TokenIssuer(account, real_clock.now_ms),
        budgets=Budgets() if options.budgets else None,
        faults=FaultPlan(options.faults, seed=options.seed),
        traffic=Traffic(),
        cache=ObjectCache(source.write, limit=options.cache_bytes, algorithm=options.checksum),
        signer=UrlSigner(dataset),
    )


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"The sandbox listens on loopback addresses only, not on {host!r}",
            hint="Use 127.0.0.1, ::1 or localhost.",
        )


async def _in_thread(call: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(call)
    except RuntimeError:
        call()  # the interpreter is exiting, and starts no more threads
