"""The rules of the service, without HTTP: what may be asked, what a query becomes, what a job is at a moment.

A job is not stored: its identifier says what it stands for, the real clock says how far it is. Only what one
process must remember is kept here: which jobs answer equal queries, and which jobs were forgotten on purpose.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from dapkit.sandbox.data.dataset import DataQuery, Part
from dapkit.sandbox.faults.rules import Occurrence
from dapkit.sandbox.service.clock import DataClock, RealClock, parse_timestamp
from dapkit.sandbox.service.identifiers import FORMATS, MODES, Identifiers, JobIdentity, ObjectIdentity
from dapkit.sandbox.service.responses import (
    Json,
    invalid,
    job_complete,
    job_failed,
    job_in_progress,
    not_found,
    out_of_range,
    snapshot_required,
)

_JOB_LIFE_MS = 86_400_000
_QUERY_FIELDS = frozenset({"format", "mode", "since", "until"})


class Data(Protocol):
    """Where schemas and rows come from."""

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces."""

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Return a known namespace's tables."""

    def schema(self, namespace: str, table: str, at_ms: int) -> tuple[dict[str, Any], int]:
        """Return a known table's JSON Schema at a data time, and its version."""

    def earliest(self, namespace: str, table: str, now_ms: int) -> int:
        """Return the earliest start of an increment of a known table."""

    def parts(self, query: DataQuery) -> tuple[Part, ...]:
        """Return the objects that a query becomes; cheap."""

    def write(self, part: Part, path: Path) -> int:
        """Write one object, blocking; return its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimes:
    """How long a job takes, and how long it lives from its start, in milliseconds."""

    takes_ms: int = 2000
    lives_ms: int = _JOB_LIFE_MS


@dataclass(frozen=True, slots=True)
class _Remembered:
    identifier: str
    until_ms: int


class Backend:
    """Answers queries about one world of data."""

    def __init__(
        self, data: Data, identifiers: Identifiers, *, real: RealClock, moment: DataClock, times: JobTimes
    ) -> None:
        self._data = data
        self._identifiers = identifiers
        self._real = real
        self._moment = moment
        self._times = times
        self._tables = {name: frozenset(data.tables(name)) for name in data.namespaces()}
        self._parts = lru_cache(maxsize=512)(data.parts)
        self._remembered: dict[DataQuery, _Remembered] = {}
        self._forgotten: set[str] = set()
        self._attempts = 0

    def tables(self, namespace: str) -> Json:
        """Answer which tables a namespace has."""
        if namespace not in self._tables:
            raise not_found("namespace", namespace)
        return {"tables": list(self._data.tables(namespace))}

    def schema(self, namespace: str, table: str) -> Json:
        """Answer a table's schema."""
        self._known(namespace, table)
        document, version = self._data.schema(namespace, table, self._moment.now_ms())
        return {"schema": document, "version": version}

    def submit(self, namespace: str, table: str, body: bytes, occurrence: Occurrence | None = None) -> tuple[int, Json]:
        """Answer a query with a job: the one that answers an equal query already, else a new one."""
        self._known(namespace, table)
        query = self._query(namespace, table, body)
        kind = occurrence.kind if occurrence else None
        if query.since_ms is not None:
            if kind == "snapshot-required":
                raise snapshot_required(query.since_ms, query.until_ms)
            if kind == "out-of-range":
                raise out_of_range(query.until_ms)
        now = self._real.now_ms()
        known = self._remembered.get(query)
        if known is None or known.until_ms <= now:
            known = self._new_job(query, now, occurrence if kind == "failed-job" else None)
            self._remembered[query] = known
        return self.job(known.identifier)

    def job(self, identifier: str) -> tuple[int, Json]:
        """Answer how far a job is: status 202 in progress, 200 when it will change no more."""
        job = self.live_job(identifier)
        expires = job.created_ms + self._times.lives_ms
        left = job.created_ms + self._times.takes_ms - self._real.now_ms()
        if left > 0:
            status = "waiting" if left > self._times.takes_ms * 3 // 4 else "running"
            return 202, job_in_progress(identifier, status, expires)
        if job.fails:
            return 200, job_failed(identifier, expires)
        count = len(self._parts(_query_of(job)))
        objects = [self._identifiers.of_object(ObjectIdentity(job=job, index=index)) for index in range(count)]
        _, version = self._data.schema(job.namespace, job.table, job.until_ms)
        return 200, job_complete(identifier, expires, job, objects=objects, version=version)

    def live_job(self, identifier: str) -> JobIdentity:
        """Return the job of an identifier; refuse one that is unknown or gone."""
        job = self._identifiers.read_job(identifier)
        if job is None or not self._alive(job):
            raise not_found("job", identifier)
        return job

    def live_object(self, identifier: str) -> ObjectIdentity:
        """Return the object of an identifier; refuse one that is unknown, gone or not there yet."""
        item = self._identifiers.read_object(identifier)
        if item is None or not self._alive(item.job) or item.job.fails:
            raise not_found("object", identifier)
        if item.job.created_ms + self._times.takes_ms > self._real.now_ms():
            raise not_found("object", identifier)
        return item

    def part(self, item: ObjectIdentity) -> Part:
        """Return what to write for an object."""
        parts = self._parts(_query_of(item.job))
        return parts[item.index]

    def forget(self, identifier: str) -> None:
        """Let a job be gone before its time, with its objects; an equal query makes a new one."""
        self._forgotten.add(identifier)
        self._remembered = {query: known for query, known in self._remembered.items() if known.identifier != identifier}

    def reset(self) -> None:
        """Forget which jobs answer equal queries, and which were forgotten on purpose."""
        self._remembered.clear()
        self._forgotten.clear()

    def _alive(self, job: JobIdentity) -> bool:
        if self._identifiers.of_job(job) in self._forgotten:
            return False
        return self._real.now_ms() < job.created_ms + self._times.lives_ms

    def _known(self, namespace: str, table: str) -> None:
        if namespace not in self._tables:
            raise not_found("namespace", namespace)
        if table not in self._tables[namespace]:
            raise not_found("table", table)

    def _new_job(self, query: DataQuery, now: int, failure: Occurrence | None) -> _Remembered:
        """Make a job. One that fails is remembered while it runs, a sticky one as long as its fault says."""
        job = JobIdentity(
            namespace=query.namespace,
            table=query.table,
            format=query.format,
            mode=query.mode,
            since_ms=query.since_ms,
            until_ms=query.until_ms,
            created_ms=now,
            attempt=self._attempts % 65_536,
            fails=failure is not None,
        )
        self._attempts += 1
        until = now + self._times.lives_ms
        if failure is not None:
            fault = failure.fault
            lasts_ms = None if fault.seconds is None else int(fault.seconds * 1000)
            if not fault.sticky:
                until = now + self._times.takes_ms
            elif lasts_ms is not None:
                until = now + lasts_ms
        return _Remembered(self._identifiers.of_job(job), until)

    def _query(self, namespace: str, table: str, body: bytes) -> DataQuery:
        fields = _fields(body)
        at = self._moment.now_ms()
        since = _moment(fields, "since")
        until = _moment(fields, "until")
        if since is None:
            if until is not None:
                raise invalid("`until` needs `since`")
        else:
            earliest = self._data.earliest(namespace, table, at)
            if since < earliest:
                raise out_of_range(earliest)
            if since > at:
                raise invalid("`since` lies ahead of the data")
            if until is not None and until < since:
                raise invalid("`until` lies before `since`")
        # What is not there yet cannot be promised: a later `until` would make the next increment skip rows.
        until = at if until is None else min(until, at)
        return DataQuery(
            namespace=namespace,
            table=table,
            format=fields["format"],
            mode=fields.get("mode", MODES[0]),
            since_ms=since,
            until_ms=until,
        )


