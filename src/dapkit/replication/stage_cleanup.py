"""Abandoned staging folders: what interrupted runs left, and no run uses now.

    DIR/.dap/flat/<run>    pieces of flat tables; locked by DIR/.dap/runs/<run>.lock
    DIR/.dap/raw/job_<id>  raw files of flat tables; locked by the job, and used by any run in DIR
    DIR/<16 digits>        files to load into a database; locked by DIR/<16 digits>.lock

Removing them is always safe: the same command then downloads the files again.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dapkit.formatting import count, html_table, size
from dapkit.locks import FileLock, holder_of
from dapkit.replication.staging import lock_path, remove
from dapkit.storage.atomic import disk_errors
from dapkit.storage.names import JOB_PREFIX

_DATABASE_FOLDER = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingFolder:
    """A staging folder and its size. `locks`: it is abandoned if no process holds one of them."""

    path: Path
    bytes: int
    locks: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCleanup:
    """What was removed, or with `dry_run`, what would be.

    Attributes:
        folder: the folder that was searched.
        removed: the abandoned staging folders that were removed.
        in_use: the staging folders that a run uses.
        dry_run: whether nothing was removed.
    """

    folder: Path
    removed: tuple[StagingFolder, ...]
    in_use: tuple[Path, ...]
    dry_run: bool

    @property
    def bytes(self) -> int:
        """The size of what was removed."""
        return sum(each.bytes for each in self.removed)

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        verb = "would be removed" if self.dry_run else "removed"
        title = f"{self.folder}: {count(len(self.removed), 'staging folder')} {verb}, {size(self.bytes)}"
        return html_table(title, ("path", "size"), ((each.path, size(each.bytes)) for each in self.removed))


def remove_abandoned_stages(folder: Path, *, dry_run: bool = False) -> StageCleanup:
    """Remove the abandoned staging folders in an output folder, or in a staging folder of databases. Blocks.

    Raises:
        OutputError: a lock cannot be read.
    """
    removed: list[StagingFolder] = []
    in_use: list[Path] = []
    for each in staging_folders(folder):
        with disk_errors(each.path), ExitStack() as stack:
            if dry_run:
                free = not any(map(holder_of, each.locks))
            else:
                # The locks are held during the removal: a run that starts now must not find half of its files.
                locks = [stack.enter_context(FileLock(lock)) for lock in each.locks if lock.exists()]
                free = all(lock.acquire() for lock in locks)
            if not free:
                in_use.append(each.path)
                continue
            removed.append(each)
            if not dry_run:
                remove(each.path)
    return StageCleanup(folder=folder, removed=tuple(removed), in_use=tuple(in_use), dry_run=dry_run)


def staging_folders(folder: Path) -> Iterator[StagingFolder]:
    """Yield the staging folders in a folder, sorted by kind and name."""
    own = folder / ".dap"
    runs = tuple(sorted((own / "runs").glob("*.lock")))
    flatten = own / "locks" / "flatten.lock"
    for path in _folders(own / "flat", "*"):
        yield _staging_folder(path, flatten if path.name == "flatten" else own / "runs" / f"{path.name}.lock")
    for path in _folders(own / "raw", f"{JOB_PREFIX}*"):
        yield _staging_folder(path, own / "raw" / ".dap" / "locks" / f"{path.name}.lock", *runs)
    for path in _folders(folder, "*"):
        # The lock next to it tells it from a folder of another program.
        if _DATABASE_FOLDER.fullmatch(path.name) and lock_path(path).is_file():
            yield _staging_folder(path, lock_path(path))


def _folders(parent: Path, pattern: str) -> list[Path]:
    return sorted(path for path in parent.glob(pattern) if path.is_dir() and not path.is_symlink())


def _staging_folder(path: Path, *locks: Path) -> StagingFolder:
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent, name)
            total += file.lstat().st_size if file.exists() else 0
    return StagingFolder(path=path, bytes=total, locks=locks)
