"""How often and for how long one object is tried, with which URL, and what is kept of an earlier attempt."""

import asyncio
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.fake_service import FakeService, FakeStream, exported, killed, wanted
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.session import Session
from dapkit.errors import DapError, DiskFullError, IntegrityError, NetworkError, RateLimitedError, ServerError, TlsError
from dapkit.export.options import ExportRequest
from dapkit.export.run import export
from dapkit.model import Format, Query
from dapkit.protocol.retry import FailedAttempt as Failure
from dapkit.protocol.retry import RetryPolicy
from dapkit.transfer import object_download
from dapkit.transfer.object_download import MAX_CORRUPT, MAX_REJECTIONS, RejectedUrlError, RetryDownload, RetryState


def attempts(error: DapError, *, demand: float | None = None) -> list[RetryDownload]:
    retries, seen = RetryState(RetryPolicy()), list[RetryDownload]()
    while isinstance(again := retries.next(Failure(error=error, retry_after=demand), 0.0, 0.0), RetryDownload):
        seen.append(again)
        assert len(seen) < 1000
    return seen


@pytest.mark.parametrize("error", [NetworkError("x"), ServerError("x")])
def test_temporary_errors_are_retried_with_growing_pauses_until_the_timeout(error: DapError) -> None:
    pauses = [again.pause for again in attempts(error)]
    assert pauses[:3] == [0.5, 0.75, 1.125]
    assert max(pauses) == 60
    assert 900 <= sum(pauses) <= 960


def test_only_progress_beyond_the_furthest_byte_restarts_the_timeout() -> None:
    retries = RetryState(RetryPolicy())
    failure = Failure(error=NetworkError("x"))
    pauses = []
    for reached in (0, 100, 100, 200):
        retries.progress(reached)
        again = retries.next(failure, 1.0, 0.0)
        assert isinstance(again, RetryDownload)
        pauses.append(again.pause)
    assert pauses == [0.5, 0.5, 0.75, 0.5]
    assert retries.history.seconds == 1.5


def test_corruption_rejections_and_permanent_errors_are_limited() -> None:
    assert len(attempts(IntegrityError("x"))) == MAX_CORRUPT - 1
    rejected = attempts(RejectedUrlError("x"))
    assert rejected[0] == RetryDownload(0.0, fresh_url=True), "most likely it had expired"
    assert len(rejected) == MAX_REJECTIONS - 1
    assert [each.pause for each in rejected] == sorted(each.pause for each in rejected)
    assert 5 < sum(each.pause for each in rejected) < 60
    assert attempts(TlsError("x")) == []
    assert attempts(DiskFullError("x")) == []


def test_a_pause_after_429_is_respected_and_does_not_count_towards_the_timeout() -> None:
    seen = attempts(RateLimitedError("x"), demand=100.0)
    assert seen == [RetryDownload(100.0)] * 29
    final = RetryState(RetryPolicy()).next(Failure(error=RateLimitedError("x"), retry_after=7200.0), 0.0, 0.0)
    assert isinstance(final, RateLimitedError)
    assert "7200 seconds" in final.message


def test_only_errors_that_the_url_may_cause_get_a_fresh_one() -> None:
    assert all(again.fresh_url for again in attempts(IntegrityError("x")))
    assert not any(again.fresh_url for again in attempts(NetworkError("x")))
    assert not any(again.fresh_url for again in attempts(ServerError("x")))


class Store(FakeService):
    """Answers the first requests for objects with given statuses and headers."""

    def __init__(self, *first: tuple[int, dict[str, str]], objects: int = 1) -> None:
        super().__init__(VirtualClock(), {"users": objects}, job_seconds=0.0)
        self.first = list(first)
        self.opened: list[float] = []
        self.open = self._open  # type: ignore[method-assign] # instead of the right answers

    def _open(self, url: str, **more: Any) -> Any:
        self.opened.append(self.clock.elapsed)
        return super().open(url, **more) if not self.first else _Rejection(FakeStream(*self.first.pop(0), b""))

    def run(self, output: Path) -> None:
        wanted = ExportRequest(namespace="canvas", tables=("users",), format=Format.JSONL, output=output, concurrency=2)
        result = run_virtually(export(cast(Session, self), wanted, lambda _: None), self.clock)
        assert result.failed == ()


class _Rejection:
    def __init__(self, stream: FakeStream) -> None:
        self.stream = stream

    async def __aenter__(self) -> FakeStream:
        return self.stream

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("status", "urls"), [(429, 1), (503, 1), (403, 2)], ids=["rate limit", "busy", "URL rejected"])
def test_a_url_is_used_again_unless_it_may_be_the_cause(tmp_path: Path, status: int, urls: int) -> None:
    store = Store((status, {}))
    store.run(tmp_path)
    assert (len(store.opened), store.asked["url"]) == (2, urls)


