"""The rules for queries and jobs, with controlled clocks."""

import json
from typing import Any

import pytest

from dapkit.sandbox.data.timeline import HOUR
from dapkit.sandbox.faults import FaultPlan, InjectedFault
from dapkit.sandbox.service.backend import Backend, JobTimes
from dapkit.sandbox.service.clock import DataClock, RealClock, timestamp
from dapkit.sandbox.service.identifiers import Identifiers
from dapkit.sandbox.service.responses import ApiError

AT_MS = 1_788_220_800_000
DAY_MS = 24 * HOUR
EPOCH_MS = 1_627_776_000_000  # 2021-08-01T00:00Z
LOG_RETENTION_MS = 30 * DAY_MS


class Setup:
    """A backend on fake data, with access to both clocks."""

    def __init__(self, data: Any, **times: int) -> None:
        self.now_ms = 1_000_000_000_000
        self.real_clock = RealClock(lambda: self.now_ms / 1000)
        self.data_clock = DataClock(AT_MS)
        tables = [(name, table) for name in data.namespaces() for table in data.tables(name)]
        self.backend = Backend(
            data,
            Identifiers(tables, "dataset"),
            real_clock=self.real_clock,
            data_clock=self.data_clock,
            times=JobTimes(**({"duration_ms": 2000} | times)),
        )

    def submit(self, *, fault: InjectedFault | None = None, **query: Any) -> tuple[int, Any]:
        namespace, table = query.pop("place", "canvas.users").split(".")
        body = json.dumps({"format": "jsonl"} | query).encode()
        return self.backend.submit(namespace, table, body, fault)

    def rejection(self, **query: Any) -> tuple[int, Any]:
        with pytest.raises(ApiError) as caught:
            self.submit(**query)
        return caught.value.status, caught.value.body["error"]


@pytest.fixture
def setup(data: Any) -> Setup:
    return Setup(data)


def fault(text: str) -> InjectedFault:
    found = FaultPlan([text]).decide("data", "users")
    assert found is not None
    return found


def test_a_job_waits_runs_and_completes(setup: Setup) -> None:
    status, job = setup.submit()
    assert (status, job["status"]) == (202, "waiting")
    assert set(job) == {"id", "status", "expires_at"}
    states = []
    for _ in range(4):
        setup.now_ms += 600
        states.append((setup.backend.job(job["id"])[0], setup.backend.job(job["id"])[1]["status"]))
    assert states == [(202, "running")] * 3 + [(200, "complete")]


def test_a_complete_snapshot(setup: Setup) -> None:
    _, job = setup.submit()
    setup.now_ms += 2000
    status, done = setup.backend.job(job["id"])
    assert status == 200
    assert set(done) == {"id", "status", "expires_at", "objects", "schema_version", "at"}
    assert done["at"] == timestamp(AT_MS)
    assert done["expires_at"] == timestamp(1_000_000_000_000 + DAY_MS)
    items = [setup.backend.live_object(item["id"]) for item in done["objects"]]
    assert [setup.backend.part(item).ranges[0][0] for item in items] == [0, 1000, 2000]


def test_a_complete_increment_states_its_interval(setup: Setup) -> None:
    _, job = setup.submit(since="2026-08-31T00:00:00Z")
    setup.now_ms += 2000
    done = setup.backend.job(job["id"])[1]
    assert (done["since"], done["until"]) == ("2026-08-31T00:00:00Z", timestamp(AT_MS))
    assert "at" not in done
    assert len(done["objects"]) == 1


def test_an_empty_increment_has_no_objects(data: Any) -> None:
    done = Setup(data, duration_ms=0).submit(since=timestamp(AT_MS))[1]
    assert done["objects"] == []
    assert done["since"] == done["until"]


def test_until_is_never_later_than_the_data(data: Any) -> None:
    done = Setup(data, duration_ms=0).submit(since="2026-08-31T00:00:00Z", until="2027-01-01T00:00:00Z")[1]
    assert done["until"] == timestamp(AT_MS)


