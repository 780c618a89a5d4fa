"""SQLite as a target: `sqlite:FILE`. One process writes at a time; others wait for it."""

from pathlib import Path

from dapkit.targets.sql.connection_string import file_of
from dapkit.targets.sql.target import FileTarget
from dapkit.targets.sqlite.driver import CAPABILITIES, connect


def target_of(url: str) -> FileTarget:
    """Return the target that `sqlite:FILE` names. Raises UsageError."""
    return sqlite_file(file_of(url, "sqlite", "college.sqlite"))


def sqlite_file(path: Path) -> FileTarget:
    """Return a file as a target."""
    return FileTarget(scheme="sqlite", path=path, capabilities=CAPABILITIES, connect=connect)
