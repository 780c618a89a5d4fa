"""The files on their way into a database: a folder for each target and namespace, readable by its owner only.

What a table's load needed goes when it is committed; what an interrupted run left is found by the next.
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

__all__ = [
    "abandoned", "clear", "discard", "lock_of", "named", "originals", "parts_of", "private", "scratch_folder",
    "side_file", "stage_folder",
]  # fmt: skip


_ANOTHER = "Name a folder that you may write to with --stage or DAP_STAGE."


def stage_folder(root: Path, target: str, namespace: str) -> Path:
    """Return the folder for what goes from a namespace into a target."""
    return root / hashlib.sha256(f"{target}\n{namespace}".encode()).hexdigest()[:16]


def scratch_folder(root: Path, target: str, namespace: str) -> Path:
    """Return the folder for what is only put beside the tables of a target, to compare them."""
    return stage_folder(root, f"{target} reconcile", namespace)


@contextmanager
def named() -> Iterator[None]:
    """Let what the system says of a folder of the stage end in how another one is named."""
    try:
        yield
    except OutputError as error:
        if error.hint == OutputError.default_hint:
            error.hint = _ANOTHER
        raise


def private(folder: Path) -> None:
    """Make a folder of the stage where it is missing. Raises OutputError."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)


def abandoned(folder: Path) -> None:
    """Remove a folder that a command which was killed left, unless one is at work there."""
    if folder.is_dir():
        with disk_errors(folder), FileLock(lock_of(folder)) as lock:
            if lock.acquire():
                clear(folder)


def lock_of(folder: Path) -> Path:
    """Return the lock of who works in a folder."""
    return folder.with_suffix(".lock")


def originals(root: Path) -> Path:
    """Return the folder for the originals of repaired values, which outlast the stage."""
    return root / "repaired"


def side_file(root: Path, folder: Path, table: str) -> Path:
    """Return where the originals of a table's repaired values are kept."""
    return originals(root) / f"{folder.name}-{table}.jsonl"


def parts_of(result: TableResult) -> DataFiles:
    """Return the files of a whole table. Raises IntegrityError when they are not what the manifest says."""
    folder = LocalFolder(result.folder)
    said = manifest.read(folder)
    if said is None or not manifest.has_all_files(folder, said) or said.rows is None:
        raise IntegrityError(f"The files of table {result.table} are not as they were fetched", table=result.table)
    return DataFiles(paths=tuple(result.folder / item.name for item in said.objects), rows=said.rows)


def discard(result: TableResult) -> None:
    """Remove a table's files, which are in the database now."""
    shutil.rmtree(result.folder, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove the folder, when every table is in the database."""
    shutil.rmtree(folder, ignore_errors=True)
