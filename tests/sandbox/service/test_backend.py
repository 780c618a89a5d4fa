"""The rules of queries and jobs, with both clocks as values."""

import json
from typing import Any

import pytest

from dapkit.sandbox.data.timeline import HOUR
from dapkit.sandbox.faults.rules import FaultPlan, InjectedFault
from dapkit.sandbox.service.backend import Backend, JobTimes
from dapkit.sandbox.service.clock import DataClock, RealClock, timestamp
from dapkit.sandbox.service.identifiers import Identifiers
from dapkit.sandbox.service.responses import ApiError

AT_MS = 1_788_220_800_000
DAY_MS = 24 * HOUR
EPOCH_MS = 1_627_776_000_000  # 2021-08-01T00:00Z
LOG_LIFE_MS = 30 * DAY_MS


class World:
    """A backend on fake data with both clocks to hand."""

    def __init__(self, data: Any, **times: int) -> None:
        self.now_ms = 1_000_000_000_000
        self.real_clock = RealClock(lambda: self.now_ms / 1000)
        self.data_clock = DataClock(AT_MS)
        tables = [(name, table) for name in data.namespaces() for table in data.tables(name)]
        self.backend = Backend(
            data,
            Identifiers(tables, "world"),
            real_clock=self.real_clock,
            data_clock=self.data_clock,
            times=JobTimes(**({"duration_ms": 2000} | times)),
        )

    def submit(self, *, fault: InjectedFault | None = None, **query: Any) -> tuple[int, Any]:
        namespace, table = query.pop("place", "canvas.users").split(".")
        body = json.dumps({"format": "jsonl"} | query).encode()
        return self.backend.submit(namespace, table, body, fault)

    def refused(self, **query: Any) -> tuple[int, Any]:
        with pytest.raises(ApiError) as caught:
            self.submit(**query)
        return caught.value.status, caught.value.body["error"]


@pytest.fixture
def world(data: Any) -> World:
    return World(data)


def fault(text: str) -> InjectedFault:
    found = FaultPlan([text]).decide("data", "users")
    assert found is not None
    return found


def test_a_job_waits_runs_and_completes(world: World) -> None:
    status, job = world.submit()
    assert (status, job["status"]) == (202, "waiting")
    assert set(job) == {"id", "status", "expires_at"}
    states = []
    for _ in range(4):
        world.now_ms += 600
        states.append((world.backend.job(job["id"])[0], world.backend.job(job["id"])[1]["status"]))
    assert states == [(202, "running")] * 3 + [(200, "complete")]


def test_a_complete_snapshot(world: World) -> None:
    _, job = world.submit()
    world.now_ms += 2000
    status, done = world.backend.job(job["id"])
    assert status == 200
    assert set(done) == {"id", "status", "expires_at", "objects", "schema_version", "at"}
    assert done["at"] == timestamp(AT_MS)
    assert done["expires_at"] == timestamp(1_000_000_000_000 + DAY_MS)
    items = [world.backend.live_object(item["id"]) for item in done["objects"]]
    assert [world.backend.part(item).index for item in items] == [0, 1, 2]


def test_a_complete_increment_names_its_span(world: World) -> None:
    _, job = world.submit(since="2026-08-31T00:00:00Z")
    world.now_ms += 2000
    done = world.backend.job(job["id"])[1]
    assert (done["since"], done["until"]) == ("2026-08-31T00:00:00Z", timestamp(AT_MS))
    assert "at" not in done
    assert len(done["objects"]) == 1


def test_an_increment_of_nothing_has_no_objects(data: Any) -> None:
    done = World(data, duration_ms=0).submit(since=timestamp(AT_MS))[1]
    assert done["objects"] == []
    assert done["since"] == done["until"]


def test_until_never_lies_ahead_of_the_data(data: Any) -> None:
    done = World(data, duration_ms=0).submit(since="2026-08-31T00:00:00Z", until="2027-01-01T00:00:00Z")[1]
    assert done["until"] == timestamp(AT_MS)


