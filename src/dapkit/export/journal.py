"""The append-only record of one run, and the state that replaying it gives.

One JSON object a line. Workers only act and append; whoever comes next replays. What cannot be read at the end was
cut short by a crash and is ignored; with readable lines after it, it means that the file was damaged: an error.
Nothing here is needed for safety: files prove themselves, and a job asked for twice is the same job. The journal
saves work.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from dapkit.errors import JournalError
from dapkit.model import Failure, Job, JobStatus, Query
from dapkit.storage.atomic import disk_error, disk_errors

VERSION = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """One line of the journal; `time` is seconds since the epoch."""

    time: float


class RunStartedEntry(Entry, frozen=True, kw_only=True, tag="run-started"):
    """What was asked, and what it was resolved to. `since` holds the starting point of each table, if it has one."""

    version: int = VERSION
    service: str
    scope: str | None = None
    namespace: str
    tables: tuple[str, ...]
    query: Query
    since: Mapping[str, str] = {}


class JobEntry(Entry, frozen=True, kw_only=True, tag="job"):
    """The service described a job, and it was in a new state."""

    table: str
    id: str
    status: JobStatus
    expires_at: float | None = None
    objects: tuple[str, ...] = ()
    schema_version: int | None = None
    at: str | None = None
    since: str | None = None
    until: str | None = None
    failure: Failure | None = None


class JobAbandonedEntry(Entry, frozen=True, kw_only=True, tag="job-abandoned"):
    """A job that will not be finished; its files go when its successor is whole."""

    table: str
    job_id: str


class ObjectStartedEntry(Entry, frozen=True, kw_only=True, tag="object-started"):
    """A download began that is worth continuing: its announced size and strong ETag say whether it is the same.

    The checksums are those that came with the whole object: many stores send none with the rest of one.
    """

    table: str
    job_id: str
    object_id: str
    name: str
    size: int
    etag: str
    checksums: Mapping[str, bytes] = {}


class ObjectCompletedEntry(Entry, frozen=True, kw_only=True, tag="object-completed"):
    """A file is checked and bears its final name."""

    table: str
    job_id: str
    object_id: str
    name: str
    size: int
    sha256: str
    rows: int | None = None
    verified_by: tuple[str, ...] = ()


class TableCompletedEntry(Entry, frozen=True, kw_only=True, tag="table-completed"):
    """Every object of the table's job is here and its manifest is written."""

    table: str
    job_id: str


class TableFailedEntry(Entry, frozen=True, kw_only=True, tag="table-failed"):
    """The table failed for good in this run."""

    table: str
    code: str
    message: str


class TableResetEntry(Entry, frozen=True, kw_only=True, tag="table-reset"):
    """A run that ended is continued, and the table is asked anew; from a later starting point, if one is given."""

    table: str
    since: str | None = None


