"""The service from end to end over plain HTTP."""

import gzip
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from dapkit.errors import UsageError
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions


def test_from_login_to_rows(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        job = (await caller.submit()).json
        assert job["status"] == "complete"
        assert job["at"] == "2026-09-01T00:00:00Z"
        assert job["schema_version"] == 7
        rows = []
        for item in job["objects"]:
            url = (await caller.sign(item["id"])).json["urls"][item["id"]]["url"]
            answer = await caller.request("GET", url)
            assert answer.status == 200
            rows += gzip.decompress(answer.body).splitlines()
        assert len(rows) == len(set(rows)) == 3000

    run(scenario)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", "::"])
def test_only_loopback(host: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        Sandbox(SandboxOptions(host=host))


def test_a_port_in_use_is_reported(run: Any, data: Any) -> None:
    async def scenario(caller: Any) -> None:
        port = int(caller.sandbox.base_url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port {port}"):
            async with Sandbox(SandboxOptions(port=port), data=data):
                pass

    run(scenario)


def test_it_has_no_parts_while_it_does_not_run() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox().base_url


@pytest.mark.parametrize(("embedded", "at"), [(True, "2026-09-01T00:00:00Z"), (False, "2026-09-01T00:00:00Z")])
def test_where_the_data_clock_starts(run: Any, clock: Any, embedded: bool, at: str) -> None:
    if embedded:
        clock.now += 1_000_000

    async def scenario(caller: Any) -> None:
        assert (await caller.submit()).json["at"] == at

    run(scenario, embedded=embedded)


def test_the_data_clock_continues_in_the_next_process(run: Any, tmp_path: Path) -> None:
    async def first(caller: Any) -> None:
        assert (await caller.submit()).json["at"] == "2024-02-29T12:00:00Z"
        caller.sandbox.advance(4)

    async def second(caller: Any) -> None:
        assert (await caller.submit()).json["at"] == "2024-02-29T16:00:00Z"

    run(first, home=tmp_path, data_time=datetime(2024, 2, 29, 12, tzinfo=UTC))
    run(second, home=tmp_path)


def test_the_next_process_serves_the_same_job_and_objects(run: Any) -> None:
    kept: dict[str, Any] = {}

    async def first(caller: Any) -> None:
        kept.update((await caller.submit()).json)

    async def second(caller: Any) -> None:
        assert (await caller.call("GET", f"/job/{kept['id']}")).json == kept
        identifier = kept["objects"][2]["id"]
        url = (await caller.sign(identifier)).json["urls"][identifier]["url"]
        assert (await caller.request("GET", url)).status == 200

    async def other_dataset(caller: Any) -> None:
        assert (await caller.call("GET", f"/job/{kept['id']}")).status == 404

    run(first)
    run(second)
    run(other_dataset, seed=2)


def test_over_tls(run: Any) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    async def scenario(caller: Any) -> None:
        assert caller.sandbox.base_url.startswith("https://127.0.0.1:")
        caller.more = {"ssl": client}
        answer = await caller.request("GET", await caller.url())
        assert len(gzip.decompress(answer.body).splitlines()) == 1000

    run(scenario, tls=server)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_other_loopback_names(run: Any, host: str) -> None:
    async def scenario(caller: Any) -> None:
        assert f"//{host}:" in caller.sandbox.base_url
        assert (await caller.request("GET", await caller.url())).status == 200

    run(scenario, host=host)


def test_closing_does_not_wait_for_stalled_responses(run: Any, data: Any) -> None:
    async def scenario(caller: Any) -> None:
        options = SandboxOptions(job_seconds=0.0, faults=("stall",))
        async with Sandbox(options, data=data) as stalling:
            url = await type(caller)(stalling, caller.http).url()
            response = await caller.http.get(url)
            assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    run(scenario)


def test_the_real_data_from_snapshot_to_snapshot(run: Any) -> None:
    """A snapshot merged with an increment is the next snapshot."""

    async def rows(caller: Any, job: Any) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for item in job["objects"]:
            url = (await caller.sign(item["id"])).json["urls"][item["id"]]["url"]
            for line in gzip.decompress((await caller.request("GET", url)).body).splitlines():
                row = json.loads(line)
                found[row["key"]["id"]] = row.get("value")
        return found

    async def scenario(caller: Any) -> None:
        table = "canvas/table/enrollments"
        before = (await caller.submit(table)).json
        assert len(before["objects"]) > 1
        state = await rows(caller, before)
        caller.sandbox.advance(24 * 30)
        change = await rows(caller, (await caller.submit(table, since=before["at"])).json)
        assert change
        after = await rows(caller, (await caller.submit(table)).json)
        assert {key: value for key, value in (state | change).items() if value is not None} == after != state

    run(scenario, real=True, scale=0.01, embedded=True, part_rows=25)
