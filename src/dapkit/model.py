"""Queries, jobs and schemas: the values that all layers share.

Frozen and comparable, without behaviour beyond what follows from their fields. The service's times are kept as its own
texts, because they are sent back to it; `at`, `since` and `until` are the same times as aware datetimes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

SANDBOX_SERVICE = "sandbox:"
"""The name of the built-in sandbox in journals and manifests: its URL is different each time."""


def epoch_seconds(text: str) -> float:
    """Return a time of the service as seconds since the epoch. A time without a zone is in UTC.

    Raises:
        ValueError: the text is not a time.
    """
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


def utc_time(text: str) -> datetime:
    """Return a time of the service in UTC, rounded down to microseconds. A time without a zone is in UTC.

    Raises:
        ValueError: the text is not a time.
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)


def optional_utc_time(text: str | None) -> datetime | None:
    """Return a time of the service as `utc_time` does; None for None."""
    return None if text is None else utc_time(text)


def format_utc(time: datetime) -> str:
    """Return an aware time in UTC as the service writes it, such as 2026-09-01T00:00:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Format(StrEnum):
    """File formats of the service."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"

    @property
    def gzipped(self) -> bool:
        """Whether files of this format are compressed with gzip (Parquet compresses internally)."""
        return self is not Format.PARQUET


class Mode(StrEnum):
    """The layout of nested fields: as separate columns (the service's default), or as one JSON column each."""

    EXPANDED = "expanded"
    CONDENSED = "condensed"


class FlatFormat(StrEnum):
    """Formats of flat files: one typed file for each table."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


class Nested(StrEnum):
    """How flat tables store arrays and objects: as lists and structs, or as JSON text."""

    STRUCT = "struct"
    JSON = "json"


class JobStatus(StrEnum):
    """States of a job, as the service names them."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether this is a final state."""
        return self in (JobStatus.COMPLETE, JobStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A request for one table: a snapshot, or (with `since`) an increment. Times are texts, with a zone."""

    format: Format
    mode: Mode | None = None
    since: str | None = None
    until: str | None = None

    @property
    def incremental(self) -> bool:
        """Whether it requests changes instead of a full copy."""
        return self.since is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The service's description of an error. `uuid` identifies it for Instructure support."""

    type: str
    uuid: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the service last described it.

    Attributes:
        id: its identifier.
        status: its state.
        expires_at: when it expires, in seconds since the epoch.
        objects: the ids of its files, once it is complete.
        schema_version: of the table's schema that the files follow, once it is complete.
        at_text: the time that a snapshot shows, as the service wrote it; the property `at` is the same as a datetime.
        since_text: likewise the start of an increment.
        until_text: likewise the end of an increment.
        failure: why it failed, once it has.
    """

    id: str
    status: JobStatus
    expires_at: float | None = None
    objects: tuple[str, ...] = ()
    schema_version: int | None = None
    at_text: str | None = None
    since_text: str | None = None
    until_text: str | None = None
    failure: Failure | None = None

    @property
    def at(self) -> datetime | None:
        """The time that a snapshot shows."""
        return optional_utc_time(self.at_text)

    @property
    def since(self) -> datetime | None:
        """The start of an increment."""
        return optional_utc_time(self.since_text)

    @property
    def until(self) -> datetime | None:
        """The end of an increment."""
        return optional_utc_time(self.until_text)

    @property
    def watermark(self) -> str | None:
        """Where the next increment starts, as the service wrote it: `at` of a snapshot, `until` of an increment."""
        return self.at_text if self.at_text is not None else self.until_text


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedSchema:
    """A table's JSON Schema, as the service sends it, with its version."""

    namespace: str
    table: str
    version: int
    document: Mapping[str, Any]


class TypeKind(StrEnum):
    """Types of values in the service's terms. Each target maps them to its own types."""

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
    UNTYPED = "untyped"
    """Any JSON: an object without known properties, or a value of an unknown type."""


JSON_KINDS = frozenset({TypeKind.ARRAY, TypeKind.OBJECT, TypeKind.UNTYPED})
"""Types whose values are JSON in TSV and CSV files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """The type of a column.

    Attributes:
        kind: the type of its values.
        length: maximum number of characters of a text, if the schema limits it.
        marker: whether a marker, which may be longer than `length`, can replace a text that was too long.
        precision, scale: of a decimal.
        values: of an enum, in the schema's order; of an open enum, those that are known.
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
    """A column. `default`: the schema's default value as JSON text; `comment`: its title or description."""

    name: str
    type: ColumnType
    required: bool
    default: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as its schema describes it. Columns are in the schema's order."""

    namespace: str
    name: str
    version: int
    key: tuple[Column, ...]
    value: tuple[Column, ...]
    comment: str | None
    schema: VersionedSchema

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, the key's first."""
        return self.key + self.value

    def column(self, name: str) -> Column | None:
        """Return the column with this name, or None."""
        return next((column for column in self.columns if column.name == name), None)
