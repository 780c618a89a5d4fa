"""The results in an output folder, raw and flat, as values. Reads manifests and states, and never changes anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dapkit.errors import DapError, ManifestError, UsageError
from dapkit.formatting import count, html_table, size
from dapkit.model import Mode, epoch_seconds
from dapkit.storage.atomic import disk_errors
from dapkit.storage.local import LocalFolder
from dapkit.storage.names import JOB_PREFIX
from dapkit.tables.flat_files import flat_paths, read_state, recorded_state, sidecar_of
from dapkit.transfer import manifest
from dapkit.transfer.manifest import Manifest


class ResultForm(StrEnum):
    """How a result is stored: as the service's raw files, or as one flat file."""

    RAW = "raw"
    FLAT = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A complete result in an output folder: a snapshot of one table, or its changes in a time.

    Attributes:
        path: the folder of the job, or the flat file.
        files: its files; those of a flat result include the one with its state, if there is one.
        form: raw or flat.
        format: of the files.
        mode: of raw files; None for a flat one.
        service, scope: where the rows come from.
        sandbox: whether the rows are synthetic.
        namespace, table: the table.
        job_id: the service's job.
        schema_version: the version of the table's schema that the rows follow.
        at: the time that a snapshot shows, as the service wrote it.
        since, until: the start and the end of changes, as the service wrote them.
        rows: their number; None if they could not be counted.
        bytes: the size of the files.
        completed_at: when the result was complete, by this machine's clock.
    """

    path: Path
    files: tuple[Path, ...]
    form: ResultForm
    format: str
    mode: Mode | None
    service: str
    scope: str | None
    sandbox: bool
    namespace: str
    table: str
    job_id: str
    schema_version: int | None
    at: str | None
    since: str | None
    until: str | None
    rows: int | None
    bytes: int
    completed_at: str

    @property
    def kind(self) -> str:
        """Either `snapshot` or `changes`."""
        return "changes" if self.at is None else "snapshot"

    @property
    def ends(self) -> float:
        """The time up to which the rows are known, in seconds since the epoch."""
        return epoch_seconds(self.at or self.until or "")

    @property
    def begins(self) -> float:
        """Where changes start, in seconds since the epoch; of a snapshot, the same as `ends`."""
        return epoch_seconds(self.since or self.at or "")

    @property
    def completed(self) -> float:
        """When the result was complete, in seconds since the epoch."""
        return epoch_seconds(self.completed_at)

    @property
    def source(self) -> tuple[str, ...]:
        """What results must have in common to continue each other."""
        mode = self.mode or ""
        return (self.namespace, self.table, self.form, self.format, mode, self.service, self.scope or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A folder or file that is not a complete result, and why."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderResults:
    """What an output folder holds.

    Attributes:
        folder: the folder.
        results: the complete results, by namespace, table, form, format, mode and time.
        incomplete: job folders and flat files that are not complete results.
    """

    folder: Path
    results: tuple[StoredResult, ...]
    incomplete: tuple[Unusable, ...]

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        total = sum(each.bytes for each in self.results)
        title = f"{self.folder}: {count(len(self.results), 'result')}, {size(total)}"
        rows = (
            (each.namespace, each.table, each.kind, f"{each.form} {each.format}", each.since, each.at or each.until,
             each.rows, size(each.bytes), each.path)
            for each in self.results
        )  # fmt: skip
        heads = ("namespace", "table", "kind", "format", "since", "at / until", "rows", "size", "path")
        return html_table(title, heads, rows)


def stored_results(folder: Path) -> FolderResults:
    """Return the results in an output folder. Blocks.

    A raw result is complete if it has a manifest, and every file that the manifest names has the right size. A flat
    file is complete if it has a state, and the size that a state next to it names. The contents are not read.

    Raises:
        UsageError: there is no such folder.
        OutputError: the folder cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="Give the folder that a snapshot was written to.")
    found: list[StoredResult] = []
    incomplete: list[Unusable] = []
    for each in (*_raw_results(folder), *_flat_results(folder)):
        if isinstance(each, StoredResult):
            found.append(each)
        else:
            incomplete.append(each)
    found.sort(key=lambda each: (each.source[:5], each.ends, each.kind, each.path))
    return FolderResults(folder=folder, results=tuple(found), incomplete=tuple(incomplete))