@pytest.mark.parametrize("demand", ["45", "Tue, 14 Nov 2023 22:14:05 GMT"])
def test_no_object_is_requested_until_the_pause_after_429_is_over(tmp_path: Path, demand: str) -> None:
    headers = {"Retry-After": demand, "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    store = Store((429, headers), objects=10)
    store.run(tmp_path)
    assert len(store.opened) == 11
    assert store.opened[0] == 0
    assert min(store.opened[1:]) >= 45
    assert store.asked["url"] == 1


def test_a_busy_store_delays_only_the_requested_object(tmp_path: Path) -> None:
    store = Store((503, {"Retry-After": "30"}), objects=10)
    store.run(tmp_path)
    assert len(store.opened) == 11
    assert store.opened[-2] < 30 <= store.opened[-1]


def test_rejections_are_counted_from_zero_after_progress() -> None:
    retries = RetryState(RetryPolicy())
    for total in range(1, 50):
        again = retries.next(Failure(error=RejectedUrlError("x")), 0.0, 0.0)
        assert again == RetryDownload(0.0, fresh_url=True)
        retries.progress(total)


@pytest.mark.parametrize("status", [403, 404, 408, 409, 425, 500, 503])
def test_temporary_rejections_by_the_store_are_retried(tmp_path: Path, status: int) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0, rejections=[status] * 3)
    result = exported(fake, wanted(tmp_path))
    assert result.failed == ()
    assert 0.5 < result.seconds < 10


def test_an_endless_body_of_unknown_length_is_given_up_at_once_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Unannounced(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0)
    assert exported(fake, wanted(tmp_path / "right")).failed == ()
    monkeypatch.setattr(object_download, "MAX_UNANNOUNCED_SIZE", 100)
    result = exported(fake, wanted(tmp_path / "endless"))
    assert result.failed[0].error.code == "unexpected-response"
    assert fake.asked["object"] == 2
    assert [path.name for path in (tmp_path / "endless" / "job_users-0").iterdir()] == []


class Unannounced(FakeService):
    """A store that sends no headers."""

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[FakeStream]:
        async with super().open(url, offset=offset, etag=etag) as stream:
            yield FakeStream(200, {}, stream.body)


PARQUET = Query(format=Format.PARQUET)


@dataclass
class ParquetStore(FakeService):
    """Parquet objects that are large enough to be continued. While `stops` is set, they stop half way."""

    suffix: str = ".parquet"
    page_crcs: bool = False
    stops: bool = True

    def content(self, object_id: str) -> bytes:
        out = io.BytesIO()
        numbers = pa.py_buffer(random.Random(7).randbytes(8 * 300_000))
        column = pa.Array.from_buffers(pa.int64(), 300_000, [None, numbers])
        pq.write_table(pa.table({"id": column}), out, compression="none", use_dictionary=False,
                       write_page_checksum=self.page_crcs)  # fmt: skip
        return out.getvalue()

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[Any]:
        async with super().open(url, offset=offset, etag=etag) as stream:
            yield Stopping(stream.status, stream.headers, stream.body) if self.stops else stream


class Stopping(FakeStream):
    """A body that stalls after its first half."""

    async def chunks(self) -> AsyncIterator[bytes]:
        half = len(self.body) // 2
        for start in range(0, half, 65536):
            yield self.body[start : min(start + 65536, half)]
        await asyncio.sleep(1e6)


def store(verification: str, *, stops: bool) -> ParquetStore:
    return ParquetStore(
        clock=VirtualClock(),
        tables_objects={"users": 1},
        job_seconds=0.0,
        checksums=verification == "checksum",
        page_crcs=verification == "page CRCs",
        stops=stops,
    )


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(("verification", "continued"), [("checksum", True), ("page CRCs", True), ("none", False)])
def test_an_interrupted_parquet_file_is_resumed_only_if_gaps_would_be_detected(
    tmp_path: Path, verification: str, continued: bool, gap: bool
) -> None:
    fake = store(verification, stops=True)
    killed(fake, wanted(tmp_path, query=PARQUET), 60.0)
    part = tmp_path / "job_users-0" / ".users-0.0.parquet.part"
    content = bytearray(part.read_bytes())
    assert len(content) > 1 << 20
    if gap:
        content[500_000:504_096] = bytes(4096)  # what a power loss leaves of a page that was not flushed
        part.write_bytes(content)
    fake.stops = False
    fake.sent.clear()
    assert exported(fake, wanted(tmp_path, query=PARQUET)).failed == ()
    expected = fake.content("")
    assert (tmp_path / "job_users-0" / "users-0.0.parquet").read_bytes() == expected
    assert (fake.sent.total() < len(expected)) == (continued and not gap)


@pytest.mark.parametrize("verification", ["checksum", "page CRCs", "none"])
@pytest.mark.parametrize("gap", [False, True])
def test_an_unrecorded_parquet_file_is_kept_only_if_gaps_would_be_detected(
    tmp_path: Path, verification: str, gap: bool
) -> None:
    fake = store(verification, stops=False)
    expected = fake.content("")
    found = bytearray(expected)
    if gap:
        found[500_000:504_096] = bytes(4096)
    path = tmp_path / "job_users-0" / "users-0.0.parquet"
    path.parent.mkdir()
    path.write_bytes(found)
    before = path.stat().st_ino
    assert exported(fake, wanted(tmp_path, query=PARQUET)).failed == ()
    assert path.read_bytes() == expected
    assert (path.stat().st_ino == before) == (verification != "none" and not gap)
