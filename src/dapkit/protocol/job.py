"""A job's life as a value: every rule about when to ask, wait, fetch, ask again or give up.

A `JobRecord` says all that is known of one table's job. `decide` names the next action, `apply` folds what came of
it into the next record. Both are functions over values, with time as one of them, so that resuming is nothing more
than deciding on a record that was read from disk.

    Submit ──▶ waiting, running ──▶ complete ──▶ Fetch ──▶ Done
      ▲              │ 404              │ about to expire        │ object gone
      │              ▼                  ▼                        ▼
      └───────── given up ◀──────── waited out              given up
      ▲
      └── failed or lost, with growing pauses, while patience lasts ──▶ Fail

The service answers an equal query with the job it already has, so submitting again is always safe, and what comes
back may be a job seen before: failed or lost (no new attempt), about to expire (wait it out), or complete (adopt it).
"""

from dataclasses import dataclass, replace

from dapkit.errors import DapError, ExpiredError, JobFailedError
from dapkit.model import Job, JobStatus, Query

__all__ = [
    "Done",
    "Downloaded",
    "Fail",
    "Fetch",
    "JobNotFound",
    "JobRecord",
    "JobUpdated",
    "Outcome",
    "Poll",
    "RequestFailed",
    "Submit",
    "Wait",
    "apply",
    "decide",
]

