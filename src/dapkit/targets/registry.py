"""Targets by the scheme of their URL; each is imported when it is asked for, and so is its driver."""

import importlib
from typing import cast

from dapkit.errors import MissingDriverError, UsageError
from dapkit.targets.base import Target

__all__ = ["SCHEMES", "target_of"]

_POSTGRES = "dapkit.targets.postgres.target:PostgresTarget"
_MYSQL = "dapkit.targets.mysql.target:MySqlTarget"

SCHEMES = {
    "duckdb": "dapkit.targets.duckdb.target:DuckDbTarget",
    "sqlite": "dapkit.targets.sqlite.target:SqliteTarget",
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mssql": "dapkit.targets.mssql.target:MsSqlTarget",
}
"""Where the class of each scheme is."""

_EXTRAS = {"postgres": "postgresql", "mariadb": "mysql"}
"""The extra that brings a scheme's driver, where it has another name."""


def target_of(url: str) -> Target:
    """Return the target that a URL names, without connecting to it.

    Raises:
        UsageError: it names none.
        MissingDriverError: the library that its database needs is not installed.
    """
    scheme, colon, _ = url.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        hint = "Known are " + ", ".join(f"{name}:" for name in SCHEMES)
        raise UsageError(f"{scheme}: is no kind of database" if colon else "That names no database", hint=hint)
    module, _, name = SCHEMES[scheme].partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        if error.name is not None and error.name.startswith("dapkit."):
            raise
        missing = error.name or " ".join(str(error).split())
        hint = f'Install it with: pip install "dapkit[{_EXTRAS.get(scheme, scheme)}]"'
        raise MissingDriverError(f"The driver for {scheme}: is not installed ({missing})", hint=hint) from error
    return cast(Target, found.of(url))
