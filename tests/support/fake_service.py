"""A fake session on a service in memory, with every fault that a test may need.

Jobs take a given time, objects are real gzip JSONL, and faults come from a seeded random source. `content` returns the
correct bytes of an object, for comparison with files.
"""

import asyncio
import base64
import gzip
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.session import Session
from dapkit.errors import ExpiredError, NetworkError, ServerError, TableNotFoundError, UnreachableError
from dapkit.events import Listener
from dapkit.export.options import ExportRequest
from dapkit.export.run import export
from dapkit.export.run_result import RunResult
from dapkit.model import Failure, Format, Job, JobStatus, Query


@dataclass
class Faults:
    """Probability of each fault, from 0 to 1."""

    api: float = 0.0
    failed_job: float = 0.0
    cut: float = 0.0
    corrupt: float = 0.0
    rejected: float = 0.0
    lost: float = 0.0


@dataclass
class FakeStream:
    """A response with a body that may be cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), 65536):
            yield self.body[start : start + 65536]
        if self.cut:
            raise NetworkError("the connection was lost")


@lru_cache(maxsize=1000)
def _content(object_id: str, rows: int) -> bytes:
    source = random.Random(object_id)
    lines = [f'{{"key":{{"id":{i}}},"value":{{"x":"{source.random()}"}},"meta":{{"ts":"t"}}}}\n' for i in range(rows)]
    return gzip.compress("".join(lines).encode(), mtime=0)


@dataclass
class FakeService:
    """Tables with a number of objects each; see the module. `rejections` are the store's first statuses."""

    clock: VirtualClock
    tables_objects: Mapping[str, int]
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    job_seconds: float = 30.0
    rows: int = 20
    ranges: bool = True
    identity: str = "https://fake.example"
    scope: str | None = None
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, tuple[str, float, bool]] = field(default_factory=dict)
    current: dict[tuple[str, Query], str] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    healed: bool = False
    suffix: str = ".jsonl.gz"
    checksums: bool = False
    rejections: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def sandbox(self) -> bool:
        return False

    @property
    def jobs_per_minute(self) -> int | None:
        return None

    def data_now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def strikes(self, probability: float) -> bool:
        return not self.healed and self.random.random() < probability

    def content(self, object_id: str) -> bytes:
        """Return the correct bytes of an object."""
        return _content(object_id, self.rows)

    async def tables(self, namespace: str) -> tuple[str, ...]:
        self.asked["list"] += 1
        if namespace != "canvas":
            raise UnreachableError("no")
        return tuple(self.tables_objects)

    async def submit(self, namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Job:
        self.asked["data"] += 1
        if table not in self.tables_objects:
            raise TableNotFoundError(f"no table {table}")
        if self.strikes(self.faults.api):
            raise ServerError("500")
        known = self.current.get((table, query))
        if known is None or self._expired(known):
            known = f"{table}-{len(self.jobs)}"
            self.jobs[known] = (table, self.clock.now(), self.strikes(self.faults.failed_job))
            self.current[table, query] = known
            self.queries[known] = query
        return self._job(known)

    async def poll(self, job_id: str) -> Job:
        self.asked["job"] += 1
        if self.strikes(self.faults.lost):
            self.jobs.pop(job_id, None)
        if self._expired(job_id):
            raise ExpiredError(f"no job {job_id}")
        return self._job(job_id)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        self.asked["url"] += 1
        if self.strikes(self.faults.lost):
            self.jobs.pop(object_ids[0].rsplit(".", 1)[0], None)
        if any(self._expired(each.rsplit(".", 1)[0]) for each in object_ids):
            raise ExpiredError("no object")
        return {each: f"https://store.example/{each}{self.suffix}?sig=1" for each in object_ids}

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[FakeStream]:
        object_id = url.rsplit("/", 1)[1].removesuffix(f"{self.suffix}?sig=1")
        self.asked["object"] += 1
        body = self.content(object_id)
        headers = {"ETag": f'"{object_id}"', "Content-Length": str(len(body))}
        if self.rejections or self.strikes(self.faults.rejected):
            yield FakeStream(self.rejections.pop(0) if self.rejections else 403, {}, b"<Error/>")
            return
        status = 200
        if offset and self.ranges and etag == headers["ETag"]:
            status = 206
            headers["Content-Range"] = f"bytes {offset}-{len(body) - 1}/{len(body)}"
            headers["Content-Length"] = str(len(body) - offset)
            body = body[offset:]
        elif self.checksums:
            headers["x-amz-checksum-crc32"] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        if self.strikes(self.faults.corrupt):
            index = self.random.randrange(len(body))
            body = body[:index] + bytes([body[index] ^ 0x40]) + body[index + 1 :]
        cut = self.strikes(self.faults.cut)
        if cut:
            body = body[: self.random.randrange(len(body))]
        self.sent[object_id] += len(body)
        yield FakeStream(status, headers, body, cut=cut)

    def _expired(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        return job is None or self.clock.now() - job[1] > 86_400

    def _job(self, job_id: str) -> Job:
        table, started, failed = self.jobs[job_id]
        expires = started + 86_400
        if self.clock.now() - started < self.job_seconds:
            return Job(id=job_id, status=JobStatus.RUNNING, expires_at=expires)
        if failed:
            for key, current in list(self.current.items()):
                if current == job_id:
                    del self.current[key]
            failure = Failure(type="ProcessingError", uuid="u", message="")
            return Job(id=job_id, status=JobStatus.FAILED, expires_at=expires, failure=failure)
        objects = tuple(f"{job_id}.{number}" for number in range(self.tables_objects[table]))
        done = Job(id=job_id, status=JobStatus.COMPLETE, expires_at=expires, objects=objects, schema_version=1)
        since = self.queries[job_id].since
        if since is None:
            return replace(done, at_text="2024-01-01T00:00:00Z")
        return replace(done, since_text=since, until_text=datetime.fromtimestamp(started, UTC).isoformat())


def as_session(fake: FakeService) -> Session:
    """Return the fake with the type of the session that it replaces."""
    return cast(Session, fake)


def wanted(output: Path, *, query: Query | None = None, **more: Any) -> ExportRequest:
    """Return a request for every table as JSONL, unless a test says otherwise."""
    asked = query or Query(format=Format.JSONL)
    settings: dict[str, Any] = {
        "namespace": "canvas",
        "tables": ("all",),
        "format": asked.format,
        "mode": asked.mode,
        "since": asked.since,
        "until": asked.until,
        "output": output,
        **more,
    }
    return ExportRequest(**settings)


def exported(fake: FakeService, options: ExportRequest, on_event: Listener = lambda _: None) -> RunResult:
    """Export in virtual time, to the end."""
    return run_virtually(export(as_session(fake), options, on_event), fake.clock)


def killed(fake: FakeService, options: ExportRequest, seconds: float) -> None:
    """Export in virtual time and stop after some seconds."""

    async def scenario() -> None:
        task = asyncio.ensure_future(export(as_session(fake), options, lambda _: None))
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.wait([task])

    run_virtually(scenario(), fake.clock)