def test_jobs_and_objects_live_a_day_from_the_start(world: World) -> None:
    _, job = world.submit()
    world.now_ms += DAY_MS - 1
    item = world.backend.job(job["id"])[1]["objects"][0]["id"]
    assert world.backend.live_object(item)
    world.now_ms += 1
    for call, identifier, kind in (
        (world.backend.job, job["id"], "job"),
        (world.backend.live_object, item, "object"),
    ):
        with pytest.raises(ApiError) as caught:
            call(identifier)
        assert caught.value.status == 404
        assert caught.value.body["error"] | {"uuid": "", "message": ""} == {
            "type": "NotFoundError",
            "uuid": "",
            "message": "",
            "id": identifier,
            "kind": kind,
        }


def test_objects_are_not_there_before_the_job_is_complete(data: Any) -> None:
    patient, instant = World(data), World(data, duration_ms=0)
    item = instant.submit()[1]["objects"][0]["id"]
    with pytest.raises(ApiError):
        patient.backend.live_object(item)
    patient.now_ms += 2000
    assert patient.backend.live_object(item).index == 0


def test_another_process_serves_the_same_job(data: Any) -> None:
    first, second = World(data, duration_ms=0), World(data, duration_ms=0)
    job = first.submit()[1]
    assert second.backend.job(job["id"]) == (200, job)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"mode": "expanded"},
        {"since": "2026-08-31T02:00:00+02:00"},
    ],
)
def test_an_equal_query_gets_the_same_job_for_a_day(world: World, query: dict[str, Any]) -> None:
    first = world.submit(**query)[1]["id"]
    world.now_ms += DAY_MS - 1
    assert world.submit(**query)[1]["id"] == first
    world.now_ms += 1
    assert world.submit(**query)[1]["id"] != first


def test_equal_means_what_is_asked_not_how_it_is_written(world: World) -> None:
    since: dict[str, Any] = {"since": "2026-08-31T00:00:00Z"}
    assert world.submit()[1] == world.submit(mode="expanded")[1]
    assert world.submit(**since)[1] == world.submit(since="2026-08-31T02:00:00+02:00")[1]
    others: list[dict[str, Any]] = [
        {},
        since,
        {"mode": "condensed"},
        {"format": "csv"},
        {"place": "canvas.courses"},
    ]
    jobs = [world.submit(**query)[1]["id"] for query in others]
    assert len(set(jobs)) == 5


def test_new_data_means_a_new_job(world: World) -> None:
    first = world.submit()[1]["id"]
    world.data_clock.advance(4)
    assert world.submit()[1]["id"] != first


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", {"line": 1, "column": 1, "character": 0}),
        (b'{"format":\n "csv",}', {"line": 2, "column": 8, "character": 18}),
        (b'{"format": "\xff"}', {"line": 1, "column": 1, "character": 12}),
        (b"[]", None),
        (b'{"format": 5}', None),
        (b'{"format": "xml"}', None),
        (b"{}", None),
        (b'{"format": "csv", "mode": "wild"}', None),
        (b'{"format": "csv", "colour": "red"}', None),
    ],
)
def test_malformed_queries(world: World, body: bytes, location: dict[str, int] | None) -> None:
    with pytest.raises(ApiError) as caught:
        world.backend.submit("canvas", "users", body)
    error = caught.value.body["error"]
    assert (caught.value.status, error["type"]) == (400, "ValidationError")
    assert set(error) == {"type", "uuid", "message", "location"}
    if location is not None:
        assert error["location"] == location


