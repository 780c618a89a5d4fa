"""Every rule of a job's life, with time as a value."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import ExpiredError, JobFailedError, ServerError
from dapkit.model import Failure, Format, Job, JobStatus, Query
from dapkit.protocol.job import (
    LONGEST_POLL,
    LONGEST_WAIT_FOR_EXPIRY,
    MOST_VANISHED,
    SHORT_LIFE,
    Done,
    Downloaded,
    Fail,
    Fetch,
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
    return Job(id=job_id, status=status, expires_at=expires_at, objects=("o1",), at="2024", failure=failure)


def test_nothing_known_is_submitted_before_others_that_failed() -> None:
    assert decide(START, NOW) == Submit(again=False)


def test_a_running_job_is_polled_after_a_pause_that_grows_with_its_age() -> None:
    record = apply(START, JobUpdated(job(JobStatus.WAITING)), NOW)
    first = decide(record, NOW)
    assert first == Wait(NOW + 0.5)
    assert decide(record, NOW + 0.5) == Poll("a")
    record = apply(record, JobUpdated(job(JobStatus.RUNNING)), NOW + 60)
    assert decide(record, NOW + 60) == Wait(NOW + 60 + 9)
    record = apply(record, JobUpdated(job(JobStatus.RUNNING)), NOW + 7200)
    assert decide(record, NOW + 7200) == Wait(NOW + 7200 + LONGEST_POLL)


def test_a_complete_job_is_fetched_then_done() -> None:
    record = apply(START, JobUpdated(job(JobStatus.COMPLETE)), NOW)
    assert decide(record, NOW) == Fetch(job(JobStatus.COMPLETE))
    assert decide(apply(record, Downloaded(), NOW), NOW) == Done(job(JobStatus.COMPLETE))


def test_a_complete_job_about_to_expire_is_waited_out_and_asked_for_anew() -> None:
    dying = job(JobStatus.COMPLETE, expires_at=NOW + SHORT_LIFE - 1)
    record = apply(START, JobUpdated(dying), NOW)
    assert decide(record, NOW) == Wait(NOW + SHORT_LIFE)
    assert decide(record, NOW + SHORT_LIFE) == Submit(again=True)
    successor = apply(record, JobUpdated(job(JobStatus.WAITING, "b")), NOW + SHORT_LIFE)
    assert successor.given_up == ("a",)
    assert decide(successor, NOW + SHORT_LIFE + 1) == Poll("b")


def test_a_job_that_our_clock_calls_expired_is_taken_when_the_service_insists() -> None:
    dead = job(JobStatus.COMPLETE, expires_at=NOW - 5000)
    record = apply(START, JobUpdated(dead), NOW)
    assert decide(record, NOW) == Wait(NOW + 1)
    assert decide(record, NOW + 1) == Submit(again=True)
    assert decide(apply(record, JobUpdated(dead), NOW + 1), NOW + 1) == Fetch(dead)


def test_the_wait_for_expiry_is_bounded() -> None:
    record = replace(apply(START, JobUpdated(job(JobStatus.COMPLETE, expires_at=NOW + 25)), NOW), seen_at=NOW - 500)
    assert decide(record, NOW) == Submit(again=True)
    assert LONGEST_WAIT_FOR_EXPIRY >= SHORT_LIFE


def test_a_failed_job_is_asked_for_again_with_growing_pauses_behind_the_others() -> None:
    record, now, pauses = START, NOW, []
    for number in range(5):
        record = apply(record, JobUpdated(job(JobStatus.FAILED, str(number))), now)
        wait = decide(record, now)
        assert isinstance(wait, Wait)
        pauses.append(wait.until - now)
        now = wait.until
        assert decide(record, now) == Submit(again=True)
    assert pauses == [5, 10, 20, 40, 80]
    assert record.failed == ("0", "1", "2", "3", "4")


def test_the_same_failed_job_back_is_no_new_attempt() -> None:
    record = apply(START, JobUpdated(job(JobStatus.FAILED)), NOW)
    record = apply(record, JobUpdated(job(JobStatus.FAILED)), NOW + 5)
    assert record.failed == ("a",)
    assert decide(record, NOW + 5) == Wait(NOW + 15)


def test_a_failure_that_stays_fails_the_table_within_patience_and_names_the_uuid() -> None:
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


@pytest.mark.parametrize("kind", ["ValidationError", "OutOfRange", "SnapshotRequired"])
def test_a_failure_that_cannot_pass_is_final_at_once(kind: str) -> None:
    failed = replace(job(JobStatus.FAILED), failure=Failure(type=kind, uuid=None, message="no"))
    assert isinstance(decide(apply(START, JobUpdated(failed), NOW), NOW), Fail)


def test_a_job_that_vanished_is_given_up_and_asked_for_again() -> None:
    record = apply(apply(START, JobUpdated(job(JobStatus.COMPLETE)), NOW), JobNotFound(), NOW)
    assert record.given_up == ("a",)
    assert decide(record, NOW) == Submit(again=True)


def test_jobs_that_vanish_for_ever_fail_the_table() -> None:
    record, now, pauses = START, NOW, []
    for number in range(MOST_VANISHED + 1):
        action = decide(record, now)
        if isinstance(action, Wait):
            pauses.append(action.until - now)
            now = action.until
        assert isinstance(decide(record, now), Submit)
        record = apply(record, JobUpdated(job(JobStatus.COMPLETE, str(number))), now)
        record = apply(record, JobNotFound(), now)
    assert pauses == [5, 10, 20, 40], "the first time it is asked for again at once"
    action = decide(record, now)
    assert isinstance(action, Fail)
    assert isinstance(action.error, ExpiredError)


@pytest.mark.parametrize("known", [(), ("a",)])
def test_the_same_job_back_after_it_vanished_is_no_new_attempt_but_bounded_by_patience(known: tuple[str, ...]) -> None:
    record, now, pauses = replace(START, given_up=known), NOW, []
    while not isinstance(action := decide(record, now), Fail):
        if isinstance(action, Wait):
            pauses.append(action.until - now)
            now = action.until
        record = apply(record, JobUpdated(job(JobStatus.COMPLETE)), now)
        record = apply(record, JobNotFound(), now)
        assert len(pauses) < 100
    assert pauses == [5, 10, 20, 40, 80, 160, 240, 240]
    assert now - NOW <= record.retry_timeout
    assert record.given_up == ("a",)
    assert isinstance(action.error, ExpiredError)


@pytest.mark.parametrize("ids", ["0123456789", "0101010101"])
def test_a_job_of_another_id_at_every_poll_is_given_up(ids: str) -> None:
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


def test_what_broke_fails_the_table_with_that_error() -> None:
    error = ServerError("no")
    assert decide(apply(START, RequestFailed(error), NOW), NOW) == Fail(error)


ANSWERS = st.builds(
    job,
    st.sampled_from(list(JobStatus)),
    st.sampled_from("abc"),
    expires_at=st.one_of(st.none(), st.floats(NOW - 1e5, NOW + 1e5)),
)


@given(st.lists(st.one_of(ANSWERS.map(JobUpdated), st.just(JobNotFound()), st.just(Downloaded())), max_size=60))
def test_any_service_leads_to_an_end(outcomes: list[JobUpdated | JobNotFound | Downloaded]) -> None:
    """Whatever comes, every action is possible in its state, waits lie ahead, and nothing spins in place."""
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
            case (Submit() | Poll(), JobUpdated()) | (Poll() | Fetch(), JobNotFound()) | (Fetch(), Downloaded()):
                record = apply(record, outcome, now)
            case _:
                idle += 1
    assert record.vanished <= MOST_VANISHED + 1
