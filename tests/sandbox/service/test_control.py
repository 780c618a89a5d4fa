"""Control of a sandbox from another process."""

from typing import Any

import pytest


def test_state(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        await caller.call("GET", "/query/canvas/table")
        state = (await caller.request("GET", "/_sandbox/state")).json
        assert state["data_time"] == "2026-09-01T00:00:00Z"
        assert state["real_time"] == "2026-09-01T01:00:00Z"
        assert state["faults"] == ["cut:1%"]
        assert state["traffic"]["responses"] == {"list": {"200": 1}, "login": {"200": 1}}

    run(scenario, faults=("cut:1%",))


def test_clocks(run: Any, tmp_path: Any) -> None:
    async def scenario(caller: Any) -> None:
        async def clock(**fields: Any) -> Any:
            return (await caller.request("POST", "/_sandbox/clock", json=fields)).json

        assert (await clock(advance_hours=4))["data_time"] == "2026-09-01T04:00:00Z"
        assert (await caller.submit()).json["at"] == "2026-09-01T04:00:00Z"
        assert (await clock(data_time="2026-09-02T00:00:00Z"))["data_time"] == "2026-09-02T00:00:00Z"
        assert (await clock(skip_seconds=3600))["real_time"] == "2026-09-01T02:00:00Z"

    run(scenario, home=tmp_path)
    assert "2026-09-02" in (tmp_path / "clock.json").read_text()


def test_faults_come_and_go(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        await caller.request("POST", "/_sandbox/faults", json={"faults": ["500@list"]})
        assert (await caller.call("GET", "/query/canvas/table")).status == 500
        await caller.request("POST", "/_sandbox/faults", json={"faults": []})
        assert (await caller.call("GET", "/query/canvas/table")).status == 200

    run(scenario)


def test_reset(run: Any) -> None:
    async def scenario(caller: Any) -> None:
        first = (await caller.submit()).json["id"]
        for _ in range(4):
            assert (await caller.submit()).json["id"] == first
        assert (await caller.submit()).status == 429
        state = (await caller.request("POST", "/_sandbox/reset")).json
        assert state["traffic"]["responses"] == {}
        assert (await caller.submit()).json["id"] != first

    run(scenario, budgets=True)


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("clock", "{"),
        ("clock", "[]"),
        ("clock", '{"data_time": "noon"}'),
        ("clock", '{"advance_hours": "four"}'),
        ("clock", '{"skip_seconds": null}'),
        ("faults", '{"faults": ["melt"]}'),
        ("faults", '{"faults": 5}'),
    ],
)
def test_mistakes_are_reported(run: Any, place: str, body: str) -> None:
    async def scenario(caller: Any) -> None:
        answer = await caller.request("POST", f"/_sandbox/{place}", data=body)
        assert answer.status == 400
        assert answer.json["message"]

    run(scenario)