def raw_result(path: Path) -> StoredResult | Unusable:
    """Return the result in a job folder, or why there is none."""
    folder = LocalFolder(path)
    try:
        content = manifest.read(folder)
    except ManifestError as error:
        return Unusable(path=path, message=error.message)
    if content is None:
        return Unusable(path=path, message="has no manifest: it is incomplete, or was written by another program")
    names = [item.name for item in content.objects]
    if any(name != Path(name).name or name in ("..", manifest.NAME) for name in names):
        return Unusable(path=path, message="has a manifest that names files outside the folder")
    if not manifest.has_all_files(folder, content):
        return Unusable(path=path, message="lacks files, or their size differs from the manifest: use dap verify")
    return _with_valid_times(_of_manifest(path, content))


def flat_result(path: Path) -> StoredResult | Unusable | None:
    """Return a flat file as a result, or why it is not complete; None if it is not one of ours."""
    try:
        state = read_state(path)
        if state is None:
            if recorded_state(path) is None:
                return None
            return Unusable(path=path, message="is missing, or its size differs from its state: use dap verify")
        files = tuple(each for each in (path, sidecar_of(path)) if each.is_file())
        with disk_errors(path):
            total = sum(each.stat().st_size for each in files)
    except DapError as error:
        return Unusable(path=path, message=error.message)
    result = StoredResult(
        path=path,
        files=files,
        form=ResultForm.FLAT,
        format=state.format,
        mode=None,
        service=state.service,
        scope=state.scope,
        sandbox=state.sandbox,
        namespace=state.namespace,
        table=state.table,
        job_id=state.job_id,
        schema_version=state.schema_version,
        at=state.at,
        since=state.since,
        until=state.until,
        rows=state.rows,
        bytes=total,
        completed_at=state.completed_at,
    )
    return _with_valid_times(result)


def _raw_results(folder: Path) -> Iterator[StoredResult | Unusable]:
    with disk_errors(folder):
        paths = sorted(path for path in folder.glob(f"{JOB_PREFIX}*") if path.is_dir())
    yield from map(raw_result, paths)


def _flat_results(folder: Path) -> Iterator[StoredResult | Unusable]:
    with disk_errors(folder):
        paths = list(flat_paths(folder))
    for path in paths:
        # A job folder may contain Parquet files of the service.
        if not path.relative_to(folder).parts[0].startswith(JOB_PREFIX):
            found = flat_result(path)
            if found is not None:
                yield found


def _of_manifest(path: Path, content: Manifest) -> StoredResult:
    return StoredResult(
        path=path,
        files=tuple(path / item.name for item in content.objects),
        form=ResultForm.RAW,
        format=content.format,
        mode=content.source.mode,
        service=content.service,
        scope=content.scope,
        sandbox=content.sandbox,
        namespace=content.namespace,
        table=content.table,
        job_id=content.job_id,
        schema_version=content.schema_version,
        at=content.at,
        since=content.since,
        until=content.until,
        rows=content.rows,
        bytes=content.bytes,
        completed_at=content.completed_at,
    )


def _with_valid_times(result: StoredResult) -> StoredResult | Unusable:
    """Return a result if its times can be compared with those of others."""
    times = (result.at,) if result.at is not None else (result.since, result.until)
    for time in (*times, result.completed_at):
        try:
            epoch_seconds(time or "")
        except ValueError:
            return Unusable(path=result.path, message=f"has an invalid time: {(time or '')[:40]!r}")
    return result