@pytest.mark.parametrize(
    "query",
    [
        {"until": "2026-08-31T00:00:00Z"},
        {"since": "2026-08-31"},
        {"since": "2026-08-31T00:00:00"},
        {"since": "2026-08-31T00:00:00Z", "until": "2026-08-30T00:00:00Z"},
        {"since": "2026-09-01T00:00:00.001Z"},
    ],
)
def test_impossible_spans(world: World, query: dict[str, str]) -> None:
    status, error = world.refused(**query)
    assert (status, error["type"]) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("place", "earliest_ms"),
    [("canvas.users", EPOCH_MS), ("canvas_logs.web_logs", AT_MS - LOG_LIFE_MS)],
)
def test_what_is_no_longer_kept(world: World, place: str, earliest_ms: int) -> None:
    status, error = world.refused(place=place, since=timestamp(earliest_ms - 1))
    assert (status, error["type"], error["since"]) == (400, "OutOfRange", timestamp(earliest_ms))
    assert world.submit(place=place, since=timestamp(earliest_ms))[0] == 202


@pytest.mark.parametrize(("place", "kind"), [("canvas.cats", "table"), ("moon.users", "namespace")])
def test_unknown_places(world: World, place: str, kind: str) -> None:
    status, error = world.refused(place=place)
    namespace, table = place.split(".")
    assert (status, error["type"], error["kind"]) == (404, "NotFoundError", kind)
    assert error["id"] == {"table": table, "namespace": namespace}[kind]


def test_a_job_that_fails(world: World) -> None:
    status, job = world.submit(fault=fault("failed-job"))
    assert (status, job["status"]) == (202, "waiting")
    world.now_ms += 2000
    status, failed = world.backend.job(job["id"])
    assert (status, failed["status"]) == (200, "failed")
    assert set(failed) == {"id", "status", "expires_at", "error"}
    assert failed["error"]["type"] == "ProcessingError"
    assert world.backend.job(job["id"])[1] == failed


def test_a_passing_failure_is_not_given_twice(world: World) -> None:
    first = world.submit(fault=fault("failed-job"))[1]["id"]
    world.now_ms += 1999
    assert world.submit()[1]["id"] == first
    world.now_ms += 1
    second = world.submit()[1]["id"]
    world.now_ms += 2000
    assert world.backend.job(second)[1]["status"] == "complete"


def test_a_sticky_failure_stays(world: World) -> None:
    first = world.submit(fault=fault("failed-job:sticky"))[1]["id"]
    world.now_ms += DAY_MS - 1
    assert world.submit()[1]["id"] == first


def test_a_sticky_failure_of_some_seconds_passes(world: World) -> None:
    first = world.submit(fault=fault("failed-job:sticky:20s"))[1]["id"]
    world.now_ms += 19_999
    assert world.submit()[1]["id"] == first
    world.now_ms += 1
    assert world.submit()[1]["id"] != first


@pytest.mark.parametrize(
    ("kind", "error_type"), [("snapshot-required", "SnapshotRequired"), ("out-of-range", "OutOfRange")]
)
def test_increments_can_be_refused_and_snapshots_cannot(world: World, kind: str, error_type: str) -> None:
    status, error = world.refused(since="2026-08-31T00:00:00Z", fault=fault(kind))
    assert (status, error["type"]) == (400, error_type)
    assert world.submit(fault=fault(kind))[0] == 202


def test_a_forgotten_job_is_gone_with_its_objects(data: Any) -> None:
    world = World(data, duration_ms=0)
    job = world.submit()[1]
    world.backend.delete_job(job["id"])
    with pytest.raises(ApiError):
        world.backend.job(job["id"])
    with pytest.raises(ApiError):
        world.backend.live_object(job["objects"][0]["id"])
    assert world.submit()[1]["id"] != job["id"]
    world.backend.reset()
    assert world.backend.job(job["id"])[0] == 200


def test_tables_and_schemas(world: World) -> None:
    assert world.backend.tables("canvas") == {"tables": ["courses", "users", "wikis"]}
    assert world.backend.schema("canvas", "users") == {
        "schema": {"title": "canvas.users", "type": "object"},
        "version": 7,
    }
    with pytest.raises(ApiError):
        world.backend.tables("moon")
    with pytest.raises(ApiError):
        world.backend.schema("canvas", "cats")
