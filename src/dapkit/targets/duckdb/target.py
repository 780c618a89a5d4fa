"""DuckDB as a target: `duckdb:FILE?memory_limit=2GB`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dapkit.targets.duckdb.driver import CAPABILITIES, connect
from dapkit.targets.duckdb.url import address_of
from dapkit.targets.sql.target import FileTarget


def target_of(url: str) -> FileTarget:
    """Return the target that `duckdb:FILE` names. Raises UsageError."""
    address = address_of(url)
    return duckdb_file(address.path, address.settings)


def duckdb_file(path: Path, settings: Mapping[str, str] | None = None) -> FileTarget:
    """Return a file as a target. One process may write to it at a time."""
    return FileTarget(
        scheme="duckdb", path=path, capabilities=CAPABILITIES, connect=partial(connect, settings=settings or {})
    )
