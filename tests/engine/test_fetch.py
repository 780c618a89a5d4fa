"""How often, and for how long, one object is tried; and what is built on that was there before."""

import asyncio
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.fake_service import FakeService, FakeStream, exported, killed, wanted
from tests.support.virtual_time import VirtualClock

from dapkit.engine import fetch
from dapkit.engine.fetch import MOST_CORRUPT, MOST_REFUSALS, RefusedUrlError, Trouble
from dapkit.errors import DapError, DiskFullError, IntegrityError, NetworkError, ServerError, TlsError
from dapkit.model import Format, Query


def pauses(error: DapError, *, patience: float = 900.0) -> list[float]:
    trouble, now, seen = Trouble(patience), 0.0, list[float]()
    while (pause := trouble.pause(error, now)) is not None:
        seen.append(pause)
        now += pause
        assert len(seen) < 1000
    return seen


@pytest.mark.parametrize("error", [NetworkError("x"), ServerError("x")])
def test_what_may_pass_is_tried_with_growing_pauses_while_patience_lasts(error: DapError) -> None:
    seen = pauses(error)
    assert seen[:4] == [0.5, 1, 2, 4]
    assert max(seen) == 60
    assert 800 < sum(seen) <= 900


def test_progress_renews_patience_but_coming_as_far_as_before_does_not() -> None:
    trouble = Trouble(10.0)
    trouble.pause(NetworkError("x"), 0.0)
    trouble.reached(100)
    assert trouble.since is None
    trouble.pause(NetworkError("x"), 5.0)
    trouble.reached(100)
    assert trouble.since == 5.0


def test_corruption_refusals_and_what_cannot_pass_are_bounded() -> None:
    assert len(pauses(IntegrityError("x"))) == MOST_CORRUPT - 1
    refused = pauses(RefusedUrlError("x"))
    assert refused == [0, 1, 2, 4, 8, 16, 32], "a fresh URL at once, then growing pauses"
    assert len(refused) == MOST_REFUSALS - 1
    assert sum(pauses(RefusedUrlError("x"), patience=10.0)) <= 10
    assert pauses(TlsError("x")) == []
    assert pauses(DiskFullError("x")) == []


def test_a_refusal_counts_anew_once_more_of_the_object_came() -> None:
    trouble = Trouble(900.0)
    for total in range(1, 50):
        assert trouble.pause(RefusedUrlError("x"), 0.0) == 0
        trouble.reached(total)


@pytest.mark.parametrize("status", [403, 404, 408, 409, 425, 429, 500, 503])
def test_what_the_store_refuses_for_a_moment_is_borne(tmp_path: Path, status: int) -> None:
    fake = FakeService(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0, refusals=[status] * 3)
    result = exported(fake, wanted(tmp_path))
    assert result.failed == ()
    assert 2 < result.seconds < 10


def test_a_body_of_unknown_length_without_end_is_given_up_at_once_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Unannounced(clock=VirtualClock(), tables_objects={"users": 1}, job_seconds=0.0)
    assert exported(fake, wanted(tmp_path / "right")).failed == ()
    monkeypatch.setattr(fetch, "MOST_UNANNOUNCED", 100)
    result = exported(fake, wanted(tmp_path / "endless"))
    assert result.failed[0].error.code == "unexpected-answer"
    assert fake.asked["object"] == 2
    assert [path.name for path in (tmp_path / "endless" / "job_users-0").iterdir()] == []


class Unannounced(FakeService):
    """A store that says nothing of its objects."""

    @asynccontextmanager
    async def open(self, url: str, *, offset: int = 0, etag: str | None = None) -> AsyncIterator[FakeStream]:
        async with super().open(url, offset=offset, etag=etag) as stream:
            yield FakeStream(200, {}, stream.body)


PARQUET = Query(format=Format.PARQUET)


@dataclass
class ParquetStore(FakeService):
    """Parquet objects, large enough to be continued, of which the first one stops half way."""

    suffix: str = ".parquet"
    page_crcs: bool = False
    stops: bool = True

    def truth(self, object_id: str) -> bytes:
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
    """A body of which nothing comes after its first half."""

    async def chunks(self) -> AsyncIterator[bytes]:
        half = len(self.body) // 2
        for start in range(0, half, 65536):
            yield self.body[start : min(start + 65536, half)]
        await asyncio.sleep(1e6)


def store(proof: str, *, stops: bool) -> ParquetStore:
    return ParquetStore(
        clock=VirtualClock(),
        tables_objects={"users": 1},
        job_seconds=0.0,
        checksums=proof == "checksum",
        page_crcs=proof == "page CRCs",
        stops=stops,
    )


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize(("proof", "continued"), [("checksum", True), ("page CRCs", True), ("none", False)])
def test_an_interrupted_parquet_file_is_continued_only_where_a_hole_in_it_would_be_found(
    tmp_path: Path, proof: str, continued: bool, hole: bool
) -> None:
    fake = store(proof, stops=True)
    killed(fake, wanted(tmp_path, query=PARQUET), 60.0)
    part = tmp_path / "job_users-0" / ".users-0.0.parquet.part"
    content = bytearray(part.read_bytes())
    assert len(content) > 1 << 20
    if hole:
        content[500_000:504_096] = bytes(4096)  # what a power loss leaves of a page that was not flushed
        part.write_bytes(content)
    fake.stops = False
    fake.sent.clear()
    assert exported(fake, wanted(tmp_path, query=PARQUET)).failed == ()
    whole = fake.truth("")
    assert (tmp_path / "job_users-0" / "users-0.0.parquet").read_bytes() == whole
    assert (fake.sent.total() < len(whole)) == (continued and not hole)


@pytest.mark.parametrize("proof", ["checksum", "page CRCs", "none"])
@pytest.mark.parametrize("hole", [False, True])
def test_a_parquet_file_that_is_not_ours_is_kept_only_where_a_hole_in_it_would_be_found(
    tmp_path: Path, proof: str, hole: bool
) -> None:
    fake = store(proof, stops=False)
    whole = fake.truth("")
    found = bytearray(whole)
    if hole:
        found[500_000:504_096] = bytes(4096)
    place = tmp_path / "job_users-0" / "users-0.0.parquet"
    place.parent.mkdir()
    place.write_bytes(found)
    before = place.stat().st_ino
    assert exported(fake, wanted(tmp_path, query=PARQUET)).failed == ()
    assert place.read_bytes() == whole
    assert (place.stat().st_ino == before) == (proof != "none" and not hole)
