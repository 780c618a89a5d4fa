"""PURE: the life cycle of a job as a value: when to submit, poll, wait, download, resubmit or give up.

A `JobRecord` is everything known about one table's job. `decide` returns the next action, and `apply` returns the
record after the outcome of an action. Both are functions of values and of the time, so resuming a run means deciding on
a record that was read from disk.

    Submit ──▶ waiting, running ──▶ complete ──▶ Download ──▶ Done
      ▲              │ 404              │ about to expire   │ object not found
      │              ▼                  ▼                   ▼
      ├───────── abandoned        wait for its expiry    abandoned
      ▲
      └── failed or lost, after growing pauses, until the retry timeout ──▶ Fail

The service answers an equal query with the job that it already has. So resubmitting is always safe, but it may return
a job seen before: a failed or lost one (this is not a new attempt), one about to expire (wait until it has), or a
complete one (adopt it).
"""

from dataclasses import dataclass, replace

from dapkit.errors import DapError, ExpiredError, JobFailedError
from dapkit.model import Job, JobStatus, Query
from dapkit.protocol.error_types import error_name

FIRST_POLL = 0.5  # seconds; jobs of small tables complete almost at once
MAX_POLL_INTERVAL = 20.0
POLL_GROWTH = 0.15  # polling costs at most this share of the job's duration
MIN_LIFETIME = 30.0  # a complete job that expires sooner is not downloaded: its objects could vanish in between
MAX_WAIT_FOR_EXPIRY = 120.0  # limits the delay that a wrong local clock can cause
FIRST_PAUSE = 5.0  # after a failed job, or after a second lost one
MAX_PAUSE = 240.0
MAX_LOST_JOBS = 5  # then the table fails
FINAL_FAILURES = frozenset({"validation", "outofrange", "snapshotrequired", "requesttypeforbidden"})
"""The names of failures of a job that an equal query would repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """Everything known about one table's job. Times are seconds since the epoch.

    Attributes:
        retry_timeout: seconds for which failed and lost jobs are resubmitted.
        job: the current job; None if none has been submitted or the last one was lost.
        submitted_at: when the current job was first seen.
        updated_at: when the service last described it. The next submission is due `pause` seconds later.
        failed_jobs: ids of jobs that failed, the first of them at `first_failed_at`.
        abandoned_jobs: ids of jobs that were lost or replaced.
        lost_jobs: how many jobs were lost, the last new one of them at `last_lost_at`.
        expired_jobs: ids of jobs whose expiry was awaited.
        downloaded: whether all objects are complete on disk.
        error: why the table failed.
    """

    table: str
    query: Query
    retry_timeout: float = 900.0
    job: Job | None = None
    submitted_at: float = 0.0
    updated_at: float = 0.0
    failed_jobs: tuple[str, ...] = ()
    first_failed_at: float | None = None
    pause: float = 0.0
    abandoned_jobs: tuple[str, ...] = ()
    lost_jobs: int = 0
    last_lost_at: float | None = None
    expired_jobs: tuple[str, ...] = ()
    downloaded: bool = False
    error: DapError | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before this time."""

    until: float


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit the query. A `resubmit` queues behind the first submissions of other tables."""

    resubmit: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask for the job's status."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Download:
    """Download the objects of the complete job."""

    job: Job


@dataclass(frozen=True, slots=True)
class Fail:
    """The table has failed for good in this run."""

    error: DapError


@dataclass(frozen=True, slots=True)
class Done:
    """All objects of the job are complete on disk."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobUpdated:
    """The service described a job, in response to a submission or a poll."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobNotFound:
    """The service no longer knows the job or one of its objects."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """All objects of the job are complete on disk."""


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request or a download failed, and its own retries did not help."""

    error: DapError


Action = Wait | Submit | Poll | Download | Fail | Done
Outcome = JobUpdated | JobNotFound | Downloaded | RequestFailed


def decide(record: JobRecord, now: float) -> Action:
    """Return the next action at this time."""
    if record.error is not None:
        return Fail(record.error)
    job = record.job
    if job is None:
        resubmit = bool(record.failed_jobs or record.abandoned_jobs or record.expired_jobs)
        due = record.updated_at + record.pause
        return Submit(resubmit=resubmit) if now >= due else Wait(due)
    if record.downloaded:
        return Done(job)
    if job.status is JobStatus.FAILED:
        return _after_failure(record, job, now)
    if job.status is JobStatus.COMPLETE:
        return _after_completion(record, job, now)
    due = poll_due(record.submitted_at, record.updated_at)
    return Poll(job.id) if now >= due else Wait(due)


