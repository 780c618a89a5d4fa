"""Every kind of fault as a client sees it."""

import asyncio
import gzip
import json
import zlib
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest

LIST = "/query/canvas/table"


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("500@list", 500, "ProcessingError"),
        ("502@list", 502, "ProcessingError"),
        ("503@list", 503, "ProcessingError"),
        ("429@list", 429, "TooManyRequests"),
        ("401", 401, "AuthenticationError"),
        ("403", 403, "RequestTypeForbidden"),
        ("account-disabled", 403, "AccountDisabled"),
        ("account-not-onboarded", 403, "AccountNotOnboarded"),
        ("account-maintenance", 403, "AccountUnderMaintenance"),
    ],
)
def test_errors(run: Any, fault: str, status: int, kind: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.call("GET", LIST)
        assert (answer.status, answer.json["error"]["type"]) == (status, kind)
        assert caller.sandbox.traffic.faults == {fault: 1}

    run(scenario, faults=(fault,))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("out-of-range", "com.example.OutOfRangeError"),
        ("snapshot-required", "com.example.SnapshotRequiredError"),
        ("500@data", "com.example.ProcessingError"),
        ("failed-job", "com.example.ProcessingError"),
    ],
)
def test_qualified_types_of_errors(run: Any, fault: str, kind: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.submit(since="2026-08-31T00:00:00Z")
        assert answer.json["error"]["type"] == kind

    run(scenario, faults=(fault,), qualified_errors=True)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("504@list", 504, b'{"error": {"message": "Endpoint request timed out"}}'),
        ("empty-error@list", 500, b"{}"),
        ("invalid-json@list", 200, b'{"id": "\xff\xfe'),
    ],
)
def test_unusual_error_bodies(run: Any, fault: str, status: int, body: bytes) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.call("GET", LIST)
        assert (answer.status, answer.body) == (status, body)

    run(scenario, faults=(fault,))


@pytest.mark.parametrize(("fault", "status"), [("html", 200), ("html-error", 502)])
def test_pages(run: Any, fault: str, status: int) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.call("GET", LIST)
        assert answer.status == status
        assert answer.headers["Content-Type"].startswith("text/html")

    run(scenario, faults=(f"{fault}@list",))


@pytest.mark.parametrize(
    ("fault", "pause"),
    [("429@list", "1"), ("429:7s@list", "7"), ("429:60s:date@list", "Tue, 01 Sep 2026 01:01:00 GMT")],
)
def test_retry_after(run: Any, fault: str, pause: str) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.call("GET", LIST)).headers["Retry-After"] == pause

    run(scenario, faults=(fault,))


