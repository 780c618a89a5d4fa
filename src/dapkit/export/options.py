"""The options of an export, and the request that an export carries out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dapkit.config import arguments
from dapkit.errors import UsageError
from dapkit.model import FlatFormat, Format, Mode, Nested, Query

_SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)? ?[KMGT]i?B", re.IGNORECASE)
Choice = TypeVar("Choice", bound=StrEnum)

MOST_DOWNLOADS = 64
"""More downloads at once than this only take connections from each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatOptions:
    """How flat tables are written: one typed file for each table, instead of the service's raw files.

    Attributes:
        format: of the flat files.
        nested: arrays and objects as lists and structs, or as JSON text.
        with_ts: add the column `_ts`: when the row last changed. Changes always have it.
        keep_raw: keep the raw files of the service too.
        memory_limit: how much memory DuckDB may use, such as `400MB`; what needs more goes to the disk.

    Raises:
        UsageError: a value is invalid.
    """

    format: FlatFormat | str = FlatFormat.PARQUET
    nested: Nested | str = Nested.STRUCT
    with_ts: bool = False
    keep_raw: bool = False
    memory_limit: str = "1GB"

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", member(FlatFormat, self.format, "flat format"))
        object.__setattr__(self, "nested", member(Nested, self.nested, "nested"))
        arguments.flag("with_ts", self.with_ts)
        arguments.flag("keep_raw", self.keep_raw)
        if not _SIZE.fullmatch(arguments.text("memory_limit", self.memory_limit)):
            raise UsageError(f"Invalid memory limit {self.memory_limit!r}", hint="Use for example 400MB or 2GB.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How tables are downloaded: the options of `dap snapshot` and `dap incremental`.

    Attributes:
        format: of the files; names may be written in any case.
        mode: nested fields as columns (`expanded`, the service's default) or each as one JSON column (`condensed`).
        output: folder to write to.
        exclude: tables or patterns that are left out.
        flat: write one typed file for each table, in this format or as these options say; None for raw files.
        concurrency: how many files are downloaded at once.
        new: start a new run even if an interrupted one could be resumed.
        wait: if the same run is in progress, wait for it instead of raising LockedError.

    Raises:
        UsageError: a value is invalid.
    """

    format: Format | str = Format.JSONL
    mode: Mode | str | None = None
    output: Path | str = Path("downloads")
    exclude: Sequence[str] = ()
    flat: FlatOptions | FlatFormat | str | None = None
    concurrency: int = 8
    new: bool = False
    wait: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", member(Format, self.format, "format"))
        object.__setattr__(self, "mode", None if self.mode is None else member(Mode, self.mode, "mode"))
        object.__setattr__(self, "output", arguments.folder("output", self.output))
        object.__setattr__(self, "exclude", arguments.names("exclude", self.exclude, empty=True))
        if self.flat is not None and not isinstance(self.flat, FlatOptions):
            object.__setattr__(self, "flat", FlatOptions(format=member(FlatFormat, self.flat, "flat")))
        arguments.number("concurrency", self.concurrency, least=1, most=MOST_DOWNLOADS, integer=True)
        arguments.flag("new", self.new)
        arguments.flag("wait", self.wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest(ExportOptions):
    """Which tables to download, and how.

    `tables` holds names, patterns or `all`. With `since_folder`, each table's incremental starts where its latest
    complete result in that folder ends. `since` and `until` may be relative, such as `2d`; see `export.times`.
    `retry_timeout` is how long to keep retrying temporary failures, in seconds. `from_state` says that `since` is the
    watermark of a database: it is requested whatever the clock of this machine says.
    """

    namespace: str
    tables: Sequence[str]
    output: Path
    flat: FlatOptions | None = None
    since: str | None = None
    until: str | None = None
    since_folder: Path | None = None
    retry_timeout: float = 900.0
    from_state: bool = False

    @property
    def query(self) -> Query:
        """What is requested for every table; with `since_folder`, each table's own start is added to it."""
        mode = Mode(self.mode) if self.mode else None
        return Query(format=Format(self.format), mode=mode, since=self.since, until=self.until)

    @property
    def incremental(self) -> bool:
        """Whether changes are requested instead of full copies."""
        return self.since is not None or self.since_folder is not None


def member(kind: type[Choice], value: object, what: str) -> Choice:
    """Return a member of a list of choices by its name, in any case. Raises UsageError."""
    try:
        return kind(arguments.text(what, value).lower())
    except ValueError:
        raise UsageError(f"Unknown {what} {value!r}", hint=f"Use one of {', '.join(kind)}.") from None
