"""A small dataset of fake rows for the tests of the service, and a client that speaks plain HTTP to it."""

import asyncio
import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from dapkit.sandbox.data.dataset import DataQuery, Part
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions

EPOCH_MS = 1_627_776_000_000  # 2021-08-01T00:00Z
LOG_RETENTION_MS = 30 * 86_400_000
START_MS = 1_788_220_800_000  # 2026-09-01T00:00Z
TABLES = {"canvas": ("courses", "users", "wikis"), "canvas_logs": ("web_logs",), "edge": ("nothing",)}


class FakeData:
    """A snapshot has three objects of 1,000 rows, an increment one, and an empty interval none."""

    def __init__(self) -> None:
        self.written: list[Part] = []
        self.fails = False

    def namespaces(self) -> tuple[str, ...]:
        return tuple(TABLES)

    def tables(self, namespace: str) -> tuple[str, ...]:
        return TABLES[namespace]

    def schema(self, namespace: str, table: str, at_ms: int) -> tuple[dict[str, Any], int]:
        return {"title": f"{namespace}.{table}", "type": "object"}, 7

    def earliest(self, namespace: str, table: str, now_ms: int) -> int:
        return now_ms - LOG_RETENTION_MS if namespace == "canvas_logs" else EPOCH_MS

    def parts(self, query: DataQuery) -> tuple[Part, ...]:
        count = 3 if query.since_ms is None else int(query.since_ms < query.until_ms)
        return tuple(Part(query=query, ranges=((index * 1000, index * 1000 + 1000),)) for index in range(count))

    def write(self, part: Part, path: Path) -> int:
        self.written.append(part)
        if self.fails:
            raise RuntimeError("disk failure")
        lines = "".join(json.dumps({"key": {"id": row}}) + "\n" for row in range(*part.ranges[0]))
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))
        return 1000


class FakeTime:
    """A clock in seconds that only a test advances."""

    def __init__(self) -> None:
        self.now = START_MS / 1000 + 3600

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Answer:
    """A response that has been read."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Calls one sandbox like a well-behaved client, unless a test says otherwise."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http
        self.token: str | None = None
        self.more: dict[str, Any] = {}

    async def request(self, method: str, target: str, *, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        url = target if target.startswith("http") else self.sandbox.base_url + target
        more = {"allow_redirects": False} | self.more | more
        async with self.http.request(method, URL(url, encoded=True), headers=headers, **more) as response:
            return Answer(response.status, response.headers, await response.read())

    async def ask_login(self) -> Answer:
        headers = {"Authorization": basic(self.sandbox.client_id, self.sandbox.client_secret)}
        form = {"grant_type": "client_credentials"}
        return await self.request("POST", "/ids/auth/login", headers=headers, data=form)

    async def login(self) -> str:
        answer = await self.ask_login()
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])

    async def call(self, method: str, target: str, **more: Any) -> Answer:
        if self.token is None:
            self.token = await self.login()
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return await self.request(method, "/dap" + target, headers=headers, **more)

    async def submit(self, table: str = "canvas/table/users", **query: str) -> Answer:
        return await self.call("POST", f"/query/{table}/data", json={"format": "jsonl"} | query)

    async def objects(self, table: str = "canvas/table/users", **query: str) -> list[str]:
        answer = await self.submit(table, **query)
        assert answer.status == 200, answer.body
        return [item["id"] for item in answer.json["objects"]]

    async def sign(self, *identifiers: str) -> Answer:
        return await self.call("POST", "/object/url", json=[{"id": item} for item in identifiers])

    async def url(self) -> str:
        """Return a signed URL of the first object of a snapshot."""
        identifier = (await self.objects())[0]
        return str((await self.sign(identifier)).json["urls"][identifier]["url"])


def basic(client_id: str, client_secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()


Run = Callable[..., Any]


@pytest.fixture
def data() -> FakeData:
    return FakeData()


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def run(data: FakeData, clock: FakeTime) -> Run:
    """Run a scenario against a sandbox whose jobs are instant. Its data is fake, unless `real` is given."""

    def play(scenario: Callable[[Caller], Awaitable[None]], *, real: bool = False, **options: Any) -> None:
        async def main() -> None:
            given: dict[str, Any] = {"job_seconds": 0.0, "now": clock} | options
            async with (
                Sandbox(SandboxOptions(**given), data=None if real else data) as sandbox,
                aiohttp.ClientSession(auto_decompress=False) as http,
            ):
                await scenario(Caller(sandbox, http))

        asyncio.run(main())

    return play
