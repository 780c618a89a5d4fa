"""The options and the parts of one running sandbox, which routes, object store and control API share."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dapkit.sandbox.data.dataset import PART_ROWS
from dapkit.sandbox.faults import FaultPlan, InjectedFault
from dapkit.sandbox.service.auth import TokenIssuer
from dapkit.sandbox.service.backend import Backend
from dapkit.sandbox.service.clock import DataClock, RealClock
from dapkit.sandbox.service.object_cache import ObjectCache
from dapkit.sandbox.service.rate_limits import Budgets
from dapkit.sandbox.service.signing import UrlSigner
from dapkit.sandbox.service.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox behaves.

    `home` is the folder of the data clock (None: in memory). `embedded` accepts any credentials, and starts the data
    clock at a fixed time instead of the latest refresh. `data_time` sets the data clock, also a stored one.
    `job_seconds` of 0 completes jobs at once. `scopes` of the account: a single one is the default, of several the
    caller must name one. `checksum` is the algorithm of the checksum that is sent with objects, or `none`. `ranges`
    supports Range requests. `qualified_errors` sends error types as qualified class names. `now` is the real clock in
    seconds.
    """

    seed: int = 1
    scale: float = 1.0
    host: str = "127.0.0.1"
    port: int = 0
    home: Path | None = None
    embedded: bool = False
    client_id: str = "sandbox#client"
    client_secret: str = field(default="sandbox-secret", repr=False)  # of synthetic data, on loopback only
    scopes: tuple[str, ...] = ("sandbox",)
    job_seconds: float = 2.0
    url_seconds: int = 900
    token_seconds: int = 3600
    job_life_seconds: int = 86_400
    checksum: str = "crc32"
    ranges: bool = True
    budgets: bool = False
    qualified_errors: bool = False
    faults: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    data_time: datetime | None = None
    part_rows: int = PART_ROWS
    cache_bytes: int = 2 << 30
    now: Callable[[], float] = time.time


@dataclass(slots=True, kw_only=True)
class SandboxState:
    """The parts of a running sandbox. `base_url` is set once the socket is bound; `closing` is set on shutdown."""

    options: SandboxOptions
    real_clock: RealClock
    data_clock: DataClock
    backend: Backend
    tokens: TokenIssuer
    budgets: Budgets | None
    faults: FaultPlan
    traffic: Traffic
    cache: ObjectCache
    signer: UrlSigner
    base_url: str = ""
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def decide_fault(self, endpoint: str, table: str | None) -> InjectedFault | None:
        """Return the fault to inject into one request, if any, and count it."""
        fault = self.faults.decide(endpoint, table)
        if fault is not None:
            self.traffic.faults[fault.rule.text] += 1
        return fault
