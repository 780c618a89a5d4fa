"""Targets by the scheme of their URL. Each is imported only when it is needed, and so is its driver."""

import importlib
import sys
from pathlib import PureWindowsPath
from typing import cast

from dapkit.errors import MissingDriverError, UsageError
from dapkit.protocol.secrets import Address, without_traceback
from dapkit.targets.base import Target

SCHEMES = {
    "duckdb": "dapkit.targets.duckdb.target",
    "sqlite": "dapkit.targets.sqlite.target",
    "postgresql": "dapkit.targets.postgres.target",
    "postgres": "dapkit.targets.postgres.target",
    "mysql": "dapkit.targets.mysql.target",
    "mariadb": "dapkit.targets.mysql.target",
    "mssql": "dapkit.targets.mssql.target",
}
"""The module of each scheme; its `target_of` returns the target that a URL names, or raises UsageError."""

_DRIVERS = {
    "duckdb": "duckdb>=1.4",
    "postgresql": "psycopg[binary]>=3.2",
    "postgres": "psycopg[binary]>=3.2",
    "mysql": "pymysql>=1.2",
    "mariadb": "pymysql>=1.2",
    "mssql": "mssql-python>=1.16",
}
"""The driver of each scheme that needs one, as in pyproject.toml."""

_FILES = {".duckdb": "duckdb", ".sqlite": "sqlite", ".sqlite3": "sqlite"}
"""The scheme that a file's name suggests, by its suffix."""


def target_of(url: str) -> Target:
    """Return the target that a URL names, without connecting to it.

    Raises:
        UsageError: it is not the URL of a supported database.
        MissingDriverError: the library that its database needs is not installed.
    """
    url = Address(url)  # its password must not be shown with the local variables of a traceback
    # Not by `partition`: a local variable would hold what follows, with the password.
    scheme = url[: max(url.find(":"), 0)].lower()
    is_url = len(scheme) > 1  # a single letter is a drive of Windows
    if not is_url or scheme not in SCHEMES:
        meant = None if is_url else _FILES.get(PureWindowsPath(url).suffix.lower())
        hint = f"Did you mean {meant}:{url}?" if meant else f"Supported: {', '.join(f'{name}:' for name in SCHEMES)}."
        raise UsageError(f"Unsupported database type {scheme!r}" if is_url else "Not a database URL", hint=hint)
    try:
        module = importlib.import_module(SCHEMES[scheme])
    except ImportError as error:
        if error.name is not None and error.name.startswith("dapkit."):
            raise
        missing = error.name or " ".join(str(error).split())
        hint = f'Install it with: "{sys.executable}" -m pip install "{_DRIVERS.get(scheme, missing)}"'
        raise MissingDriverError(f"The driver for {scheme}: is not installed ({missing})", hint=hint) from error
    return cast(Target, without_traceback(module.target_of)(url))
