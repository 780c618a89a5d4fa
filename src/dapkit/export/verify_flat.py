"""Verify flat files against their states: the structure and the rows of Parquet, the SHA-256 of CSV and JSONL."""

import os
from collections.abc import Iterator
from pathlib import Path

from dapkit.decode.parquet_check import check_parquet
from dapkit.errors import DapError, IntegrityError
from dapkit.storage.atomic import disk_errors
from dapkit.storage.names import JOB_PREFIX
from dapkit.tables.flat_files import SIDECAR, FlatState, is_flat_name, is_intact, recorded_state, sidecar_of
from dapkit.transfer import manifest


def flat_file_paths(folder: Path) -> Iterator[Path]:
    """Yield the paths below a folder that may be flat files, sorted; hidden folders and job folders are skipped."""
    for parent, names, files in os.walk(folder):
        if manifest.NAME in files:
            names.clear()
            continue
        names[:] = sorted(name for name in names if not name.startswith((".", JOB_PREFIX)))
        # A sidecar counts for its file, which may be missing.
        found = {name.removesuffix(SIDECAR) for name in files}
        yield from (Path(parent, name) for name in sorted(found) if is_flat_name(name))


def check_flat(path: Path) -> tuple[FlatState | None, str | None]:
    """Return the state of a flat file, and what is wrong with it.

    Without a state and a problem, the file is not one of ours. A file that is no valid Parquet file is a problem even
    then, because the state is lost with the end of a file.
    """
    state = None
    try:
        state = recorded_state(path)
        return state, _without_state(path) if state is None else _problem(path, state)
    except FileNotFoundError:
        return state, "is missing"
    except DapError as error:
        return state, error.message
    except OSError as error:
        return state, f"cannot be read: {error.strerror or type(error).__name__}"


def _without_state(path: Path) -> str | None:
    if path.suffix != ".parquet":
        return "has a damaged state" if sidecar_of(path).is_file() else None
    try:
        with path.open("rb", buffering=0) as file:
            check_parquet(file)
    except IntegrityError as error:
        return f"{error.message}. If dapkit wrote it: the command that wrote it replaces it"
    return None


def _problem(path: Path, state: FlatState) -> str | None:
    length = path.stat().st_size
    if path.suffix == ".parquet":
        with path.open("rb", buffering=0) as file:
            rows = check_parquet(file).rows
        return None if rows in (None, state.rows) else f"has {rows} rows instead of {state.rows}"
    if length != state.size:
        return f"has {length:,} bytes instead of {state.size:,}"
    return None if is_intact(path, state) else "has a different SHA-256 than its state says"


def remove_flat(path: Path) -> list[Path]:
    """Delete a damaged flat file, then the one with its state; return what was deleted. Raises OutputError."""
    removed = []
    for each in (path, sidecar_of(path)):
        with disk_errors(each):
            if each.exists():
                each.unlink()
                removed.append(each)
    return removed
