"""The values that every layer speaks of: queries, jobs, objects, schemas.

Frozen and comparable, without behaviour beyond what follows from their fields. Times that the service gives as
watermarks (`at`, `since`, `until`) stay the service's own text, verbatim, because they go back to it; times that we
reckon with are floats, seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

SANDBOX_SERVICE = "sandbox:"
"""What journals and manifests call the sandbox inside a command, whose address is another each time."""


def epoch_seconds(text: str) -> float:
    """Return a time of the service as seconds since the epoch; without a zone it is taken as UTC.

    Raises:
        ValueError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


def format_utc(time: datetime) -> str:
    """Return an aware time in UTC as the service writes it, such as 2026-09-01T00:00:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Format(StrEnum):
    """How the service writes the rows of a table."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"

    @property
    def gzipped(self) -> bool:
        """Whether objects of this format are gzip files (Parquet compresses inside)."""
        return self is not Format.PARQUET


class Mode(StrEnum):
    """How nested fields are laid out: as columns (so if nothing is said), or each as one JSON column."""

    EXPANDED = "expanded"
    CONDENSED = "condensed"


class JobStatus(StrEnum):
    """What the service says of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether the job will change no more."""
        return self in (JobStatus.COMPLETE, JobStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of one table: a snapshot, or (with `since`) an increment."""

    format: Format
    mode: Mode | None = None
    since: str | None = None
    until: str | None = None

    @property
    def incremental(self) -> bool:
        """Whether changes are asked for instead of a full copy."""
        return self.since is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the service says of an error: its type, its identifier for support, its message."""

    type: str
    uuid: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the service last described it.

    `objects`, `schema_version` and the watermarks are set when it is complete, `failure` when it failed.
    """

    id: str
    status: JobStatus
    expires_at: float | None = None
    objects: tuple[str, ...] = ()
    schema_version: int | None = None
    at: str | None = None
    since: str | None = None
    until: str | None = None
    failure: Failure | None = None

    @property
    def watermark(self) -> str | None:
        """Where the next increment starts: `at` of a snapshot, `until` of an increment."""
        return self.at if self.at is not None else self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedSchema:
    """A table's JSON Schema, as served, with its version."""

    namespace: str
    table: str
    version: int
    document: Mapping[str, Any]


class TypeKind(StrEnum):
    """What a column holds, in the service's terms; how a database keeps it is the target's affair."""

    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TEXT = "text"
    ENUM = "enum"
    OPEN_ENUM = "open-enum"
    DATETIME = "date-time"
    DATE = "date"
    TIME = "time"
    UUID = "uuid"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    IP = "ip"
    ARRAY = "array"
    OBJECT = "object"
    UNTYPED = "free"
    """An object without known properties, or anything at all: JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """The type of a column.

    Attributes:
        kind: what it holds.
        length: the most characters of a text, when the schema sets a bound.
        marker: whether a marker may stand instead of a text that was too long, whatever `length` says.
        precision, scale: of a decimal.
        values: of an enum, in the schema's order; of an open one those that are known.
        items: of an array.
        fields: of an object.
    """

    kind: TypeKind
    length: int | None = None
    marker: bool = False
    precision: int = 0
    scale: int = 0
    values: tuple[str, ...] = ()
    items: "ColumnType | None" = None
    fields: tuple["Column", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `default` is the schema's default value as JSON text, `comment` its title or description."""

    name: str
    type: ColumnType
    required: bool
    default: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as its schema describes it: key columns first, then the others, in the schema's order."""

    namespace: str
    name: str
    version: int
    key: tuple[Column, ...]
    value: tuple[Column, ...]
    comment: str | None
    schema: VersionedSchema

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, those of the key first."""
        return self.key + self.value

    def column(self, name: str) -> Column | None:
        """Return the column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)
