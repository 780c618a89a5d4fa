"""The journal of one run: an append-only file, and the state that replaying it gives.

Each line is one JSON object. A run only appends; the next one replays. Unreadable lines at the end were cut short by a
crash and are ignored. Readable lines after an unreadable one mean that the file was damaged, which is an error. Safety
does not depend on the journal: files are verified, and a repeated query returns the same job. The journal saves work.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dapkit.errors import JournalError
from dapkit.model import Failure, Job, JobStatus, Query
from dapkit.storage.atomic import disk_error, disk_errors
from dapkit.transfer.manifest import ManifestObject
from dapkit.transfer.object_download import ResumePoint

T = TypeVar("T")

VERSION = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """One line of the journal; `time` is seconds since the epoch."""

    time: float


class RunStartedEntry(Entry, frozen=True, kw_only=True, tag="run-started"):
    """What was requested, and the selected tables. With `--since FOLDER`, `since` is the start of each table."""

    version: int = VERSION
    service: str
    scope: str | None = None
    namespace: str
    tables: tuple[str, ...]
    query: Query
    since: Mapping[str, str] = {}


class JobEntry(Entry, frozen=True, kw_only=True, tag="job"):
    """The service reported a job for the first time, or with a new status."""

    table: str
    id: str
    status: JobStatus
    expires_at: float | None = None
    objects: tuple[str, ...] = ()
    schema_version: int | None = None
    at_text: str | None = msgspec.field(name="at", default=None)
    since_text: str | None = msgspec.field(name="since", default=None)
    until_text: str | None = msgspec.field(name="until", default=None)
    failure: Failure | None = None


class JobAbandonedEntry(Entry, frozen=True, kw_only=True, tag="job-abandoned"):
    """A job is given up. Its files are deleted when the job that replaces it is complete."""

    table: str
    job_id: str


class ObjectStartedEntry(Entry, frozen=True, kw_only=True, tag="object-started"):
    """A download started that a later run can continue, if size and ETag of the object are still the same.

    `checksums` are those that the store sent with the complete object.
    """

    table: str
    job_id: str
    object_id: str
    name: str
    size: int
    etag: str
    checksums: Mapping[str, bytes] = {}


class ObjectCompletedEntry(Entry, frozen=True, kw_only=True, tag="object-completed"):
    """A file is complete: verified, and under its final name."""

    table: str
    job_id: str
    object_id: str
    name: str
    size: int
    sha256: str
    rows: int | None = None
    verified_by: tuple[str, ...] = ()


class TableCompletedEntry(Entry, frozen=True, kw_only=True, tag="table-completed"):
    """All files of the table are complete, and the manifest is written."""

    table: str
    job_id: str


class TableFailedEntry(Entry, frozen=True, kw_only=True, tag="table-failed"):
    """The table failed in this run."""

    table: str
    code: str
    message: str


class TableResetEntry(Entry, frozen=True, kw_only=True, tag="table-reset"):
    """A run that had ended is resumed, and the table is requested again, with a later start if `since` is present."""

    table: str
    since: str | None = None


class RunEndedEntry(Entry, frozen=True, kw_only=True, tag="run-ended"):
    """The run ended: each table is complete or failed."""

    failed: int


TableEntry = (
    JobEntry
    | JobAbandonedEntry
    | ObjectStartedEntry
    | ObjectCompletedEntry
    | TableCompletedEntry
    | TableFailedEntry
    | TableResetEntry
)
AnyEntry = RunStartedEntry | TableEntry | RunEndedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProgress:
    """The progress of one table: its latest job, the objects of that job, and the jobs that were given up."""

    job: Job | None = None
    seen_at: float = 0.0
    started: dict[str, ResumePoint] = field(default_factory=dict)
    completed: dict[str, ManifestObject] = field(default_factory=dict)
    abandoned: tuple[str, ...] = ()
    completed_at: float | None = None
    failed: bool = False

    @property
    def incomplete_jobs(self) -> tuple[str, ...]:
        """The jobs whose files become useless if the table is requested again: all except a complete one."""
        if self.job is None or self.completed_at is not None or self.job.status is JobStatus.FAILED:
            return self.abandoned
        return (*self.abandoned, self.job.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a journal says: how the run started, its tables, the time of its last entry, whether it ended."""

    start: RunStartedEntry
    tables: dict[str, TableProgress]
    last_entry_at: float
    ended: bool = False


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEntry] = msgspec.json.Decoder(AnyEntry)


def encode(entry: AnyEntry) -> bytes:
    """Return the entry as one line."""
    return _encoder.encode(entry) + b"\n"


def parse(content: bytes) -> tuple[list[AnyEntry], int]:
    """Return the entries of a journal and the length in bytes of its readable part.

    Raises:
        JournalError: an unreadable line is followed by a readable one, or a later version wrote the file.
    """
    entries: list[AnyEntry] = []
    readable = position = 0
    unreadable: int | None = None
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        position += len(line)
        entry = _parse_line(line)
        if entry is None:
            unreadable = unreadable or number
            continue
        if unreadable is not None:
            raise JournalError(f"Line {unreadable} of the journal of an earlier run cannot be read")
        if isinstance(entry, RunStartedEntry) and entry.version > VERSION:
            raise JournalError(
                f"The journal of an earlier run has version {entry.version}, but this dapkit supports up to {VERSION}"
            )
        entries.append(entry)
        readable = position
    return entries, readable