def poll_due(submitted_at: float, updated_at: float) -> float:
    """Return when to poll a job in progress that was last described at `updated_at`."""
    return updated_at + min(max((updated_at - submitted_at) * POLL_GROWTH, FIRST_POLL), MAX_POLL_INTERVAL)


def apply(record: JobRecord, outcome: Outcome, now: float) -> JobRecord:
    """Return the record after the outcome of an action."""
    match outcome:
        case JobUpdated(job):
            return _after_update(record, job, now)
        case JobNotFound():
            # The first time, resubmit at once: jobs expire. Later, with growing pauses: something is wrong.
            lost = record.job.id if record.job else ""
            pause = record.pause if record.last_lost_at is None else _next_pause(record.pause)
            return replace(_abandon(record, lost, now, pause), job=None, updated_at=now, pause=pause)
        case Downloaded():
            return replace(record, downloaded=True)
        case RequestFailed(error):
            return replace(record, error=error)


def _after_failure(record: JobRecord, job: Job, now: float) -> Action:
    failure = job.failure
    since = now if record.first_failed_at is None else record.first_failed_at
    due = record.updated_at + record.pause
    final = failure is not None and error_name(failure.type) in FINAL_FAILURES
    if final or due - since > record.retry_timeout:
        reason = f": {failure.type} {failure.message}".rstrip() if failure else ""
        attempts = len(record.failed_jobs)
        times = "once" if attempts == 1 else f"{attempts} times"
        message = f"The service's job for table {record.table} failed {times}{reason}"
        uuid = failure.uuid if failure else None
        return Fail(JobFailedError(message, table=record.table, job_id=job.id, uuid=uuid))
    return Submit(resubmit=True) if now >= due else Wait(due)


def _after_completion(record: JobRecord, job: Job, now: float) -> Action:
    expires = job.expires_at
    if expires is None or job.id in record.expired_jobs or expires - now >= MIN_LIFETIME:
        return Download(job)
    # The service returns the same job until it has expired, so resubmitting earlier does not help. Our clock may be
    # wrong: the wait counts from when the job was seen, is bounded, and if the same job comes back, it is downloaded.
    due = min(max(expires, record.updated_at) + 1.0, record.updated_at + MAX_WAIT_FOR_EXPIRY)
    return Wait(due) if now < due else Submit(resubmit=True)


def _after_update(record: JobRecord, job: Job, now: float) -> JobRecord:
    previous = record.job
    is_new = previous is None or previous.id != job.id
    expired_jobs = record.expired_jobs
    if previous is not None and not is_new and previous.status is JobStatus.COMPLETE and job.id not in expired_jobs:
        # It was complete and resubmitted because it was about to expire, yet the service still has it.
        expired_jobs = (*expired_jobs, job.id)
    if previous is not None and is_new and previous.status is not JobStatus.FAILED:
        record = _abandon(record, previous.id, now)
    record = replace(
        record,
        job=job,
        submitted_at=now if is_new else record.submitted_at,
        updated_at=now,
        expired_jobs=expired_jobs,
    )
    if job.status is not JobStatus.FAILED:
        return record
    return replace(
        record,
        failed_jobs=record.failed_jobs if job.id in record.failed_jobs else (*record.failed_jobs, job.id),
        first_failed_at=now if record.first_failed_at is None else record.first_failed_at,
        pause=_next_pause(record.pause),
    )


def _next_pause(pause: float) -> float:
    return min(max(pause * 2, FIRST_PAUSE), MAX_PAUSE)


def _abandon(record: JobRecord, job_id: str, now: float, pause: float = 0.0) -> JobRecord:
    """Abandon a job that was lost or replaced by another one."""
    known = job_id in record.abandoned_jobs
    if known and record.last_lost_at is not None:
        # The service keeps returning a job that it then does not know: no new attempt, only time can help.
        if now + pause - record.last_lost_at <= record.retry_timeout:
            return record
        message = f"The service repeatedly returned job {job_id} for table {record.table}, but then did not know it"
        hint = "Run the same command again later."
        return replace(record, error=ExpiredError(message, hint=hint, table=record.table, job_id=job_id))
    abandoned_jobs = record.abandoned_jobs if known else (*record.abandoned_jobs, job_id)
    lost_jobs = record.lost_jobs + 1
    record = replace(record, abandoned_jobs=abandoned_jobs, lost_jobs=lost_jobs, last_lost_at=now)
    if lost_jobs <= MAX_LOST_JOBS:
        return record
    message = f"{lost_jobs} jobs for table {record.table} were lost before their files were downloaded"
    hint = "Use a higher --concurrency or a faster connection, and run the same command again."
    return replace(record, error=ExpiredError(message, hint=hint, table=record.table, job_id=job_id))
