"""Verify the files in a folder against their manifests and states."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dapkit.errors import IntegrityError, ManifestError, VerificationError
from dapkit.export.verify_flat import check_flat, flat_file_paths, remove_flat
from dapkit.formatting import count, html_table, size
from dapkit.model import Format
from dapkit.storage.atomic import disk_errors
from dapkit.storage.local import LocalFolder
from dapkit.storage.names import JOB_PREFIX
from dapkit.transfer import manifest
from dapkit.transfer.integrity import verify_file
from dapkit.transfer.manifest import Manifest, ManifestObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem and where it is."""

    path: Path
    message: str


_DAMAGED = (
    "`dap verify --remove-damaged` deletes damaged files, and their manifest or state; then the command that"
    " downloaded them downloads them again."
)
_REMOVED = "The damaged files were deleted: run the command that downloaded them again."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What was checked, and the problems that were found.

    Attributes:
        folder: the folder that was checked.
        jobs: number of complete jobs that were checked.
        flat: number of flat files that were checked.
        files: number of the files of jobs, and flat files.
        bytes: size of these files.
        problems: what is wrong.
        incomplete: the job folders without manifest. Nothing is known about their files, so they are not problems.
        removed: the damaged files that were deleted, and their manifests and states.
    """

    folder: Path
    jobs: int
    flat: int = 0
    files: int
    bytes: int
    problems: tuple[Problem, ...]
    incomplete: tuple[Path, ...]
    removed: tuple[Path, ...] = ()

    @property
    def error(self) -> VerificationError | None:
        """The error that the command ends with; None if everything is in order."""
        if self.problems:
            message = f"{count(len(self.problems), 'problem')} found in {self.folder}"
            hint = _REMOVED if self.removed else _DAMAGED
            return VerificationError(message, hint=hint)
        if not self.jobs and not self.flat:
            message = f"Nothing below {self.folder} is complete, so nothing could be verified"
            return VerificationError(message, hint="Run the command that wrote it again: it resumes where it stopped.")
        return None

    def raise_for_failed(self) -> None:
        """Raise VerificationError if there are problems, or nothing could be verified."""
        if self.error is not None:
            raise self.error

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        found = f"{count(self.files, 'file')}, {size(self.bytes)}, {count(len(self.problems), 'problem')}"
        title = f"{self.folder}: {found}"
        return html_table(title, ("path", "problem"), [(each.path, each.message) for each in self.problems])


def verify(
    folder: Path, on_file: Callable[[Path], None] = lambda _: None, *, remove_damaged: bool = False
) -> VerifyResult:
    """Read every file in a folder and compare it with its manifest, or a flat file with its state.

    Args:
        folder: a job folder, an output folder, or any folder that contains these. Hidden folders are skipped.
        on_file: called after each file.
        remove_damaged: whether to delete the files that fail, and their manifest or state. Other files stay.

    Raises:
        VerificationError: there is no such folder, or it contains neither a job folder nor a flat file.
    """
    if not folder.is_dir():
        raise VerificationError(f"{folder} is not a folder", hint="Give the folder that a snapshot was written to.")
    tally = _Tally()
    jobs = [LocalFolder(path) for path in sorted(_job_folders(folder, tally.problems))]
    for job in jobs:
        _verify_job(job, tally, on_file, remove_damaged=remove_damaged)
    for path in flat_file_paths(folder):
        _verify_flat(path, tally, on_file, remove_damaged=remove_damaged)
    if not jobs and not tally.flat and not tally.problems:
        hint = "Give the folder that a snapshot was written to. It contains folders named job_…, or flat tables."
        raise VerificationError(f"There is nothing to verify in {folder}", hint=hint)
    return VerifyResult(
        folder=folder,
        jobs=tally.jobs,
        flat=tally.flat,
        files=tally.files,
        bytes=tally.bytes,
        problems=tuple(tally.problems),
        incomplete=tuple(tally.incomplete),
        removed=tuple(tally.removed),
    )


@dataclass(slots=True)
class _Tally:
    """What was found so far."""

    jobs: int = 0
    flat: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    incomplete: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)


def _verify_job(job: LocalFolder, tally: _Tally, on_file: Callable[[Path], None], *, remove_damaged: bool) -> None:
    try:
        expected = manifest.read(job)
    except ManifestError as error:
        message = f"{error.message}. {error.hint}" if error.hint else error.message
        tally.problems.append(Problem(path=job.path / manifest.NAME, message=message))
        return
    if expected is None:
        tally.incomplete.append(job.path)
        return
    tally.jobs += 1
    damaged: list[str] = []
    for item in expected.objects:
        if problem := _problem(job, expected.format, item):
            tally.problems.append(Problem(path=job.path / item.name, message=problem))
            damaged.append(item.name)
        tally.files += 1
        tally.bytes += item.size
        on_file(job.path / item.name)
    if damaged and remove_damaged:
        tally.removed += _remove(job, damaged)
    tally.problems += _unknown_files(job, expected)


def _verify_flat(path: Path, tally: _Tally, on_file: Callable[[Path], None], *, remove_damaged: bool) -> None:
    state, problem = check_flat(path)
    if state is None and problem is None:
        return  # another program wrote it
    if problem:
        tally.problems.append(Problem(path=path, message=problem))
    if state is not None:
        tally.flat += 1
        tally.files += 1
        tally.bytes += path.stat().st_size if path.is_file() else 0
        on_file(path)
        if problem and remove_damaged:
            tally.removed += remove_flat(path)


def _remove(job: LocalFolder, damaged: Sequence[str]) -> list[Path]:
    """Delete a manifest and the damaged files that it names; return what was deleted.

    The manifest comes first: it promises complete files, and without it the next run downloads what is missing.
    """
    removed = []
    for name in (manifest.NAME, *damaged):
        path = job.path / name
        with disk_errors(path):
            if path.exists():
                job.delete(name)
                removed.append(path)
    return removed


def _job_folders(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield the folders with a manifest or the name of a job. Unreadable folders become problems."""

    def on_error(error: OSError) -> None:
        problems.append(Problem(path=Path(error.filename), message=_unreadable(error)))

    for path, names, files in os.walk(folder, onerror=on_error):
        if manifest.NAME in files:
            yield Path(path)
            names.clear()
        visible = [name for name in names if not name.startswith(".")]
        yield from (Path(path) / name for name in visible if name.startswith(JOB_PREFIX))
        names[:] = [name for name in visible if not name.startswith(JOB_PREFIX)]  # os.walk does not enter the others


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or type(error).__name__}"


def _problem(job: LocalFolder, format: Format, item: ManifestObject) -> str | None:  # noqa: A002 - the word of the service
    """Return what is wrong with one file, or None."""
    try:
        length = job.size(item.name)
        if length != item.size:
            return f"has {length:,} bytes instead of {item.size:,}"
        verification = verify_file(job, item.name, format)
    except FileNotFoundError:
        return "is missing"
    except IntegrityError as error:
        return error.message
    except OSError as error:
        return _unreadable(error)
    if verification.sha256 != item.sha256:
        return "has a different SHA-256 than its manifest says"
    if verification.rows != item.rows:
        return f"has {verification.rows} rows instead of {item.rows}"
    return None


def _unknown_files(job: LocalFolder, expected: Manifest) -> list[Problem]:
    """Return the visible files that the manifest does not name. A reader of the folder would include their rows."""
    known = {item.name for item in expected.objects}
    try:
        names = job.names()
    except OSError as error:
        return [Problem(path=job.path, message=_unreadable(error))]
    return [
        Problem(path=job.path / name, message="is not in the manifest")
        for name in names
        if not name.startswith(".") and name not in known
    ]