def _parse_line(line: bytes) -> AnyEntry | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None


def replay(entries: Iterable[AnyEntry]) -> RunState | None:
    """Return the state that the entries lead to; None if no run was started."""
    state: RunState | None = None
    for entry in entries:
        if isinstance(entry, RunStartedEntry):
            tables = {name: TableProgress() for name in entry.tables}
            state = RunState(start=entry, tables=tables, last_entry_at=entry.time)
        elif state is not None:
            state = advance(state, entry)
    return state


def advance(state: RunState, entry: TableEntry | RunEndedEntry) -> RunState:
    """Return the state after one more entry. Do not use the old state's tables any more: they are changed in place."""
    if isinstance(entry, RunEndedEntry):
        return replace(state, ended=True, last_entry_at=entry.time)
    start = state.start
    if isinstance(entry, TableResetEntry) and entry.since is not None:
        start = msgspec.structs.replace(start, since={**start.since, entry.table: entry.since})
    before = state.tables.get(entry.table, TableProgress())
    state.tables[entry.table] = _table_step(before, entry)
    # Resets alone do not reopen a run: if it is interrupted between two of them, the next run must look again for
    # tables to reset. It is open again with the first entry of real work.
    ended = state.ended and isinstance(entry, TableResetEntry)
    return replace(state, start=start, ended=ended, last_entry_at=entry.time)


def _table_step(before: TableProgress, entry: TableEntry) -> TableProgress:
    match entry:
        case JobEntry():
            job = _convert(entry, Job)
            same = before.job is not None and before.job.id == job.id
            base = before if same else TableProgress(abandoned=before.abandoned)
            return replace(base, job=job, seen_at=entry.time, failed=False, completed_at=None)
        case JobAbandonedEntry():
            base = TableProgress() if before.job and before.job.id == entry.job_id else before
            return replace(base, abandoned=(*before.abandoned, entry.job_id))
        case ObjectStartedEntry():
            before.started[entry.object_id] = _convert(entry, ResumePoint)
            return before
        case ObjectCompletedEntry():
            before.completed[entry.object_id] = _convert(entry, ManifestObject, id=entry.object_id)
            return before
        case TableCompletedEntry():
            return replace(before, completed_at=entry.time, failed=False)
        case TableFailedEntry():
            return replace(before, failed=True, completed_at=None)
        case TableResetEntry():
            return TableProgress(abandoned=before.incomplete_jobs)


def job_entry(table: str, job: Job, now: float) -> JobEntry:
    """Return the entry for what the service reported about a job."""
    return _convert(job, JobEntry, time=now, table=table)


def object_entry(
    table: str, job_id: str, item: ResumePoint | ManifestObject, now: float
) -> ObjectStartedEntry | ObjectCompletedEntry:
    """Return the entry for what `download_job` reported about an object."""
    if isinstance(item, ManifestObject):
        return _convert(item, ObjectCompletedEntry, time=now, table=table, job_id=job_id, object_id=item.id)
    return _convert(item, ObjectStartedEntry, time=now, table=table, job_id=job_id)


def _convert(value: object, to: Callable[..., T], **others: Any) -> T:
    """Return a value of another type whose fields have the same names, except for the `others`."""
    return to(**{name: getattr(value, name) for name in _field_names(to) if name not in others}, **others)


@cache
def _field_names(of: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(of).parameters)


def read(path: Path) -> tuple[RunState | None, int]:
    """Return the state of a journal file (None without a file or a run), and its readable length in bytes.

    Raises:
        JournalError: the file is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, 0
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        entries, readable = parse(content)
    except JournalError as error:
        raise JournalError(f"{error.message} ({path})") from None
    return replay(entries), readable


class Journal:
    """The open journal of one run. Only the process that holds the run's lock may open it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._length = 0

    def resume(self) -> RunState | None:
        """Return the state of the file, and open it for appending after its last readable line.

        Raises:
            JournalError: the file is damaged.
        """
        state, readable = read(self.path)
        if state is not None:
            self._open(readable)
        return state

    def start(self, entry: RunStartedEntry, *, abandoned: Iterable[JobAbandonedEntry] = ()) -> None:
        """Start a new journal. The previous one is kept as `<run>.previous.jsonl`."""
        self.close()
        with disk_errors(self.path):
            if self.path.exists():
                self.path.replace(self.path.with_suffix(".previous.jsonl"))
        self._open(0)
        self.append(entry)
        for job in abandoned:
            self.append(job)
        self.flush()

    def append(self, entry: AnyEntry) -> None:
        """Append one line. Raises DiskFullError or OutputError; the file then ends with the line before."""
        assert self._descriptor is not None, "resume or start comes before append"
        # Not flushed: a power loss can only remove the last entries, whose work is then repeated.
        line = encode(entry)
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            with disk_errors(self.path):
                os.ftruncate(self._descriptor, self._length)
            raise disk_error(error, self.path) from error
        self._length += len(line)

    def flush(self) -> None:
        """Wait until the file is on disk."""
        if self._descriptor is not None:
            with disk_errors(self.path):
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with disk_errors(self.path):
                os.close(descriptor)

    def _open(self, length: int) -> None:
        with disk_errors(self.path):
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._descriptor, length)
        self._length = length