def _query_of(job: JobIdentity) -> DataQuery:
    return DataQuery(
        namespace=job.namespace,
        table=job.table,
        format=job.format,
        mode=job.mode,
        since_ms=job.since_ms,
        until_ms=job.until_ms,
    )


def read_json(body: bytes) -> Any:
    """Return the value of a request body; refuse what is no JSON, naming the place."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid(error.msg, line=error.lineno, column=error.colno, character=error.pos) from None
    except UnicodeDecodeError as error:
        raise invalid("The body is not UTF-8.", character=error.start) from None


def _fields(body: bytes) -> dict[str, str]:
    fields = read_json(body)
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise invalid("A query is an object of texts.")
    if unknown := sorted(fields.keys() - _QUERY_FIELDS):
        raise invalid(f"Unknown field: {unknown[0]}")
    _one_of(fields, "format", FORMATS)
    if "mode" in fields:
        _one_of(fields, "mode", MODES)
    return fields


def _one_of(fields: dict[str, str], name: str, known: Sequence[str]) -> None:
    if fields.get(name) not in known:
        raise invalid(f"`{name}` is one of {', '.join(known)}.")


def _moment(fields: dict[str, str], name: str) -> int | None:
    if name not in fields:
        return None
    try:
        return parse_timestamp(fields[name])
    except (ValueError, OverflowError):
        raise invalid(f"`{name}` is not a date-time with a zone.") from None
