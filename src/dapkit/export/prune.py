"""Remove results that are no longer needed, in an order that leaves nothing that looks complete after a kill.

Raw: the manifest is renamed to `.removing.json`, then the files that it names are deleted, then `.removing.json`, then
the folder if it is empty. Flat: the file is deleted, then the one with its state. What a kill left is removed by the
next call.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dapkit.errors import ManifestError, OutputError
from dapkit.export.prune_plan import PruneRule, results_to_remove, selected_results
from dapkit.export.stored_results import ResultForm, StoredResult, Unusable, flat_result, raw_result, stored_results
from dapkit.formatting import count, html_table, size
from dapkit.locks import FileLock, holder_of
from dapkit.storage.atomic import disk_errors, make_folder, sync_folder
from dapkit.storage.names import JOB_PREFIX
from dapkit.tables.flat_files import CHANGES, flat_lock, flat_paths, recorded_state, sidecar_of
from dapkit.transfer import manifest
from dapkit.transfer.manifest import Manifest

REMOVING = ".removing.json"

_decoder = msgspec.json.Decoder(Manifest)


class _NotRemovableError(Exception):
    """A result has to stay for now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """What was removed, or with `dry_run`, what would be.

    Attributes:
        folder: the output folder.
        removed: the results that were removed.
        kept: how many complete results remain.
        skipped: results that are no longer needed, but in use; and why.
        incomplete: job folders and flat files that are not complete results. They are left as they are.
        dry_run: whether nothing was removed.
    """

    folder: Path
    removed: tuple[StoredResult, ...]
    kept: int
    skipped: tuple[Unusable, ...]
    incomplete: tuple[Unusable, ...]
    dry_run: bool

    @property
    def bytes(self) -> int:
        """The size of what was removed."""
        return sum(each.bytes for each in self.removed)

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        verb = "would be removed" if self.dry_run else "removed"
        title = f"{self.folder}: {count(len(self.removed), 'result')} {verb}, {size(self.bytes)}"
        rows = ((each.table, each.kind, each.at or each.until, size(each.bytes), each.path) for each in self.removed)
        return html_table(title, ("table", "kind", "at / until", "size", "path"), rows)


def prune(folder: Path, rule: PruneRule, tables: Sequence[str] = (), *, dry_run: bool = False) -> PruneResult:
    """Remove the results in an output folder that are no longer needed. Blocks.

    Args:
        folder: the output folder.
        rule: which results are no longer needed.
        tables: names or patterns; without any, all tables except those of logs, which have to be named.
        dry_run: whether to remove nothing.

    Raises:
        UsageError: there is no such folder, or no such table.
        OutputError: something cannot be read or removed.
    """
    if not dry_run and folder.is_dir():
        _finish_removals(folder)
    found = stored_results(folder)
    chosen = selected_results(found.results, tables)
    removed: list[StoredResult] = []
    skipped: list[Unusable] = []
    for each in results_to_remove(chosen, rule):
        try:
            if dry_run:
                _check_unused(folder, each)
            elif each.form is ResultForm.RAW:
                _remove_raw(folder, each)
            else:
                _remove_flat(folder, each)
        except _NotRemovableError as error:
            skipped.append(Unusable(path=each.path, message=str(error)))
        else:
            removed.append(each)
    return PruneResult(
        folder=folder,
        removed=tuple(removed),
        kept=len(found.results) - len(removed),
        skipped=tuple(skipped),
        incomplete=found.incomplete,
        dry_run=dry_run,
    )


def _check_unused(folder: Path, result: StoredResult) -> None:
    """Raise _NotRemovableError if a run uses a result."""
    with disk_errors(result.path):
        if result.path.is_symlink():
            raise _NotRemovableError("is a symbolic link")
        for lock in _locks(folder, result):
            holder = holder_of(lock)
            if holder is not None:
                raise _NotRemovableError(f"is in use by {holder}")


def _locks(folder: Path, result: StoredResult) -> tuple[Path, ...]:
    """Return the locks of runs that could use a result; the first one is held while it is removed."""
    flat = flat_lock(folder, result.namespace, result.table)
    flatten = folder / ".dap" / "locks" / "flatten.lock"
    if result.form is ResultForm.RAW:
        return (_job_lock(folder, result.path.name), flat, flatten)
    return (flat, flatten)


def _job_lock(folder: Path, name: str) -> Path:
    return folder / ".dap" / "locks" / f"{name}.lock"


def _remove_raw(folder: Path, result: StoredResult) -> None:
    path = result.path
    _check_unused(folder, result)
    with _locked(_job_lock(folder, path.name)), disk_errors(path):
        if raw_result(path) != result:
            raise _NotRemovableError("has changed since it was read")
        (path / manifest.NAME).replace(path / REMOVING)
        sync_folder(path)  # the manifest must not come back after a power loss when files are missing
        _delete_files(path, [file.name for file in result.files])


def _delete_files(path: Path, names: Sequence[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)
    (path / REMOVING).unlink(missing_ok=True)
    with suppress(OSError):  # other files are not ours to delete
        path.rmdir()


def _remove_flat(folder: Path, result: StoredResult) -> None:
    path = result.path
    _check_unused(folder, result)
    with _locked(flat_lock(folder, result.namespace, result.table)), disk_errors(path):
        if flat_result(path) != result:
            raise _NotRemovableError("has changed since it was read")
        path.unlink()
        sidecar_of(path).unlink(missing_ok=True)
        _remove_if_empty(path.parent)


def _remove_if_empty(folder: Path) -> None:
    if folder.name.endswith(CHANGES):
        with suppress(OSError):
            folder.rmdir()


def _finish_removals(folder: Path) -> None:
    """Remove what a removal left that was killed."""
    for each in _interrupted(folder):
        job, lock = each.parent, _job_lock(folder, each.parent.name)
        with suppress(_NotRemovableError, msgspec.DecodeError), _locked(lock), disk_errors(job):
            if (job / manifest.NAME).exists():
                each.unlink()  # the job was downloaded again
                continue
            names = [item.name for item in _decoder.decode(each.read_bytes()).objects]
            _delete_files(job, [name for name in names if name == Path(name).name])
    for path in list(flat_paths(folder)):
        with suppress(ManifestError), disk_errors(path):  # of a later version
            if path.exists() or path.suffix == ".parquet":
                continue
            state = recorded_state(path)
            if state is None:
                continue
            with suppress(_NotRemovableError), _locked(flat_lock(folder, state.namespace, state.table)):
                if not path.exists():
                    sidecar_of(path).unlink(missing_ok=True)
                    _remove_if_empty(path.parent)


def _interrupted(folder: Path) -> Iterator[Path]:
    with disk_errors(folder):
        yield from sorted(folder.glob(f"{JOB_PREFIX}*/{REMOVING}"))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock. Raises _NotRemovableError if another process holds it."""
    make_folder(path.parent)
    with FileLock(path) as lock:
        try:
            acquired = lock.acquire()
        except OSError as error:
            raise OutputError(f"Cannot access {path}: {error.strerror}") from error
        if not acquired:
            raise _NotRemovableError(f"is in use by {lock.holder()}")
        yield
