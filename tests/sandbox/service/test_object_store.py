"""The object store: signatures, ranges, headers."""

import base64
import gzip
import zlib
from typing import Any

import pytest

from dapkit.sandbox.service.checksums import ALGORITHMS, checksum


def test_headers(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        assert answer.headers["Content-Type"] == "application/jsonlines"
        assert "Content-Encoding" not in answer.headers
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert base64.b64decode(answer.headers["x-amz-checksum-crc32"]) == zlib.crc32(answer.body).to_bytes(4, "big")
        assert answer.headers["ETag"].startswith('"')
        assert len(gzip.decompress(answer.body).splitlines()) == 1000

    run(scenario)


@pytest.mark.parametrize(
    ("query_format", "media_type", "ending"),
    [
        ("tsv", "text/plain", ".tsv.gz"),
        ("csv", "text/csv", ".csv.gz"),
        ("jsonl", "application/jsonlines", ".jsonl.gz"),
        ("parquet", "application/parquet", ".parquet"),
    ],
)
def test_media_types_and_names(run: Any, query_format: str, media_type: str, ending: str) -> None:
    async def scenario(caller: Any) -> None:
        item = (await caller.objects(format=query_format))[0]
        url = (await caller.sign(item)).json["urls"][item]["url"]
        assert url.partition("?")[0].endswith(ending)
        assert (await caller.request("GET", url)).headers["Content-Type"] == media_type

    run(scenario)


def test_urls_expire_and_cannot_be_forged(run: Any, clock: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        plain = url.partition("?")[0]
        for wrong in (plain, url + "0", url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000")):
            answer = await caller.request("GET", wrong)
            assert answer.status == 403
            assert b"<Code>AccessDenied</Code>" in answer.body
        clock.now += 899
        assert (await caller.request("GET", url)).status == 200
        clock.now += 1
        assert (await caller.request("GET", url)).status == 403

    run(scenario)


def test_an_expired_object_is_not_found(run: Any, clock: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        clock.now += 100
        assert (await caller.request("GET", url)).status == 404

    run(scenario, job_life_seconds=60)


def test_only_get_and_only_without_credentials(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        assert (await caller.request("HEAD", url)).status == 403
        assert (await caller.request("PUT", url, data=b"x")).status == 403
        assert caller.sandbox.traffic.credential_leaks == []
        for headers in ({"Authorization": "Bearer x"}, {"x-instauth": "x"}):
            assert (await caller.request("GET", url, headers=headers)).status == 400
        assert len(caller.sandbox.traffic.credential_leaks) == 2

    run(scenario)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-5", -5, None), ("bytes=5-999999999", 5, None)],
)
def test_ranges(run: Any, wanted: str, start: int, stop: int | None) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        complete = await caller.request("GET", url)
        answer = await caller.request("GET", url, headers={"Range": wanted})
        assert answer.status == 206
        assert answer.body == complete.body[start:stop]
        size, first = len(complete.body), complete.body.index(answer.body)
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{size}"
        assert answer.headers["ETag"] == complete.headers["ETag"]
        assert "x-amz-checksum-crc32" not in answer.headers

    run(scenario)


@pytest.mark.parametrize("wanted", ["bytes=9999999-", "bytes=-0"])
def test_a_range_outside_is_rejected(run: Any, wanted: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url(), headers={"Range": wanted})
        assert answer.status == 416
        assert answer.headers["Content-Range"].startswith("bytes */")

    run(scenario)


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])
def test_an_invalid_range_is_ignored(run: Any, wanted: str) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.request("GET", await caller.url(), headers={"Range": wanted})).status == 200

    run(scenario)


def test_a_range_of_another_version_gives_the_complete_object(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        etag = (await caller.request("GET", url)).headers["ETag"]
        for given, status in ((etag, 206), ('"other"', 200)):
            headers = {"Range": "bytes=5-", "If-Range": given}
            assert (await caller.request("GET", url, headers=headers)).status == status

    run(scenario)


def test_ranges_and_checksums_can_be_switched_off(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url(), headers={"Range": "bytes=5-"})
        assert answer.status == 200
        assert "Accept-Ranges" not in answer.headers
        assert not any("checksum" in name for name in answer.headers)

    run(scenario, ranges=False, checksum="none")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_checksum_algorithm(run: Any, algorithm: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        sent = [name for name in answer.headers if "checksum" in name]
        assert sent == [f"x-amz-checksum-{algorithm}"]
        assert base64.b64decode(answer.headers[sent[0]]) == checksum(algorithm, [answer.body])

    run(scenario, checksum=algorithm)


def test_sent_bytes_are_counted(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        size = len((await caller.request("GET", url)).body)
        await caller.request("GET", url, headers={"Range": "bytes=0-9"})
        (count,) = caller.sandbox.traffic.objects.values()
        assert (count.requests, count.bytes, count.complete) == (2, size + 10, 1)
        assert caller.sandbox.traffic.object_bytes == size + 10

    run(scenario)
