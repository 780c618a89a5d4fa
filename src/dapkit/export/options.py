"""The options of an export, and the request that an export carries out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dapkit.errors import UsageError
from dapkit.model import Format, Mode, Query

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How tables are downloaded: the options of `dap snapshot` and `dap incremental`.

    Attributes:
        format: of the files; names may be written in any case.
        mode: nested fields as columns (`expanded`, the service's default) or each as one JSON column (`condensed`).
        output: folder to write to.
        exclude: tables or patterns that are left out.
        concurrency: how many files are downloaded at once.
        new: start a new run even if an interrupted one could be resumed.
        wait: if the same run is in progress, wait for it instead of raising LockedError.

    Raises:
        UsageError: there is no such format or mode.
    """

    format: Format | str = Format.JSONL
    mode: Mode | str | None = None
    output: Path | str = Path("downloads")
    exclude: Sequence[str] = ()
    concurrency: int = 8
    new: bool = False
    wait: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", _member(Format, self.format, "format"))
        object.__setattr__(self, "mode", _member(Mode, self.mode, "mode") if self.mode else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest(ExportOptions):
    """Which tables to download, and how.

    `tables` holds names, patterns or `all`. With `since_folder`, each table's incremental starts where its latest
    complete result in that folder ends. `retry_timeout` is how long to keep retrying temporary failures, in seconds.
    """

    namespace: str
    tables: Sequence[str]
    output: Path
    since: str | None = None
    until: str | None = None
    since_folder: Path | None = None
    retry_timeout: float = 900.0

    @property
    def query(self) -> Query:
        """What is requested for every table; with `since_folder`, each table's own start is added to it."""
        mode = Mode(self.mode) if self.mode else None
        return Query(format=Format(self.format), mode=mode, since=self.since, until=self.until)

    @property
    def incremental(self) -> bool:
        """Whether changes are requested instead of full copies."""
        return self.since is not None or self.since_folder is not None


def _member(kind: type[Choice], value: str, what: str) -> Choice:
    try:
        return kind(value.lower())
    except ValueError:
        raise UsageError(f"Unknown {what} {value!r}", hint=f"Use one of {', '.join(kind)}.") from None
