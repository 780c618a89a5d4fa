"""The API over HTTP: checks and responses."""

import base64
from typing import Any

import pytest


def test_list_and_schema(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        tables = await caller.call("GET", "/query/canvas/table")
        assert tables.json == {"tables": ["courses", "users", "wikis"]}
        assert tables.headers["Content-Type"].startswith("application/json")
        schema = await caller.call("GET", "/query/canvas/table/users/schema")
        assert schema.json["version"] == 7
        for target in ("/query/moon/table", "/query/canvas/table/cats/schema", "/query/moon/table/users/schema"):
            answer = await caller.call("GET", target)
            assert answer.status == 404
            assert answer.json["error"]["kind"] in ("namespace", "table")

    run(scenario)


def test_a_job_is_polled(run: Any, clock: Any) -> None:
    async def scenario(caller: Any) -> None:
        submitted = await caller.submit()
        assert submitted.status == 202
        target = f"/job/{submitted.json['id']}"
        assert (await caller.call("GET", target)).status == 202
        clock.now += 2
        done = await caller.call("GET", target)
        assert (done.status, done.json["status"]) == (200, "complete")
        assert (await caller.call("GET", "/job/unknown")).json["error"]["kind"] == "job"

    run(scenario, job_seconds=2.0)


def test_object_urls(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        items = await caller.objects()
        answer = await caller.sign(*items)
        assert set(answer.json["urls"]) == set(items)
        for url in answer.json["urls"].values():
            assert set(url) == {"url"}
            assert url["url"].startswith(caller.sandbox.base_url)
        assert (await caller.sign()).json == {"urls": {}}
        missing = await caller.sign(items[0], "unknown")
        assert (missing.status, missing.json["error"]["kind"]) == (404, "object")
        wrong: list[Any] = [{}, [1], [{}], [{"id": 5}], [{"id": items[0], "more": 1}]]
        for body in wrong:
            answer = await caller.call("POST", "/object/url", json=body)
            assert (answer.status, answer.json["error"]["type"]) == (400, "ValidationError")

    run(scenario)


def test_object_urls_use_the_host_of_the_request(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        items = await caller.objects()
        answer = await caller.call("POST", "/object/url", json=[{"id": items[0]}], headers={"Host": "dap.test:8443"})
        assert answer.json["urls"][items[0]]["url"].startswith("http://dap.test:8443/store/")

    run(scenario)


def test_tokens_are_required_and_expire(run: Any, clock: Any) -> None:
    async def scenario(caller: Any) -> None:
        target = "/dap/query/canvas/table"
        bare = await caller.request("GET", target)
        assert (bare.status, bare.json["error"]["type"]) == (401, "AuthenticationError")
        token = await caller.login()
        older = await caller.request("GET", target, headers={"x-instauth": token})
        assert older.status == 200
        clock.now += 60
        late = await caller.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        assert late.status == 401

    run(scenario, token_seconds=60)


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {"grant_type": "client_credentials"}, 403),
        ({"Authorization": "Basic !"}, {"grant_type": "client_credentials"}, 400),
        (
            {"Authorization": "Basic " + base64.b64encode(b"sandbox#client:x").decode()},
            {"grant_type": "client_credentials"},
            403,
        ),
        ({}, {}, 400),
    ],
)
def test_rejected_logins(run: Any, headers: dict[str, str], form: dict[str, str], status: int) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("POST", "/ids/auth/login", headers=headers, data=form)
        assert answer.status == status
        assert set(answer.json) == {"error"}

    run(scenario)


def test_an_embedded_sandbox_accepts_any_credentials(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        wrong = "Basic " + base64.b64encode(b"anybody:anything").decode()
        form = {"grant_type": "client_credentials"}
        answer = await caller.request("POST", "/ids/auth/login", headers={"Authorization": wrong}, data=form)
        assert answer.status == 200
        caller.token = answer.json["access_token"]
        assert (await caller.submit()).json["at"] == "2026-09-01T00:00:00Z"

    run(scenario, embedded=True)


def test_a_user_agent_is_required(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.call("GET", "/query/canvas/table", skip_auto_headers=["User-Agent"])
        assert answer.status == 403

    run(scenario)


@pytest.mark.parametrize(
    ("scopes", "target", "status"),
    [
        (("one",), "", 200),
        (("one",), "?scope=one", 200),
        (("one",), "?scope=two", 404),
        (("one", "two"), "", 400),
        (("one", "two"), "?scope=two", 200),
    ],
)
def test_scopes(run: Any, scopes: tuple[str, ...], target: str, status: int) -> None:
    async def scenario(caller: Any) -> None:
        assert (await caller.call("GET", "/query/canvas/table" + target)).status == status

    run(scenario, scopes=scopes)


def test_budgets_are_enforced_on_request(run: Any, clock: Any) -> None:
    async def scenario(caller: Any) -> None:
        statuses = [(await caller.call("GET", "/query/canvas/table")).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        clock.now += 20.5
        answer = await caller.call("GET", "/query/canvas/table")
        assert answer.headers["Retry-After"] == "40"
        clock.now += 40
        assert (await caller.call("GET", "/query/canvas/table")).status == 200

    run(scenario, budgets=True)


def test_without_budgets_nothing_is_counted(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        statuses = {(await caller.call("GET", "/query/canvas/table")).status for _ in range(20)}
        assert statuses == {200}

    run(scenario)


def test_unknown_paths_and_methods(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        for method, target, status in (("GET", "/nowhere", 404), ("POST", "/dap/query/canvas/table", 405)):
            answer = await caller.request(method, target)
            assert answer.status == status
            assert answer.json["error"]["type"] == "NotFoundError"

    run(scenario)


def test_requests_are_counted_and_dated_by_the_sandbox_clock(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        caller.sandbox.skip(86_400)
        answer = await caller.call("GET", "/query/canvas/table")
        assert answer.headers["Date"] == "Wed, 02 Sep 2026 01:00:00 GMT"
        await caller.call("GET", "/query/moon/table")
        assert dict(caller.sandbox.traffic.responses) == {
            ("login", 200): 1,
            ("list", 200): 1,
            ("list", 404): 1,
        }

    run(scenario)


def test_an_internal_error_becomes_a_response(run: Any, data: Any, caplog: Any) -> None:
    async def scenario(caller: Any) -> None:
        url = await caller.url()
        data.fails = True
        assert (await caller.request("GET", url)).status == 500
        data.fails = False
        assert (await caller.request("GET", url)).status == 200

    run(scenario)
    assert "disk failure" in caplog.text
