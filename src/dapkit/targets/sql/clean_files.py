"""Loads whose files are not as the service documents them: they are repeated with cleaned files."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dapkit.decode.tsv_cleaner import TsvCleaner
from dapkit.decode.value_check import find_bad_value
from dapkit.errors import BadValueError, DapError, IntegrityError
from dapkit.storage.atomic import disk_errors
from dapkit.targets.base import DataFiles, Load
from dapkit.targets.sql.value_repairs import ValueRepairs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A load, and whether its files are an increment."""

    load: Load
    action: bool


def with_clean_files(product: str, incoming: Sequence[Incoming], attempt: Callable[[Sequence[Load]], T]) -> T:
    """Load files as they are; if that fails because of what is in them, clean them and try once more.

    Nearly all files are usual, and only an attempt that failed has to be repeated: so cleaning costs nothing otherwise.

    Args:
        product: the name of the database.
        incoming: the loads.
        attempt: is called with the loads; if it fails, it must leave everything as it was.

    Raises:
        BadValueError: a value cannot be stored, and may not or cannot be repaired.
        IntegrityError: a file cannot be loaded.
        DapError: what the attempt raises.
    """
    loads = [each.load for each in incoming]
    try:
        return attempt(loads)
    except (BadValueError, IntegrityError) as error:
        with ExitStack() as stack:
            cleaned = [stack.enter_context(_cleaned(product, each)) for each in incoming]
            if cleaned == loads:
                raise _precise(error, loads) from error
            try:
                return attempt(cleaned)
            except BadValueError as again:
                raise _precise(again, cleaned) from again


def _precise(error: DapError, loads: Sequence[Load]) -> DapError:
    """Return an error that names column, key and value, which most databases do not, if the files show the reason."""
    if isinstance(error, BadValueError):
        for load in loads:
            if (found := find_bad_value(load.files.paths, load.table)) is not None:
                return BadValueError(found, table=load.table.name)
    return error


@contextmanager
def _cleaned(product: str, incoming: Incoming) -> Iterator[Load]:
    """Yield the load with cleaned files, which are deleted at the end; the load itself if its files are usual."""
    load, paths = incoming.load, incoming.load.files.paths
    if not paths:
        yield load
        return
    # Next to the files: their folder is private, and what a killed process leaves there is deleted with it.
    parent = paths[0].parent
    with disk_errors(parent):
        folder = tempfile.TemporaryDirectory(prefix=".clean-", dir=parent, ignore_cleanup_errors=True)
    with folder:
        repairs = ValueRepairs(load, product)
        cleaner = TsvCleaner(load.table, action=incoming.action, on_repair=repairs.note)
        with disk_errors(parent):
            copies = cleaner.clean(paths, Path(folder.name))
        if not cleaner.changed:
            yield load
            return
        if cleaner.lines != load.files.rows:  # lines that were lost since the download are no oddity
            message = f"The files hold {load.files.rows:,} rows, but {cleaner.lines:,} were found in them"
            raise IntegrityError(message, table=load.table.name)
        repairs.save()
        yield replace(load, files=DataFiles(paths=copies, rows=cleaner.rows, repaired=dict(repairs.counts)))