class RunEndedEntry(Entry, frozen=True, kw_only=True, tag="run-ended"):
    """The run came to its end, with every table whole or failed."""

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
    """How far one table has come: its latest job, the objects of that job, the jobs given up."""

    job: Job | None = None
    seen_at: float = 0.0
    begun: dict[str, ObjectStartedEntry] = field(default_factory=dict)
    done: dict[str, ObjectCompletedEntry] = field(default_factory=dict)
    given_up: tuple[str, ...] = ()
    completed_at: float | None = None
    failed: bool = False

    @property
    def abandoned(self) -> tuple[str, ...]:
        """The jobs whose files nobody wants, if the table is asked for anew: all but one that is whole."""
        if self.job is None or self.completed_at is not None or self.job.status is JobStatus.FAILED:
            return self.given_up
        return (*self.given_up, self.job.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a journal says: the run, its tables, the time of its last line, whether it came to its end."""

    begun: RunStartedEntry
    tables: dict[str, TableProgress]
    last: float
    ended: bool = False


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEntry] = msgspec.json.Decoder(AnyEntry)


def encode(entry: AnyEntry) -> bytes:
    """Return the entry as one line."""
    return _encoder.encode(entry) + b"\n"


def parse(content: bytes) -> tuple[list[AnyEntry], int]:
    """Return the entries of a journal and the length in bytes of its readable part.

    Raises:
        JournalError: a line before a readable one cannot be read, or the file is of a later version.
    """
    entries: list[AnyEntry] = []
    readable = position = 0
    broken: int | None = None
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        position += len(line)
        entry = _parse_line(line)
        if entry is None:
            broken = broken or number
            continue
        if broken is not None:
            raise JournalError(f"Line {broken} of the record of an earlier run cannot be read")
        if isinstance(entry, RunStartedEntry) and entry.version > VERSION:
            raise JournalError(f"The record of an earlier run is of version {entry.version}, later than ours")
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
    """Fold entries into the state they describe; None when no run had begun.

    The dictionaries of the state being built are filled in place: nobody else has seen them yet.
    """
    state: RunState | None = None
    for entry in entries:
        if isinstance(entry, RunStartedEntry):
            tables = {name: TableProgress() for name in entry.tables}
            state = RunState(begun=entry, tables=tables, last=entry.time)
        elif state is not None:
            state = advance(state, entry)
    return state


def advance(state: RunState, entry: TableEntry | RunEndedEntry) -> RunState:
    """Return the state after one more entry; the tables of the old one are not to be used any more."""
    if isinstance(entry, RunEndedEntry):
        return replace(state, ended=True, last=entry.time)
    begun = state.begun
    if isinstance(entry, TableResetEntry) and entry.since is not None:
        begun = msgspec.structs.replace(begun, since={**begun.since, entry.table: entry.since})
    before = state.tables.get(entry.table, TableProgress())
    state.tables[entry.table] = _table_step(before, entry)
    # ended until work begins: all tables that are asked anew must be noted by then, or they are looked for once more
    ended = state.ended and isinstance(entry, TableResetEntry)
    return replace(state, begun=begun, ended=ended, last=entry.time)


def _table_step(before: TableProgress, entry: TableEntry) -> TableProgress:
    match entry:
        case JobEntry():
            job = Job(
                id=entry.id,
                status=entry.status,
                expires_at=entry.expires_at,
                objects=entry.objects,
                schema_version=entry.schema_version,
                at=entry.at,
                since=entry.since,
                until=entry.until,
                failure=entry.failure,
            )
            same = before.job is not None and before.job.id == job.id
            base = before if same else TableProgress(given_up=before.given_up)
            return replace(base, job=job, seen_at=entry.time, failed=False, completed_at=None)
        case JobAbandonedEntry():
            base = TableProgress() if before.job and before.job.id == entry.job_id else before
            return replace(base, given_up=(*before.given_up, entry.job_id))
        case ObjectStartedEntry():
            before.begun[entry.object_id] = entry
            return before
        case ObjectCompletedEntry():
            before.done[entry.object_id] = entry
            return before
        case TableCompletedEntry():
            return replace(before, completed_at=entry.time, failed=False)
        case TableFailedEntry():
            return replace(before, failed=True, completed_at=None)
        case TableResetEntry():
            return TableProgress(given_up=before.abandoned)


def job_entry(table: str, job: Job, now: float) -> JobEntry:
    """Return the entry that records this state of a job."""
    return JobEntry(
        time=now,
        table=table,
        id=job.id,
        status=job.status,
        expires_at=job.expires_at,
        objects=job.objects,
        schema_version=job.schema_version,
        at=job.at,
        since=job.since,
        until=job.until,
        failure=job.failure,
    )


def read(path: Path) -> tuple[RunState | None, int]:
    """Return the state that a journal's file holds (None for no file or no run) and its readable length.

    Raises:
        JournalError: the file was damaged.
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
    """The open file of one run. Only the holder of the run's lock may open it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._length = 0

    def resume(self) -> RunState | None:
        """Return the state that the file holds, and open it for appending after its last readable line.

        Raises:
            JournalError: the file was damaged.
        """
        state, readable = read(self.path)
        if state is not None:
            self._open(readable)
        return state

    def begin(self, entry: RunStartedEntry, *, given_up: Iterable[JobAbandonedEntry] = ()) -> None:
        """Start a new record; an earlier one is kept beside it as `<run>.previous.jsonl` until the next time."""
        self.close()
        with disk_errors(self.path):
            if self.path.exists():
                self.path.replace(self.path.with_suffix(".previous.jsonl"))
        self._open(0)
        self.append(entry)
        for old in given_up:
            self.append(old)
        self.sync()

    def append(self, entry: AnyEntry) -> None:
        """Add one line. Raises DiskFullError or OutputError; the file then ends with its last whole line."""
        assert self._descriptor is not None, "a journal is resumed or begun before it is written"
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

    def sync(self) -> None:
        """Flush the file to disk."""
        if self._descriptor is not None:
            with disk_errors(self.path):
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; it can be resumed again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with disk_errors(self.path):
                os.close(descriptor)

    def _open(self, length: int) -> None:
        with disk_errors(self.path):
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._descriptor, length)
        self._length = length
