"""Jobs without disk, journal or listener: submit, wait, get the ids of the objects."""

import pickle

import pytest
from tests.support.fake_service import FakeService, Faults, as_session
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.jobs import FinishedJob, finished_job, run_job, submit_job, wait_for_job
from dapkit.errors import JobFailedError, TableNotFoundError
from dapkit.model import Format, Job, JobStatus, Query
from dapkit.protocol.job import JobNotFound, JobRecord, JobUpdated, Outcome

QUERY = Query(format=Format.TSV)


def service(job_seconds: float = 30.0) -> FakeService:
    return FakeService(clock=VirtualClock(), tables_objects={"users": 3}, job_seconds=job_seconds)


def test_a_finished_job_names_its_objects() -> None:
    fake = service()
    finished = run_virtually(run_job(as_session(fake), "canvas", "users", QUERY), fake.clock)
    assert (finished.namespace, finished.table, finished.query) == ("canvas", "users", QUERY)
    assert finished.job.objects == ("users-0.0", "users-0.1", "users-0.2")
    assert fake.asked["url"] == fake.asked["object"] == 0, "nothing is downloaded"


def test_a_job_is_submitted_now_and_collected_by_another_process() -> None:
    fake = service(job_seconds=600.0)
    record = run_virtually(submit_job(as_session(fake), "canvas", "users", QUERY), fake.clock)
    assert fake.clock.elapsed == 0, "it returns at once"
    assert record.job is not None
    stored = pickle.dumps(record)
    run_virtually(fake.clock.sleep(3600), fake.clock)
    collected = run_virtually(wait_for_job(as_session(fake), "canvas", pickle.loads(stored)), fake.clock)
    assert finished_job("canvas", collected).job.id == record.job.id
    assert fake.asked["data"] == 1, "it is not submitted again"


def test_each_outcome_is_reported_in_order() -> None:
    fake = service()
    submitted: list[float] = []
    outcomes: list[Outcome] = []
    record = JobRecord(table="users", query=QUERY)
    run_virtually(
        wait_for_job(
            as_session(fake),
            "canvas",
            record,
            on_submit=lambda: submitted.append(fake.clock.elapsed),
            on_outcome=lambda _before, outcome, _after: outcomes.append(outcome),
        ),
        fake.clock,
    )
    assert submitted == [0]
    statuses = [outcome.job.status for outcome in outcomes if isinstance(outcome, JobUpdated)]
    assert statuses == [JobStatus.RUNNING] * (len(outcomes) - 1) + [JobStatus.COMPLETE]


def test_a_job_that_disappears_is_submitted_again() -> None:
    fake = service()
    lost = JobRecord(table="users", query=QUERY, job=Job(id="lost", status=JobStatus.RUNNING))
    outcomes: list[Outcome] = []
    record = run_virtually(
        wait_for_job(as_session(fake), "canvas", lost, on_outcome=lambda _b, outcome, _a: outcomes.append(outcome)),
        fake.clock,
    )
    assert isinstance(outcomes[0], JobNotFound)
    assert record.abandoned_jobs == ("lost",)
    assert record.job is not None
    assert record.job.id == "users-0"


def test_a_job_that_keeps_failing_is_an_error_after_the_retry_timeout() -> None:
    fake = service()
    fake.faults = Faults(failed_job=1.0)
    with pytest.raises(JobFailedError, match="failed"):
        run_virtually(run_job(as_session(fake), "canvas", "users", QUERY, retry_timeout=60.0), fake.clock)
    assert fake.asked["data"] > 1


def test_an_unknown_table_is_an_error_that_names_it() -> None:
    fake = service()
    with pytest.raises(TableNotFoundError) as caught:
        run_virtually(run_job(as_session(fake), "canvas", "nosuch", QUERY), fake.clock)
    assert caught.value.table == "nosuch"


def test_only_a_complete_job_is_finished() -> None:
    record = JobRecord(table="users", query=QUERY, job=Job(id="j", status=JobStatus.RUNNING))
    with pytest.raises(AssertionError, match="running"):
        finished_job("canvas", record)
    complete = JobRecord(table="users", query=QUERY, job=Job(id="j", status=JobStatus.COMPLETE))
    assert isinstance(finished_job("canvas", complete), FinishedJob)