FIRST_POLL = 0.5  # seconds; small tables are ready almost at once
LONGEST_POLL = 20.0
POLL_GROWTH = 0.15  # a poll may be late by this share of the job's age
SHORT_LIFE = 30.0  # a complete job with less than this left is not begun
LONGEST_WAIT_FOR_EXPIRY = 120.0  # bounds what a wrong clock of ours can cost
FIRST_PAUSE = 5.0  # after a failed job, or a second one that was lost
LONGEST_PAUSE = 240.0
MOST_VANISHED = 5  # jobs that are lost in one process before the table fails
FINAL_FAILURES = frozenset({"ValidationError", "OutOfRange", "SnapshotRequired", "RequestTypeForbidden"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """All that is known of one table's job.

    Times are seconds since the epoch; the next submission is due `pause` seconds after `seen_at`. `failed` and
    `given_up` hold the ids of earlier jobs, `waited_out` those that we let expire; `vanished` counts those that were
    lost, the last new one of them at `lost_since`; `delivered` says that every object is whole on disk.
    """

    table: str
    query: Query
    retry_timeout: float = 900.0
    job: Job | None = None
    asked_at: float = 0.0
    seen_at: float = 0.0
    failed: tuple[str, ...] = ()
    failing_since: float | None = None
    pause: float = 0.0
    given_up: tuple[str, ...] = ()
    vanished: int = 0
    lost_since: float | None = None
    waited_out: tuple[str, ...] = ()
    delivered: bool = False
    error: DapError | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask the service for the job; `again` means behind the first submissions of other tables."""

    again: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask how the job is doing."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the complete job's objects to disk."""

    job: Job


@dataclass(frozen=True, slots=True)
class Fail:
    """The table has failed for good in this run."""

    error: DapError


@dataclass(frozen=True, slots=True)
class Done:
    """The job is whole on disk."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobUpdated:
    """The service described a job, in answer to a submission or a poll."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobNotFound:
    """The job, or an object of it, is not known to the service any more."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Every object of the job is whole on disk."""


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A call or a download failed beyond the patience of the layer below."""

    error: DapError


Action = Wait | Submit | Poll | Fetch | Fail | Done
Outcome = JobUpdated | JobNotFound | Downloaded | RequestFailed


def decide(record: JobRecord, now: float) -> Action:
    """Name the next action for this record at this time."""
    if record.error is not None:
        return Fail(record.error)
    job = record.job
    if job is None:
        again = bool(record.failed or record.given_up or record.waited_out)
        due = record.seen_at + record.pause
        return Submit(again=again) if now >= due else Wait(due)
    if record.delivered:
        return Done(job)
    if job.status is JobStatus.FAILED:
        return _after_failure(record, job, now)
    if job.status is JobStatus.COMPLETE:
        return _after_completion(record, job, now)
    due = record.seen_at + _poll_interval(record.seen_at - record.asked_at)
    return Poll(job.id) if now >= due else Wait(due)


def apply(record: JobRecord, outcome: Outcome, now: float) -> JobRecord:
    """Fold what came of an action into the next record."""
    match outcome:
        case JobUpdated(job):
            return _answered(record, job, now)
        case JobNotFound():
            return _gone(record, now)
        case Downloaded():
            return replace(record, delivered=True)
        case RequestFailed(error):
            return replace(record, error=error)


def _poll_interval(age: float) -> float:
    return min(max(age * POLL_GROWTH, FIRST_POLL), LONGEST_POLL)


def _after_failure(record: JobRecord, job: Job, now: float) -> Action:
    failure = job.failure
    since = now if record.failing_since is None else record.failing_since
    due = record.seen_at + record.pause
    final = failure is not None and failure.type in FINAL_FAILURES
    if final or due - since > record.retry_timeout:
        said = f": {failure.type} {failure.message}".rstrip() if failure else ""
        attempts = len(record.failed)
        times = "once" if attempts == 1 else f"{attempts} times"
        message = f"The service's job for table {record.table} failed {times}{said}"
        uuid = failure.uuid if failure else None
        return Fail(JobFailedError(message, table=record.table, job_id=job.id, uuid=uuid))
    return Submit(again=True) if now >= due else Wait(due)


def _after_completion(record: JobRecord, job: Job, now: float) -> Action:
    expires = job.expires_at
    if expires is None or job.id in record.waited_out or expires - now >= SHORT_LIFE:
        return Fetch(job)
    # The service gives the same job back until it has expired. The wait is counted from when the job was seen and
    # bounded, since our clock may be wrong; when the same job comes back afterwards it is taken.
    due = min(max(expires, record.seen_at) + 1.0, record.seen_at + LONGEST_WAIT_FOR_EXPIRY)
    return Wait(due) if now < due else Submit(again=True)


def _answered(record: JobRecord, job: Job, now: float) -> JobRecord:
    before = record.job
    new = before is None or before.id != job.id
    waited_out = record.waited_out
    if not new and before is not None and before.status is JobStatus.COMPLETE and job.id not in waited_out:
        waited_out = (*waited_out, job.id)
    if before is not None and new and before.status is not JobStatus.FAILED:
        record = _lost(record, before.id, now)
    record = replace(record, job=job, asked_at=now if new else record.asked_at, seen_at=now, waited_out=waited_out)
    if job.status is not JobStatus.FAILED:
        return record
    return replace(
        record,
        failed=record.failed if job.id in record.failed else (*record.failed, job.id),
        failing_since=now if record.failing_since is None else record.failing_since,
        pause=_grown(record.pause),
    )


def _grown(pause: float) -> float:
    return min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)


def _gone(record: JobRecord, now: float) -> JobRecord:
    """Ask again: at once when the first job vanished, with growing pauses when it happens again."""
    lost = record.job.id if record.job else ""
    pause = record.pause if record.lost_since is None else _grown(record.pause)
    return replace(_lost(record, lost, now, pause), job=None, seen_at=now, pause=pause)


def _lost(record: JobRecord, lost: str, now: float, pause: float = 0.0) -> JobRecord:
    """Give up a job that vanished or was replaced by another.

    One that had been given up and came back is no new attempt: it may go on like this while patience lasts.
    """
    if lost in record.given_up and record.lost_since is not None:
        if now + pause - record.lost_since <= record.retry_timeout:
            return record
        message = f"The service gave job {lost} for table {record.table} again and again, and then did not know it"
        hint = "Run the same command again later."
        return replace(record, error=ExpiredError(message, hint=hint, table=record.table, job_id=lost))
    given_up = record.given_up if lost in record.given_up else (*record.given_up, lost)
    vanished = record.vanished + 1
    record = replace(record, given_up=given_up, vanished=vanished, lost_since=now)
    if vanished <= MOST_VANISHED:
        return record
    message = f"{vanished} jobs for table {record.table} were lost before their files were here"
    hint = "Use more --concurrency or a faster line, and run the same command again."
    return replace(record, error=ExpiredError(message, hint=hint, table=record.table, job_id=lost))
