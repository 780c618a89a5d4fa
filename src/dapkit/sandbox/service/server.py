"""The sandbox: the service in miniature on a loopback socket, as an asynchronous context manager.

It can live in a process of its own or inside the command that uses it; whoever enters it provides the event
loop.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from dapkit.errors import UsageError
from dapkit.sandbox.data.dataset import PART_ROWS, Dataset
from dapkit.sandbox.faults.rules import FaultPlan
from dapkit.sandbox.service.auth import Account, Login
from dapkit.sandbox.service.backend import Backend, Data, JobTimes
from dapkit.sandbox.service.clock import DataClock, RealClock, last_refresh, milliseconds
from dapkit.sandbox.service.control import Control
from dapkit.sandbox.service.identifiers import Identifiers
from dapkit.sandbox.service.object_cache import Spool
from dapkit.sandbox.service.object_store import Store
from dapkit.sandbox.service.rate_limits import Budgets
from dapkit.sandbox.service.routes import add_api, counting, dating
from dapkit.sandbox.service.signing import Signer
from dapkit.sandbox.service.state import Service, ServiceOptions
from dapkit.sandbox.service.traffic import Traffic

FIRST_DATA_TIME = datetime(2026, 9, 1, tzinfo=UTC)
"""Where the data clock of an embedded sandbox starts: fixed, so that results repeat anywhere."""

_MAX_BODY = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox behaves.

    `home` keeps the data clock (None: in memory); `embedded` accepts any credentials and starts the data
    clock at a fixed moment instead of the latest refresh; `data_time` sets where it starts or, over a stored
    one, stands. `job_seconds` of 0 answers jobs complete at once. `checksum` names what is sent with objects,
    or `none`. `now` is the real clock in seconds.
    """

    seed: int = 1
    scale: float = 1.0
    host: str = "127.0.0.1"
    port: int = 0
    home: Path | None = None
    embedded: bool = False
    client_id: str = "sandbox#client"
    client_secret: str = "sandbox-secret"  # noqa: S105  # opens synthetic data on loopback only
    scopes: tuple[str, ...] = ("sandbox",)
    job_seconds: float = 2.0
    url_seconds: int = 900
    token_seconds: int = 3600
    job_life_seconds: int = 86_400
    checksum: str = "crc32"
    ranges: bool = True
    budgets: bool = False
    faults: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    data_time: datetime | None = None
    part_rows: int = PART_ROWS
    spool_bytes: int = 2 << 30
    now: Callable[[], float] = time.time


class Sandbox:
    """A running sandbox, from entering to leaving it.

    Args:
        options: how it behaves.
        data: where rows come from, in tests; the synthetic data set of seed and scale otherwise.
    """

    def __init__(self, options: SandboxOptions | None = None, *, data: Data | None = None) -> None:
        self.options = options or SandboxOptions()
        self._data = data
        self._stack = AsyncExitStack()
        self._service: Service | None = None
        _require_loopback(self.options.host)

    @property
    def base_url(self) -> str:
        """Where it is served."""
        return self.service.base_url

    @property
    def client_id(self) -> str:
        """The client id that it accepts."""
        return self.options.client_id

    @property
    def client_secret(self) -> str:
        """The client secret that it accepts."""
        return self.options.client_secret

    @property
    def requests(self) -> Traffic:
        """What it was asked and what it sent."""
        return self.service.traffic

    @property
    def service(self) -> Service:
        """Its parts, while it runs."""
        if self._service is None:
            message = "the sandbox is not running"
            raise RuntimeError(message)
        return self._service

    def check_clock(self) -> None:
        """Raise OutputError when the data clock cannot be kept where it is stored."""
        self.service.moment.check()

    def data_seconds(self) -> float:
        """Return the moment of the data in seconds since the epoch."""
        return self.service.moment.now_ms() / 1000

    def advance(self, hours: float = 4) -> None:
        """Move the data clock on, and keep it where it is stored."""
        self.service.moment.advance(hours)

    def skip(self, seconds: float) -> None:
        """Let real time pass at once, for tokens, jobs and URLs."""
        self.service.real.skip(seconds)

    async def __aenter__(self) -> Self:
        # Reading the catalogue is work: the caller's event loop goes on meanwhile.
        service = await asyncio.to_thread(_build, self.options, self._data)
        self._stack.push_async_callback(asyncio.to_thread, service.spool.close)
        try:
            port = await self._listen(service)
        except BaseException:
            await self._stack.aclose()
            raise
        scheme = "http" if self.options.tls is None else "https"
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        service.base_url = f"{scheme}://{host}:{port}"
        self._service = service
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.closing.set()
        await self._stack.aclose()
        self._service = None

    async def _listen(self, service: Service) -> int:
        """Open the socket; return its port. Raises UsageError when the port cannot be had."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[counting(service)])
        add_api(app, service)
        Store(service).add_to(app)
        Control(service).add_to(app)
        app.on_response_prepare.append(dating(service))
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        options = self.options
        site = web.TCPSite(runner, options.host, options.port, ssl_context=options.tls)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"The sandbox cannot listen on {options.host} port {options.port}: {error.strerror}.",
                hint="Choose another port, or 0 for any free one.",
            ) from error
        return int(runner.addresses[0][1])


def _build(options: SandboxOptions, data: Data | None) -> Service:
    """Put the parts together; blocking."""
    source = data or Dataset(seed=options.seed, scale=options.scale, part_rows=options.part_rows)
    world = f"seed {options.seed}, scale {options.scale!r}, parts of {options.part_rows}"
    tables = [(namespace, table) for namespace in source.namespaces() for table in source.tables(namespace)]
    real = RealClock(options.now)
    first = FIRST_DATA_TIME if options.embedded else None
    first_ms = last_refresh(real.now_ms()) if first is None else milliseconds(first)
    moment = DataClock(first_ms, options.home)
    if options.data_time is not None:
        moment.set(milliseconds(options.data_time))
    times = JobTimes(takes_ms=int(options.job_seconds * 1000), lives_ms=options.job_life_seconds * 1000)
    account = Account(
        client_id=options.client_id,
        client_secret=options.client_secret,
        open=options.embedded,
        token_seconds=options.token_seconds,
    )
    return Service(
        options=ServiceOptions(
            checksum=options.checksum,
            ranges=options.ranges,
            url_seconds=options.url_seconds,
            scopes=options.scopes,
        ),
        real=real,
        moment=moment,
        backend=Backend(source, Identifiers(tables, world), real=real, moment=moment, times=times),
        login=Login(account, real.now_ms),
        budgets=Budgets() if options.budgets else None,
        faults=FaultPlan(options.faults, seed=options.seed),
        traffic=Traffic(),
        spool=Spool(source.write, limit=options.spool_bytes, algorithm=options.checksum),
        signer=Signer(world),
    )


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"The sandbox serves on loopback only, not on {host!r}.", hint="Use 127.0.0.1, ::1 or localhost."
        )