def test_jobs_and_objects_exist_for_a_day(setup: Setup) -> None:
    _, job = setup.submit()
    setup.now_ms += DAY_MS - 1
    item = setup.backend.job(job["id"])[1]["objects"][0]["id"]
    assert setup.backend.live_object(item)
    setup.now_ms += 1
    for call, identifier, kind in (
        (setup.backend.job, job["id"], "job"),
        (setup.backend.live_object, item, "object"),
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


def test_objects_do_not_exist_before_the_job_is_complete(data: Any) -> None:
    patient, instant = Setup(data), Setup(data, duration_ms=0)
    item = instant.submit()[1]["objects"][0]["id"]
    with pytest.raises(ApiError):
        patient.backend.live_object(item)
    patient.now_ms += 2000
    assert patient.backend.live_object(item).index == 0


def test_another_process_serves_the_same_job(data: Any) -> None:
    first, second = Setup(data, duration_ms=0), Setup(data, duration_ms=0)
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
def test_an_equal_query_gets_the_same_job_for_a_day(setup: Setup, query: dict[str, Any]) -> None:
    first = setup.submit(**query)[1]["id"]
    setup.now_ms += DAY_MS - 1
    assert setup.submit(**query)[1]["id"] == first
    setup.now_ms += 1
    assert setup.submit(**query)[1]["id"] != first


def test_queries_are_compared_by_meaning_not_by_spelling(setup: Setup) -> None:
    since: dict[str, Any] = {"since": "2026-08-31T00:00:00Z"}
    assert setup.submit()[1] == setup.submit(mode="expanded")[1]
    assert setup.submit(**since)[1] == setup.submit(since="2026-08-31T02:00:00+02:00")[1]
    others: list[dict[str, Any]] = [
        {},
        since,
        {"mode": "condensed"},
        {"format": "csv"},
        {"place": "canvas.courses"},
    ]
    jobs = [setup.submit(**query)[1]["id"] for query in others]
    assert len(set(jobs)) == 5


def test_new_data_means_a_new_job(setup: Setup) -> None:
    first = setup.submit()[1]["id"]
    setup.data_clock.advance(4)
    assert setup.submit()[1]["id"] != first


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
def test_malformed_queries(setup: Setup, body: bytes, location: dict[str, int] | None) -> None:
    with pytest.raises(ApiError) as caught:
        setup.backend.submit("canvas", "users", body)
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
def test_invalid_intervals(setup: Setup, query: dict[str, str]) -> None:
    status, error = setup.rejection(**query)
    assert (status, error["type"]) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("place", "earliest_ms"),
    [("canvas.users", EPOCH_MS), ("canvas_logs.web_logs", AT_MS - LOG_RETENTION_MS)],
)
def test_increments_beyond_the_retention(setup: Setup, place: str, earliest_ms: int) -> None:
    status, error = setup.rejection(place=place, since=timestamp(earliest_ms - 1))
    assert (status, error["type"], error["since"]) == (400, "OutOfRange", timestamp(earliest_ms))
    assert setup.submit(place=place, since=timestamp(earliest_ms))[0] == 202


@pytest.mark.parametrize(("place", "kind"), [("canvas.cats", "table"), ("moon.users", "namespace")])
def test_unknown_namespaces_and_tables(setup: Setup, place: str, kind: str) -> None:
    status, error = setup.rejection(place=place)
    namespace, table = place.split(".")
    assert (status, error["type"], error["kind"]) == (404, "NotFoundError", kind)
    assert error["id"] == {"table": table, "namespace": namespace}[kind]


def test_a_job_that_fails(setup: Setup) -> None:
    status, job = setup.submit(fault=fault("failed-job"))
    assert (status, job["status"]) == (202, "waiting")
    setup.now_ms += 2000
    status, failed = setup.backend.job(job["id"])
    assert (status, failed["status"]) == (200, "failed")
    assert set(failed) == {"id", "status", "expires_at", "error"}
    assert failed["error"]["type"] == "ProcessingError"
    assert setup.backend.job(job["id"])[1] == failed


