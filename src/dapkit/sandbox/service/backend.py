"""The rules of the service, without HTTP: which queries are valid, which job answers a query, and a job's status.

Jobs are not stored: a job's identifier contains its query, and the real clock determines its progress. Only what a
single process has to remember is kept here: which job answers equal queries, and which jobs a fault has deleted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from dapkit.sandbox.data.dataset import DataQuery, Part
from dapkit.sandbox.faults import FaultRule, InjectedFault
from dapkit.sandbox.service.clock import DataClock, RealClock, parse_timestamp
from dapkit.sandbox.service.identifiers import FORMATS, MODES, Identifiers, JobIdentity, ObjectIdentity
from dapkit.sandbox.service.responses import (
    Json,
    forbidden,
    invalid_request,
    job_complete,
    job_failed,
    job_in_progress,
    not_found,
    out_of_range,
    snapshot_required,
)

_QUERY_FIELDS = frozenset({"format", "mode", "since", "until"})


class Data(Protocol):
    """The source of schemas and rows."""

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces."""

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the tables of a known namespace."""

    def schema(self, namespace: str, table: str, at_ms: int) -> tuple[dict[str, Any], int]:
        """Return the JSON Schema of a known table at a data time, and its version."""

    def earliest(self, namespace: str, table: str, now_ms: int) -> int:
        """Return the earliest start of an increment of a known table."""

    def parts(self, query: DataQuery) -> tuple[Part, ...]:
        """Return the objects of a query's result; cheap."""

    def write(self, part: Part, path: Path) -> int:
        """Write one object and return its rows; blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimes:
    """How long a job takes, and how long it exists after its creation, in milliseconds."""

    duration_ms: int = 2000
    lifetime_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class _KnownJob:
    identifier: str
    until_ms: int
    """Until when equal queries get this job."""


class Backend:
    """Answers queries about one dataset."""

    def __init__(
        self, data: Data, identifiers: Identifiers, *, real_clock: RealClock, data_clock: DataClock, times: JobTimes
    ) -> None:
        self._data = data
        self._identifiers = identifiers
        self._real_clock = real_clock
        self._data_clock = data_clock
        self._times = times
        self._tables = {name: frozenset(data.tables(name)) for name in data.namespaces()}
        self._parts = lru_cache(maxsize=512)(data.parts)
        self._known_jobs: dict[DataQuery, _KnownJob] = {}
        self._snapshots: dict[tuple[str, str], tuple[DataQuery, int]] = {}
        self._deleted: set[str] = set()
        self._attempts = 0

    def tables(self, namespace: str) -> Json:
        """Return the tables of a namespace."""
        if namespace not in self._tables:
            raise not_found("namespace", namespace)
        return {"tables": list(self._data.tables(namespace))}

    def schema(self, namespace: str, table: str) -> Json:
        """Return a table's current schema."""
        self._require_table(namespace, table)
        document, version = self._data.schema(namespace, table, self._data_clock.now_ms())
        return {"schema": document, "version": version}

    def submit(self, namespace: str, table: str, body: bytes, fault: InjectedFault | None = None) -> tuple[int, Json]:
        """Return status and body of the job for a query: the job of an equal earlier query, or else a new one."""
        self._require_table(namespace, table)
        query = self._parse_query(namespace, table, body)
        kind = fault.kind if fault else None
        if query.since_ms is not None:
            if kind == "snapshot-required":
                raise snapshot_required(query.since_ms, query.until_ms)
            if kind == "out-of-range":
                raise out_of_range(query.until_ms)
        now = self._real_clock.now_ms()
        known = self._known_jobs.get(query)
        if known is None or known.until_ms <= now:
            if query.since_ms is None:
                self._note_snapshot(query, now, fault.rule.seconds if fault and kind == "repeated-snapshot" else 0.0)
            known = self._create_job(query, now, fault.rule if fault and kind == "failed-job" else None)
            self._known_jobs[query] = known
        return self.job(known.identifier)

    def job(self, identifier: str) -> tuple[int, Json]:
        """Return a job's status: 202 while it is in progress, 200 once its state is final."""
        job = self.live_job(identifier)
        expires = job.created_ms + self._times.lifetime_ms
        left = job.created_ms + self._times.duration_ms - self._real_clock.now_ms()
        if left > 0:
            status = "waiting" if left > self._times.duration_ms * 3 // 4 else "running"
            return 202, job_in_progress(identifier, status, expires)
        if job.fails:
            return 200, job_failed(identifier, expires)
        query = job.query
        count = len(self._parts(query))
        objects = [self._identifiers.for_object(ObjectIdentity(job=job, index=index)) for index in range(count)]
        _, version = self._data.schema(query.namespace, query.table, query.until_ms)
        return 200, job_complete(identifier, expires, query, objects=objects, version=version)

    def live_job(self, identifier: str) -> JobIdentity:
        """Return the job of an identifier. Raises ApiError if it is unknown, expired or deleted."""
        job = self._identifiers.parse_job(identifier)
        if job is None or not self._exists(job):
            raise not_found("job", identifier)
        return job

    def live_object(self, identifier: str) -> ObjectIdentity:
        """Return the object of an identifier. Raises ApiError if it is unknown, expired, deleted or not ready."""
        item = self._identifiers.parse_object(identifier)
        if item is None or not self._exists(item.job) or item.job.fails:
            raise not_found("object", identifier)
        if item.job.created_ms + self._times.duration_ms > self._real_clock.now_ms():
            raise not_found("object", identifier)
        return item

    def part(self, item: ObjectIdentity) -> Part:
        """Return what to write into an object."""
        return self._parts(item.job.query)[item.index]

    def delete_job(self, identifier: str) -> None:
        """Delete a job and its objects early. An equal query then creates a new job."""
        self._deleted.add(identifier)
        self._known_jobs = {query: known for query, known in self._known_jobs.items() if known.identifier != identifier}

    def reset(self) -> None:
        """Forget which jobs answer equal queries and which snapshots were taken, and restore deleted jobs."""
        self._known_jobs.clear()
        self._snapshots.clear()
        self._deleted.clear()

    def _exists(self, job: JobIdentity) -> bool:
        if self._identifiers.for_job(job) in self._deleted:
            return False
        return self._real_clock.now_ms() < job.created_ms + self._times.lifetime_ms

    def _require_table(self, namespace: str, table: str) -> None:
        if namespace not in self._tables:
            raise not_found("namespace", namespace)
        if table not in self._tables[namespace]:
            raise not_found("table", table)

    def _note_snapshot(self, query: DataQuery, now: int, pause: float | None) -> None:
        """Remember a snapshot of a table. Raises ApiError if it follows another within `pause` seconds (None: an hour).

        The same snapshot may be requested again, for example after its job failed.
        """
        table = query.namespace, query.table
        last, time = self._snapshots.get(table, (query, 0))
        if last != query and now < time + (3600 if pause is None else pause) * 1000:
            raise forbidden("RequestTypeForbidden", "A snapshot of this table was taken shortly before")
        self._snapshots[table] = query, now

    def _create_job(self, query: DataQuery, now: int, failure: FaultRule | None) -> _KnownJob:
        job = JobIdentity(query=query, created_ms=now, attempt=self._attempts % 65_536, fails=failure is not None)
        self._attempts += 1
        until = now + self._times.lifetime_ms
        # Equal queries get a failed job only while it is running, so that resubmitting helps. A sticky failure is
        # returned for the duration of its rule.
        if failure is not None and not failure.sticky:
            until = now + self._times.duration_ms
        elif failure is not None and failure.seconds is not None:
            until = now + int(failure.seconds * 1000)
        return _KnownJob(self._identifiers.for_job(job), until)

    def _parse_query(self, namespace: str, table: str, body: bytes) -> DataQuery:
        fields = _parse_fields(body)
        now = self._data_clock.now_ms()
        since = _parse_time(fields, "since")
        until = _parse_time(fields, "until")
        if since is None:
            if until is not None:
                raise invalid_request("`until` requires `since`")
        else:
            earliest = self._data.earliest(namespace, table, now)
            if since < earliest:
                raise out_of_range(earliest)
            if since > now:
                raise invalid_request("`since` is later than the data")
            if until is not None and until < since:
                raise invalid_request("`until` is before `since`")
        # Never later than the data: the next increment starts at this `until`, and would skip rows that appear before.
        until = now if until is None else min(until, now)
        return DataQuery(
            namespace=namespace,
            table=table,
            format=fields["format"],
            mode=fields.get("mode", MODES[0]),
            since_ms=since,
            until_ms=until,
        )


def parse_json(body: bytes) -> Any:
    """Return the value of a request body. Raises ApiError, with the position of the error, if it is not JSON."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid_request(error.msg, line=error.lineno, column=error.colno, character=error.pos) from None
    except UnicodeDecodeError as error:
        raise invalid_request("The body is not UTF-8", character=error.start) from None


def _parse_fields(body: bytes) -> dict[str, str]:
    fields = parse_json(body)
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise invalid_request("A query must be an object whose values are strings")
    if unknown := sorted(fields.keys() - _QUERY_FIELDS):
        raise invalid_request(f"Unknown field: {unknown[0]}")
    _check_choice(fields, "format", FORMATS)
    if "mode" in fields:
        _check_choice(fields, "mode", MODES)
    return fields


def _check_choice(fields: dict[str, str], name: str, choices: Sequence[str]) -> None:
    if fields.get(name) not in choices:
        raise invalid_request(f"`{name}` must be one of {', '.join(choices)}")


def _parse_time(fields: dict[str, str], name: str) -> int | None:
    if name not in fields:
        return None
    try:
        return parse_timestamp(fields[name])
    except (ValueError, OverflowError):
        raise invalid_request(f"`{name}` is not a date-time with a zone") from None
