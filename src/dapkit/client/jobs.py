"""Jobs of the service, without disk or journal: submit a query, wait, get the ids of the job's objects.

    job = await run_job(session, "canvas", "users", query)              # in one call

    record = await submit_job(session, "canvas", "users", query)        # submit now, collect later:
    record = await wait_for_job(session, "canvas", record)              # `record` is a value that can be stored
    job = finished_job("canvas", record)

The rules (when to poll, what a failure means, when to submit again) are in `protocol.job`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dapkit.client.session import Session
from dapkit.errors import DapError, NotFoundError
from dapkit.model import Job, JobStatus, Query
from dapkit.protocol.job import (
    Done,
    Download,
    Fail,
    JobNotFound,
    JobRecord,
    JobUpdated,
    Outcome,
    Poll,
    RequestFailed,
    Submit,
    Wait,
    apply,
    decide,
    poll_due,
)

OutcomeListener = Callable[[JobRecord, Outcome, JobRecord], None]
"""Called after each request with the record before the request, its outcome, and the record after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A complete job and the request that it answers. `job.objects` are the ids of its objects."""

    namespace: str
    table: str
    query: Query
    job: Job


async def run_job(
    session: Session, namespace: str, table: str, query: Query, *, retry_timeout: float = 900.0
) -> FinishedJob:
    """Submit a query and return its job when it is complete.

    Args:
        session: with the service.
        namespace: of the table.
        table: its name.
        query: what to request.
        retry_timeout: for how many seconds a job that fails is submitted again.

    Raises:
        DapError: the table does not exist, the job failed for good, or the service cannot be used.
    """
    record = JobRecord(table=table, query=query, retry_timeout=retry_timeout)
    return finished_job(namespace, await wait_for_job(session, namespace, record))


async def submit_job(
    session: Session, namespace: str, table: str, query: Query, *, retry_timeout: float = 900.0
) -> JobRecord:
    """Submit a query and return at once. The record can be stored and passed to `wait_for_job` later."""
    job = await session.submit(namespace, table, query)
    record = JobRecord(table=table, query=query, retry_timeout=retry_timeout)
    return apply(record, JobUpdated(job), session.clock.now())


async def wait_for_job(
    session: Session,
    namespace: str,
    record: JobRecord,
    *,
    on_submit: Callable[[], None] = lambda: None,
    on_outcome: OutcomeListener = lambda _before, _outcome, _after: None,
) -> JobRecord:
    """Continue a record until its job is complete and can be downloaded.

    Args:
        session: with the service.
        namespace: of the table.
        record: where to start: a new one, or one of `submit_job` or of an earlier process.
        on_submit: called before the query is submitted (again).
        on_outcome: called after each request, for callers that keep a record.

    Raises:
        DapError: the table does not exist, the job failed for good, or the service cannot be used.
    """
    clock = session.clock
    while True:
        match decide(record, clock.now()):
            case Wait(until):
                await clock.sleep(max(until - clock.now(), 0.0))
                continue
            case Submit(resubmit):
                on_submit()
                outcome = await _submit(session, namespace, record, resubmit=resubmit)
            case Poll(job_id):
                outcome = await _poll(session, job_id)
            case Fail(error):
                error.table = error.table or record.table
                raise error
            case Download() | Done():
                return record
        before, record = record, apply(record, outcome, clock.now())
        on_outcome(before, outcome, record)


async def await_job(session: Session, job: Job) -> Job:
    """Poll a job until it is complete or has failed, and return it. Raises ExpiredError if the service loses it."""
    clock = session.clock
    first = seen = clock.now()
    while not job.status.terminal:
        await clock.sleep(max(poll_due(first, seen) - clock.now(), 0.0))
        job = await session.poll(job.id)
        seen = clock.now()
    return job


def finished_job(namespace: str, record: JobRecord) -> FinishedJob:
    """Return the complete job of a record that `wait_for_job` returned."""
    assert record.job is not None
    assert record.job.status is JobStatus.COMPLETE, f"job {record.job.id} is {record.job.status}"
    return FinishedJob(namespace=namespace, table=record.table, query=record.query, job=record.job)


async def _submit(session: Session, namespace: str, record: JobRecord, *, resubmit: bool) -> Outcome:
    try:
        return JobUpdated(await session.submit(namespace, record.table, record.query, resubmit=resubmit))
    except DapError as error:
        return RequestFailed(error)


async def _poll(session: Session, job_id: str) -> Outcome:
    try:
        return JobUpdated(await session.poll(job_id))
    except NotFoundError:
        return JobNotFound()
    except DapError as error:
        return RequestFailed(error)
