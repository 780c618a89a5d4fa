"""Prove that the files under a folder are what their manifests say."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dapkit.errors import IntegrityError, ManifestError, VerificationError
from dapkit.transfer import manifest
from dapkit.transfer.integrity import verify_file
from dapkit.transfer.manifest import Manifest, ManifestObject
from dapkit.transfer.names import JOB_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What was checked: whole jobs, files, bytes; and what is wrong.

    `unfinished` are the job folders without manifest: whatever lies in them is not vouched for, and not wrong either.
    """

    jobs: int
    files: int
    bytes: int
    problems: tuple[Problem, ...]
    unfinished: tuple[Path, ...]


def verify(folder: Path, on_file: Callable[[Path], None] = lambda _: None) -> VerifyResult:
    """Re-check every file under a folder against its manifest, from the bytes on disk.

    The folder may be one job's, an output folder, or any above; what is hidden in there is not looked at. `on_file` is
    called after each file.

    Raises:
        VerificationError: there is no such folder, or no manifest under it.
    """
    if not folder.is_dir():
        raise VerificationError(f"{folder} is not a folder", hint="Name the folder that a snapshot was written to.")
    problems: list[Problem] = []
    jobs = sorted(_job_folders(folder, problems))
    unfinished: list[Path] = []
    whole = files = size = 0
    for job in jobs:
        try:
            said = manifest.read(job)
        except ManifestError as error:
            problems.append(Problem(path=job / manifest.NAME, what=f"{error.message} {error.hint}".strip()))
            continue
        if said is None:
            unfinished.append(job)
            continue
        whole += 1
        for item in said.objects:
            wrong = _wrong(job / item.name, said, item)
            if wrong:
                problems.append(Problem(path=job / item.name, what=wrong))
            files += 1
            size += item.size
            on_file(job / item.name)
        problems += _strangers(job, said)
    if not jobs and not problems:
        hint = "Name the folder that a snapshot was written to: it holds folders named job_…"
        raise VerificationError(f"There is nothing to verify under {folder}", hint=hint)
    return VerifyResult(jobs=whole, files=files, bytes=size, problems=tuple(problems), unfinished=tuple(unfinished))


def _job_folders(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield the folders that have a manifest or a job's name; add those that cannot be looked into to the problems."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem(path=Path(error.filename), what=_unreadable(error)))

    for pool, names, files in os.walk(folder, onerror=unreadable):
        if manifest.NAME in files:
            yield Path(pool)
            names.clear()
        visible = [name for name in names if not name.startswith(".")]
        yield from (Path(pool) / name for name in visible if name.startswith(JOB_PREFIX))
        names[:] = [name for name in visible if not name.startswith(JOB_PREFIX)]


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or type(error).__name__}"


def _wrong(path: Path, said: Manifest, item: ManifestObject) -> str | None:
    """Return what is wrong with one file, or None."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return _unreadable(error)
    if size != item.size:
        return f"has {size:,} bytes instead of {item.size:,}"
    try:
        verification = verify_file(path, said.format)
    except IntegrityError as error:
        return error.message
    except OSError as error:
        return _unreadable(error)
    if verification.sha256 != item.sha256:
        return "has another SHA-256 than its manifest says"
    if verification.rows != item.rows:
        return f"has {verification.rows} rows instead of {item.rows}"
    return None


def _strangers(job: Path, said: Manifest) -> list[Problem]:
    """Return the visible files of a job folder that its manifest does not name: a reader would count them in."""
    named = {item.name for item in said.objects}
    try:
        present = sorted(job.iterdir())
    except OSError as error:
        return [Problem(path=job, what=_unreadable(error))]
    return [
        Problem(path=path, what="is not named by the manifest")
        for path in present
        if not path.name.startswith(".") and path.name not in named
    ]
