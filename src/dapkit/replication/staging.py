"""The staging folders: downloaded files that wait to be loaded into a database.

Each target and namespace has a folder that only its owner can read. A table's files are removed once they have been
committed; the files of an interrupted run are found and used by the next one.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dapkit.errors import IntegrityError, OutputError
from dapkit.locks import FileLock
from dapkit.results import TableResult
from dapkit.storage.atomic import disk_errors
from dapkit.storage.local import LocalFolder
from dapkit.targets.base import DataFiles
from dapkit.transfer import manifest


def staging_folder(root: Path, target: str, namespace: str) -> Path:
    """Return the folder for files to load into a target."""
    return root / hashlib.sha256(f"{target}\n{namespace}".encode()).hexdigest()[:16]


def comparison_folder(root: Path, target: str, namespace: str) -> Path:
    """Return the folder for files to compare a target with; `sync` and `reconcile` may run at the same time."""
    return staging_folder(root, f"{target} reconcile", namespace)


@contextmanager
def stage_errors() -> Iterator[None]:
    """Make the hint of errors about the folder name the option that sets it: `--stage`, not `--output-directory`."""
    try:
        yield
    except OutputError as error:
        if error.hint == OutputError.default_hint:
            error.hint = "Use --stage or DAP_STAGE to choose a folder that you can write to."
        raise


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can read. Raises OutputError."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)  # it may have existed with other permissions


def remove_abandoned(folder: Path) -> None:
    """Remove a folder that a killed command left behind, unless another command holds its lock."""
    if folder.is_dir():
        with disk_errors(folder), FileLock(lock_path(folder)) as lock:
            if lock.acquire():
                remove(folder)


def lock_path(folder: Path) -> Path:
    """Return the lock of a folder. It lies next to it, so that it stays when the folder is removed."""
    return folder.with_suffix(".lock")


def repaired_values_folder(root: Path) -> Path:
    """Return the folder for the original values of repaired ones, which are kept."""
    return root / "repaired"


def repaired_values_file(root: Path, folder: Path, table: str) -> Path:
    """Return the file for the original values of a table's repaired ones."""
    return repaired_values_folder(root) / f"{folder.name}-{table}.jsonl"


def data_files(result: TableResult) -> DataFiles:
    """Return the files of a complete table. Raises IntegrityError if they differ from the manifest."""
    folder = LocalFolder(result.folder)
    contents = manifest.read(folder)
    if contents is None or not manifest.has_all_files(folder, contents) or contents.rows is None:
        raise IntegrityError(f"The files of table {result.table} have changed since the download", table=result.table)
    return DataFiles(paths=tuple(result.folder / item.name for item in contents.objects), rows=contents.rows)


def remove(folder: Path) -> None:
    """Remove a folder as far as possible; what remains is harmless."""
    shutil.rmtree(folder, ignore_errors=True)
