"""Which target a URL names, by its scheme. A target's module, and its driver, are imported only when it is named."""

from importlib import import_module
from typing import cast

from dapkit.errors import UsageError
from dapkit.targets.base import Target

__all__ = ["SCHEMES", "target_of"]

SCHEMES = {
    "duckdb": "dapkit.targets.duckdb.target:DuckDbTarget",
}


def target_of(url: str) -> Target:
    """Return the target that a URL names.

    Raises:
        UsageError: it names none.
    """
    scheme = url.partition(":")[0].lower()
    home = SCHEMES.get(scheme)
    if home is None:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise UsageError(f"{scheme + ':' if ':' in url else 'That'} is no kind of database", hint=f"Known are {known}.")
    module, _, name = home.partition(":")
    return cast(Target, getattr(import_module(module), name).of(url))