def test_a_failed_job_is_returned_only_while_it_runs(setup: Setup) -> None:
    first = setup.submit(fault=fault("failed-job"))[1]["id"]
    setup.now_ms += 1999
    assert setup.submit()[1]["id"] == first
    setup.now_ms += 1
    second = setup.submit()[1]["id"]
    setup.now_ms += 2000
    assert setup.backend.job(second)[1]["status"] == "complete"


def test_a_sticky_failure_stays(setup: Setup) -> None:
    first = setup.submit(fault=fault("failed-job:sticky"))[1]["id"]
    setup.now_ms += DAY_MS - 1
    assert setup.submit()[1]["id"] == first


def test_a_sticky_failure_of_some_seconds_passes(setup: Setup) -> None:
    first = setup.submit(fault=fault("failed-job:sticky:20s"))[1]["id"]
    setup.now_ms += 19_999
    assert setup.submit()[1]["id"] == first
    setup.now_ms += 1
    assert setup.submit()[1]["id"] != first


@pytest.mark.parametrize(
    ("kind", "error_type"), [("snapshot-required", "SnapshotRequired"), ("out-of-range", "OutOfRange")]
)
def test_only_increments_can_be_rejected(setup: Setup, kind: str, error_type: str) -> None:
    status, error = setup.rejection(since="2026-08-31T00:00:00Z", fault=fault(kind))
    assert (status, error["type"]) == (400, error_type)
    assert setup.submit(fault=fault(kind))[0] == 202


def test_a_repeated_snapshot_is_denied(setup: Setup) -> None:
    denied = fault("repeated-snapshot")
    setup.submit()
    setup.data_clock.advance(4)
    setup.now_ms += 3_599_999
    status, error = setup.rejection(fault=denied)
    assert (status, error["type"]) == (403, "RequestTypeForbidden")
    assert setup.rejection(format="csv", fault=denied)[0] == 403
    assert setup.submit(place="canvas.courses", fault=denied)[0] == 202
    assert setup.submit(since="2026-08-31T00:00:00Z", fault=denied)[0] == 202
    setup.now_ms += 1
    assert setup.submit(fault=denied)[0] == 202


def test_the_time_between_two_snapshots(setup: Setup) -> None:
    setup.submit()
    setup.data_clock.advance(4)
    setup.now_ms += 5_000
    assert setup.rejection(fault=fault("repeated-snapshot:6s"))[0] == 403
    assert setup.submit(fault=fault("repeated-snapshot:5s"))[0] == 202


def test_a_snapshot_that_failed_may_be_repeated(setup: Setup) -> None:
    denied = fault("repeated-snapshot")
    first = setup.submit(fault=fault("failed-job"))[1]["id"]
    setup.now_ms += 2000
    assert setup.submit(fault=denied)[1]["id"] != first
    setup.data_clock.advance(4)
    assert setup.rejection(fault=denied)[0] == 403
    setup.backend.reset()
    assert setup.submit(fault=denied)[0] == 202


def test_a_deleted_job_and_its_objects_are_not_found(data: Any) -> None:
    setup = Setup(data, duration_ms=0)
    job = setup.submit()[1]
    setup.backend.delete_job(job["id"])
    with pytest.raises(ApiError):
        setup.backend.job(job["id"])
    with pytest.raises(ApiError):
        setup.backend.live_object(job["objects"][0]["id"])
    assert setup.submit()[1]["id"] != job["id"]
    setup.backend.reset()
    assert setup.backend.job(job["id"])[0] == 200


def test_tables_and_schemas(setup: Setup) -> None:
    assert setup.backend.tables("canvas") == {"tables": ["courses", "users", "wikis"]}
    assert setup.backend.schema("canvas", "users") == {
        "schema": {"title": "canvas.users", "type": "object"},
        "version": 7,
    }
    with pytest.raises(ApiError):
        setup.backend.tables("moon")
    with pytest.raises(ApiError):
        setup.backend.schema("canvas", "cats")
