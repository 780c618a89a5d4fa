"""How close `--table all` comes to the shortest possible duration, in virtual time.

The export and the session, with its rate limiter, run against a service in memory that enforces the published rate
limits; only the clock and the network are replaced. The shortest duration: five jobs can be created per minute, in the
requested order, and a table cannot be complete before its job.

    python bench/makespan.py
"""

import gzip
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.credentials import Credentials
from dapkit.client.http import HttpRequest, HttpResponse
from dapkit.client.session import Session, SessionOptions
from dapkit.export.options import ExportRequest
from dapkit.export.run import export
from dapkit.model import Format

TABLES = 120
LATENCY = 0.2  # seconds per request
BUDGETS = {"login": 10_000, "list": 5, "data": 5, "job": 500, "url": 200}
CREATED_A_MINUTE = 5
BODY = gzip.compress(b'{"key":{"id":1},"value":{},"meta":{"ts":"2024-01-01T00:00:00Z"}}\n')


@dataclass
class Body:
    """The response to a request for an object."""

    status: int
    headers: Mapping[str, str]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the object."""
        yield BODY


@dataclass
class BudgetedService:
    """A transport to a service that enforces its rate limits exactly."""

    clock: VirtualClock
    seconds: Mapping[str, float]  # duration of each table's job
    started: dict[str, float] = field(default_factory=dict)
    arrivals: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    asked: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer one request to the API."""
        await self.clock.sleep(LATENCY / 2)
        answer = self._answer(request)
        await self.clock.sleep(LATENCY / 2)
        return answer

    def _answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url).path.strip("/").split("/")
        endpoint = {"ids": "login", "object": "url"}.get(parts[0] if parts[0] == "ids" else parts[1], "")
        endpoint = endpoint or {"job": "job"}.get(parts[1], "data" if parts[-1] == "data" else "list")
        self.asked[endpoint] += 1
        if not self._within_budget(endpoint):
            self.refused += 1
            return HttpResponse(status=429, headers={"Retry-After": "60"}, body=b"{}")
        if endpoint == "login":
            token = {"access_token": "t", "token_type": "bearer", "expires_in": 3600, "scope": ""}
            return self._json(token)
        if endpoint == "list":
            return self._json({"tables": list(self.seconds)})
        if endpoint == "url":
            ids = [item["id"] for item in json.loads(request.body or b"[]")]
            return self._json({"urls": {each: {"url": f"https://store.example/{each}"} for each in ids}})
        table = parts[-1] if endpoint == "job" else parts[-2]
        self.started.setdefault(table, self.clock.now())
        return self._json(self._job(table))

    def _within_budget(self, endpoint: str) -> bool:
        times, now = self.arrivals[endpoint], self.clock.now()
        while times and times[0] <= now - 60:
            times.popleft()
        if len(times) >= BUDGETS[endpoint]:
            return False
        times.append(now)
        return True

    def _job(self, table: str) -> dict[str, object]:
        if self.clock.now() - self.started[table] < self.seconds[table]:
            return {"id": table, "status": "running"}
        at = "2024-01-01T00:00:00Z"
        return {"id": table, "status": "complete", "objects": [{"id": f"{table}.gz"}], "schema_version": 1, "at": at}

    def _json(self, content: object) -> HttpResponse:
        return HttpResponse(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(content).encode())

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[Body]:
        """Send an object."""
        await self.clock.sleep(LATENCY)
        assert request.method == "GET"
        yield Body(200, {"Content-Length": str(len(BODY))})

    async def close(self) -> None:
        """Nothing to close."""


async def snapshot(service: BudgetedService, output: Path) -> float:
    """Take the snapshot and return its duration in seconds."""
    options = SessionOptions(
        base_url="https://service.example", credentials=Credentials("id", "secret"), user_agent="bench"
    )
    wanted = ExportRequest(namespace="canvas", tables=("all",), format=Format.JSONL, output=output)
    async with Session(options, clock=service.clock, transport=service) as session:
        result = await export(session, wanted, lambda _: None)
    assert len(result.done) == TABLES, result.failed
    return result.seconds


def bound(seconds: Mapping[str, float]) -> float:
    """Return the shortest possible duration: the limit on new jobs, and the jobs themselves, in this order."""
    return max(60.0 * (place // CREATED_A_MINUTE) + each for place, each in enumerate(seconds.values()))


def main() -> None:
    """Measure with several random sets of job durations."""
    print("| seed | shortest (s) | makespan (s) | ratio | 429 | requests |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for seed in range(5):
        source = random.Random(seed)
        seconds = {f"table_{number:03}": source.uniform(30, 120) for number in range(TABLES)}
        clock = VirtualClock()
        service = BudgetedService(clock=clock, seconds=seconds)
        with tempfile.TemporaryDirectory() as folder:
            took = run_virtually(snapshot(service, Path(folder)), clock)
        least = bound(seconds)
        worst = max(worst, took / least)
        asked = ", ".join(f"{name} {count}" for name, count in service.asked.items())
        print(f"| {seed} | {least:.0f} | {took:.0f} | {took / least:.3f} | {service.refused} | {asked} |")
    print(f"\nworst ratio {worst:.3f} (target: at most 1.05, without a 429)")


if __name__ == "__main__":
    main()
