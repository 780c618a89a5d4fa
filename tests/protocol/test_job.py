"""The rules for a job, with time as a value."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import ExpiredError, JobFailedError, ServerError
from dapkit.model import Failure, Format, Job, JobStatus, Query
from dapkit.protocol.job import (
    MAX_LOST_JOBS,
    MAX_POLL_INTERVAL,
    MAX_WAIT_FOR_EXPIRY,
    MIN_LIFETIME,
    Done,
    Download,
    Downloaded,
    Fail,
    JobNotFound,
    JobRecord,
    JobUpdated,
    Poll,
    RequestFailed,
    Submit,
    Wait,
    apply,
    decide,
)

NOW = 1_700_000_000.0
START = JobRecord(table="users", query=Query(format=Format.JSONL))


def job(status: JobStatus, job_id: str = "a", *, expires_at: float | None = NOW + 86_400) -> Job:
    failure = Failure(type="ProcessingError", uuid="u-1", message="broke") if status is JobStatus.FAILED else None
    return Job(id=job_id, status=status, expires_at=expires_at, objects=("o1",), at_text="2024", failure=failure)


def test_a_first_submission_is_not_a_resubmission() -> None:
    assert decide(START, NOW) == Submit(resubmit=False)


def test_a_running_job_is_polled_at_intervals_that_grow_with_its_age() -> None:
    record = apply(START, JobUpdated(job(JobStatus.WAITING)), NOW)
    first = decide(record, NOW)
    assert first == Wait(NOW + 0.5)
    assert decide(record, NOW + 0.5) == Poll("a")
    record = apply(record, JobUpdated(job(JobStatus.RUNNING)), NOW + 60)
    assert decide(record, NOW + 60) == Wait(NOW + 60 + 9)
    record = apply(record, JobUpdated(job(JobStatus.RUNNING)), NOW + 7200)
    assert decide(record, NOW + 7200) == Wait(NOW + 7200 + MAX_POLL_INTERVAL)


def test_a_complete_job_is_downloaded_then_done() -> None:
    record = apply(START, JobUpdated(job(JobStatus.COMPLETE)), NOW)
    assert decide(record, NOW) == Download(job(JobStatus.COMPLETE))
    assert decide(apply(record, Downloaded(), NOW), NOW) == Done(job(JobStatus.COMPLETE))


def test_a_complete_job_about_to_expire_is_resubmitted_after_its_expiry() -> None:
    dying = job(JobStatus.COMPLETE, expires_at=NOW + MIN_LIFETIME - 1)
    record = apply(START, JobUpdated(dying), NOW)
    assert decide(record, NOW) == Wait(NOW + MIN_LIFETIME)
    assert decide(record, NOW + MIN_LIFETIME) == Submit(resubmit=True)
    successor = apply(record, JobUpdated(job(JobStatus.WAITING, "b")), NOW + MIN_LIFETIME)
    assert successor.abandoned_jobs == ("a",)
    assert decide(successor, NOW + MIN_LIFETIME + 1) == Poll("b")


def test_a_job_that_has_expired_only_by_our_clock_is_downloaded() -> None:
    dead = job(JobStatus.COMPLETE, expires_at=NOW - 5000)
    record = apply(START, JobUpdated(dead), NOW)
    assert decide(record, NOW) == Wait(NOW + 1)
    assert decide(record, NOW + 1) == Submit(resubmit=True)
    assert decide(apply(record, JobUpdated(dead), NOW + 1), NOW + 1) == Download(dead)


def test_the_wait_for_expiry_is_bounded() -> None:
    record = replace(apply(START, JobUpdated(job(JobStatus.COMPLETE, expires_at=NOW + 25)), NOW), updated_at=NOW - 500)
    assert decide(record, NOW) == Submit(resubmit=True)
    assert MAX_WAIT_FOR_EXPIRY >= MIN_LIFETIME


def test_a_failed_job_is_resubmitted_after_growing_pauses() -> None:
    record, now, pauses = START, NOW, []
    for number in range(5):
        record = apply(record, JobUpdated(job(JobStatus.FAILED, str(number))), now)
        wait = decide(record, now)
        assert isinstance(wait, Wait)
        pauses.append(wait.until - now)
        now = wait.until
        assert decide(record, now) == Submit(resubmit=True)
    assert pauses == [5, 10, 20, 40, 80]
    assert record.failed_jobs == ("0", "1", "2", "3", "4")


def test_the_same_failed_job_is_not_a_new_attempt() -> None:
    record = apply(START, JobUpdated(job(JobStatus.FAILED)), NOW)
    record = apply(record, JobUpdated(job(JobStatus.FAILED)), NOW + 5)
    assert record.failed_jobs == ("a",)
    assert decide(record, NOW + 5) == Wait(NOW + 15)


def test_a_permanent_failure_fails_the_table_within_the_retry_timeout() -> None:
    record, now = START, NOW
    while True:
        record = apply(record, JobUpdated(job(JobStatus.FAILED)), now)
        action = decide(record, now)
        if isinstance(action, Fail):
            break
        assert isinstance(action, Wait)
        now = action.until
    assert now - NOW <= record.retry_timeout
    assert isinstance(action.error, JobFailedError)
    assert (action.error.uuid, action.error.job_id, action.error.table) == ("u-1", "a", "users")


@pytest.mark.parametrize("kind", ["ValidationError", "OutOfRange", "SnapshotRequired", "com.example.OutOfRangeError"])
def test_some_failures_are_final_at_once(kind: str) -> None:
    failed = replace(job(JobStatus.FAILED), failure=Failure(type=kind, uuid=None, message="no"))
    assert isinstance(decide(apply(START, JobUpdated(failed), NOW), NOW), Fail)


def test_a_lost_job_is_abandoned_and_resubmitted() -> None:
    record = apply(apply(START, JobUpdated(job(JobStatus.COMPLETE)), NOW), JobNotFound(), NOW)
    assert record.abandoned_jobs == ("a",)
    assert decide(record, NOW) == Submit(resubmit=True)


def test_too_many_lost_jobs_fail_the_table() -> None:
    record, now, pauses = START, NOW, []
    for number in range(MAX_LOST_JOBS + 1):
        action = decide(record, now)
        if isinstance(action, Wait):
            pauses.append(action.until - now)
            now = action.until
        assert isinstance(decide(record, now), Submit)
        record = apply(record, JobUpdated(job(JobStatus.COMPLETE, str(number))), now)
        record = apply(record, JobNotFound(), now)
    assert pauses == [5, 10, 20, 40], "the first lost job is resubmitted at once"
    action = decide(record, now)
    assert isinstance(action, Fail)
    assert isinstance(action.error, ExpiredError)


@pytest.mark.parametrize("known", [(), ("a",)])
def test_the_same_job_lost_again_is_bounded_by_the_retry_timeout(known: tuple[str, ...]) -> None:
    record, now, pauses = replace(START, abandoned_jobs=known), NOW, []
    while not isinstance(action := decide(record, now), Fail):
        if isinstance(action, Wait):
            pauses.append(action.until - now)
            now = action.until
        record = apply(record, JobUpdated(job(JobStatus.COMPLETE)), now)
        record = apply(record, JobNotFound(), now)
        assert len(pauses) < 100
    assert pauses == [5, 10, 20, 40, 80, 160, 240, 240]
    assert now - NOW <= record.retry_timeout
    assert record.abandoned_jobs == ("a",)
    assert isinstance(action.error, ExpiredError)


@pytest.mark.parametrize("ids", ["0123456789", "0101010101"])
def test_a_new_job_id_at_every_poll_fails_the_table(ids: str) -> None:
    record, now = START, NOW
    for number in range(10_000):
        record = apply(record, JobUpdated(job(JobStatus.RUNNING, ids[number % 10])), now)
        action = decide(record, now)
        if isinstance(action, Fail):
            break
        assert isinstance(action, Wait)
        now = action.until
    assert isinstance(action, Fail)
    assert now - NOW <= record.retry_timeout + 5
    assert isinstance(action.error, ExpiredError)


def test_a_failed_request_fails_the_table_with_its_error() -> None:
    error = ServerError("no")
    assert decide(apply(START, RequestFailed(error), NOW), NOW) == Fail(error)


RESPONSES = st.builds(
    job,
    st.sampled_from(list(JobStatus)),
    st.sampled_from("abc"),
    expires_at=st.one_of(st.none(), st.floats(NOW - 1e5, NOW + 1e5)),
)


@given(st.lists(st.one_of(RESPONSES.map(JobUpdated), st.just(JobNotFound()), st.just(Downloaded())), max_size=60))
def test_any_sequence_of_outcomes_terminates(outcomes: list[JobUpdated | JobNotFound | Downloaded]) -> None:
    """Every action fits its state, every wait ends in the future, and nothing loops without waiting."""
    record, now, idle = START, NOW, 0
    for outcome in outcomes:
        action = decide(record, now)
        while isinstance(action, Wait):
            assert action.until > now
            now, action = action.until, decide(record, action.until)
        if isinstance(action, Fail | Done):
            assert decide(record, now + 1e6) == action
            return
        match action, outcome:
            case (Submit() | Poll(), JobUpdated()) | (Poll() | Download(), JobNotFound()) | (Download(), Downloaded()):
                record = apply(record, outcome, now)
            case _:
                idle += 1
    assert record.lost_jobs <= MAX_LOST_JOBS + 1
