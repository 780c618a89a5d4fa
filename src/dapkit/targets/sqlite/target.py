"""SQLite as a target: `sqlite:FILE`. One process writes at a time; others wait for it."""

from pathlib import Path

from dapkit.errors import UsageError
from dapkit.targets.sql.target import FileTarget
from dapkit.targets.sqlite.driver import CAPABILITIES, connect


def target_of(url: str) -> FileTarget:
    """Return the target that `sqlite:FILE` names. Raises UsageError."""
    file = url.partition(":")[2].removeprefix("//")
    if not file or file == ":memory:":
        raise UsageError("The URL sqlite: does not name a file", hint="Write it like sqlite:college.sqlite.")
    return sqlite_file(Path(file))


def sqlite_file(path: Path) -> FileTarget:
    """Return a file as a target."""
    return FileTarget(scheme="sqlite", path=path, capabilities=CAPABILITIES, connect=connect)
