"""The parts of one running sandbox, put together: what routes, store and control work on."""

import asyncio
from dataclasses import dataclass, field

from dapkit.sandbox.faults.rules import FaultPlan, Occurrence
from dapkit.sandbox.service.auth import Login
from dapkit.sandbox.service.backend import Backend
from dapkit.sandbox.service.clock import DataClock, RealClock
from dapkit.sandbox.service.object_cache import Spool
from dapkit.sandbox.service.rate_limits import Budgets
from dapkit.sandbox.service.signing import Signer
from dapkit.sandbox.service.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What the store and the API offer. An account with one scope has it by default, with several none."""

    checksum: str = "crc32"
    ranges: bool = True
    url_seconds: int = 900
    scopes: tuple[str, ...] = ("sandbox",)


@dataclass(slots=True, kw_only=True)
class Service:
    """The parts, and the address they are served at (known once the socket is bound)."""

    options: ServiceOptions
    real: RealClock
    moment: DataClock
    backend: Backend
    login: Login
    budgets: Budgets | None
    faults: FaultPlan
    traffic: Traffic
    spool: Spool
    signer: Signer
    base_url: str = ""
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def decide(self, endpoint: str, table: str | None) -> Occurrence | None:
        """Throw the dice for one request and count what happens."""
        occurrence = self.faults.decide(endpoint, table)
        if occurrence is not None:
            self.traffic.faults[occurrence.fault.text] += 1
        return occurrence