def test_login_can_fail_too(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        with pytest.raises(AssertionError):
            await caller.login()
        assert await caller.login()

    run(scenario, faults=("500:x1@login",))


def test_a_dropped_connection(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        await caller.login()
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.call("GET", LIST)
        assert caller.sandbox.traffic.responses["list", 0] >= 1

    run(scenario, faults=("drop@list",))


def test_a_lost_response_still_creates_the_job(run: Any, data: Any) -> None:
    async def scenario(caller: Any) -> None:
        await caller.login()
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.submit()
        again = await caller.submit()
        assert again.json["status"] == "complete"

    run(scenario, faults=("lost-response:x1@data",))


def test_slow_and_stalled_responses(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.call("GET", LIST)).status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.call("GET", LIST)

    run(scenario, faults=("slow:0.01s:x1@list", "stall:0.01s@list"))


def test_a_stall_without_duration_ends_with_the_sandbox(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        await caller.login()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.call("GET", LIST), 0.05)

    run(scenario, faults=("stall@list",))


def test_an_api_call_is_redirected_to_another_host(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.call("GET", LIST)
        assert answer.status == 307
        target = urlsplit(answer.headers["Location"])
        assert (target.hostname, target.path) == ("localhost", "/elsewhere/dap/query/canvas/table")
        assert caller.sandbox.traffic.credential_leaks == []
        here = target._replace(netloc=urlsplit(caller.sandbox.base_url).netloc).geturl()
        await caller.request("GET", here, headers={"Authorization": "Bearer x"})
        assert caller.sandbox.traffic.credential_leaks == ["credentials sent to another host"]

    run(scenario, faults=("redirect@list",))


def test_an_object_is_redirected_to_itself(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        target = urlsplit(answer.headers["Location"])
        assert (answer.status, target.hostname) == (307, "localhost")
        here = urlsplit(caller.sandbox.base_url).netloc
        answer = await caller.request("GET", target._replace(netloc=here).geturl(), headers={"Host": target.netloc})
        assert answer.status == 200

    run(scenario, faults=("redirect@object",))


@pytest.mark.parametrize("endpoint", ["login", "list", "schema", "data", "job", "url"])
def test_a_required_field_is_missing(run: Any, endpoint: str) -> None:
    async def scenario(caller: Any) -> None:
        job = (await caller.submit()).json
        calls: dict[str, tuple[str, str, dict[str, Any]]] = {
            "list": ("GET", LIST, {}),
            "schema": ("GET", LIST + "/users/schema", {}),
            "data": ("POST", LIST + "/users/data", {"json": {"format": "jsonl"}}),
            "job": ("GET", f"/job/{job['id']}", {}),
            "url": ("POST", "/object/url", {"json": [job["objects"][0]]}),
        }
        caller.sandbox.state.faults.replace([f"missing-field@{endpoint}"])
        if endpoint == "login":
            corrupted = (await caller.ask_login()).json
            complete = {"access_token": "", "expires_in": 0, "scope": "", "token_type": ""}
        else:
            method, target, more = calls[endpoint]
            corrupted = (await caller.call(method, target, **more)).json
            caller.sandbox.state.faults.replace([])
            complete = (await caller.call(method, target, **more)).json
        assert len(set(complete) - set(corrupted)) == 1
        assert set(corrupted) < set(complete)

    run(scenario)


def test_unknown_fields_and_states(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        assert set((await caller.call("GET", LIST)).json) == {"tables", "x_new", "x_note"}
        assert (await caller.submit()).json["status"] == "archived"

    run(scenario, faults=("extra-fields@list", "unknown-state@data"))


def test_a_job_expires_early(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        first = (await caller.submit()).json
        answer = await caller.call("GET", f"/job/{first['id']}")
        assert (answer.status, answer.json["error"]["kind"]) == (404, "job")
        assert (await caller.sign(first["objects"][0]["id"])).status == 404
        second = (await caller.submit()).json
        assert second["id"] != first["id"]
        assert (await caller.call("GET", f"/job/{second['id']}")).status == 200

    run(scenario, faults=("expired-job:x1",))


def test_a_failed_job(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.submit()).json["status"] == "failed"
        assert (await caller.submit("canvas/table/courses")).json["status"] == "complete"

    run(scenario, faults=("failed-job:users",))


def test_expired_urls(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.request("GET", await caller.url())).status == 403
        assert (await caller.request("GET", await caller.url())).status == 200

    run(scenario, faults=("expired-url:x1",))


def test_urls_with_unsafe_names_lead_to_the_object(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        urls = [await caller.url() for _ in range(40)]
        names = {unquote(url.partition("?")[0].rpartition("/")[2]): url for url in urls}
        for url in names.values():
            answer = await caller.request("GET", url)
            assert (answer.status, len(gzip.decompress(answer.body).splitlines())) == (200, 1000)
        assert {"../../evil", "..", "evil\x00name", "..\\..\\evil"} <= set(names)

    run(scenario, faults=("unsafe-name",))


def test_objects_of_one_name(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        items = await caller.objects()
        urls = (await caller.sign(*items)).json["urls"]
        names = {urls[item]["url"].partition("?")[0].rpartition("/")[2] for item in items}
        assert names == {"part.jsonl.gz"}

    run(scenario, faults=("same-name",))


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("missing-object", 404, "NoSuchKey"),
        ("503", 503, "SlowDown"),
        ("500", 500, "InternalError"),
        ("429", 429, "TooMany"),
    ],
)
def test_the_store_can_fail(run: Any, fault: str, status: int, code: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        assert answer.status == status
        assert f"<Code>{code}".encode() in answer.body

    run(scenario, faults=(f"{fault}@object",))


@pytest.mark.parametrize("fault", ["cut", "stall:0.01s"])
def test_a_body_that_ends_early(run: Any, fault: str) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        for _ in range(5):
            with pytest.raises(aiohttp.ClientPayloadError):
                await caller.request("GET", url)
        (count,) = caller.sandbox.traffic.objects.values()
        assert (count.requests, count.complete) == (5, 0)
        assert count.bytes > 0

    run(scenario, faults=(f"{fault}@object",))


def test_a_cut_download_can_be_resumed(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        url, got = await caller.url(), b""
        while True:
            try:
                async with caller.http.get(url, headers={"Range": f"bytes={len(got)}-"}) as response:
                    async for chunk in response.content.iter_any():
                        got += chunk
                break
            except aiohttp.ClientPayloadError:
                continue
        assert len(gzip.decompress(got).splitlines()) == 1000

    run(scenario, faults=("cut:80%",))


def test_a_short_body_looks_complete(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        assert len(answer.body) == int(answer.headers["Content-Length"])
        with pytest.raises(EOFError):
            gzip.decompress(answer.body)

    run(scenario, faults=("short",))


def test_a_body_longer_than_announced(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        target = urlsplit(await caller.url())
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(f"GET {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        announced = int(head.lower().partition(b"content-length: ")[2].split()[0])
        assert len(body) > announced
        assert gzip.decompress(body[:announced])

    run(scenario, faults=("long",))


def test_one_bit_is_flipped(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        corrupted, complete = await caller.request("GET", url), await caller.request("GET", url)
        wrong = [(a, b) for a, b in zip(corrupted.body, complete.body, strict=True) if a != b]
        assert len(wrong) == 1
        assert (wrong[0][0] ^ wrong[0][1]).bit_count() == 1
        assert corrupted.headers["x-amz-checksum-crc32"] == complete.headers["x-amz-checksum-crc32"]
        assert zlib.crc32(corrupted.body) != zlib.crc32(complete.body)

    run(scenario, faults=("corrupt:x1",))


def test_an_endless_body(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        async with caller.http.get(await caller.url()) as response:
            assert "Content-Length" not in response.headers
            got = 0
            while got < 10_000_000:
                got += len(await response.content.read(1 << 20))

    run(scenario, faults=("endless",))


def test_a_body_without_announced_length(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("GET", await caller.url())
        assert "Content-Length" not in answer.headers
        assert len(gzip.decompress(answer.body).splitlines()) == 1000

    run(scenario, faults=("no-length",))


def test_faults_for_one_table_apply_at_every_endpoint(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        for table, status in (("canvas/table/users", 500), ("canvas/table/courses", 200)):
            caller.sandbox.state.faults.replace([])
            job = (await caller.submit(table)).json
            item = job["objects"][0]
            url = (await caller.sign(item["id"])).json["urls"][item["id"]]["url"]
            caller.sandbox.state.faults.replace(["500:users"])
            answers = [
                await caller.call("GET", f"/query/{table}/schema"),
                await caller.submit(table),
                await caller.call("GET", f"/job/{job['id']}"),
                await caller.sign(item["id"]),
                await caller.request("GET", url),
            ]
            assert {answer.status for answer in answers} == {status}
        assert (await caller.call("GET", LIST)).status == 200
        assert json.loads(json.dumps(caller.sandbox.traffic.as_dict()))["faults"] == {"500:users": 5}

    run(scenario)
