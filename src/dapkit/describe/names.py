"""PURE. Tables that are named with their namespace: `canvas.users`, `canvas.quiz*`, `canvas.all`."""

from collections.abc import Mapping, Sequence

from dapkit.errors import UsageError
from dapkit.protocol.namespaces import NAMESPACES

ALL = "all"
Selection = Mapping[str, tuple[str, ...]]
"""Names and patterns of tables by namespace."""


def by_namespace(names: Sequence[str], namespace: str | None = None) -> Selection:
    """Group names and patterns by namespace, in their order.

    Args:
        names: each with its namespace and a dot before it. With `namespace`, names without a dot are in it.
        namespace: of the names that have none.

    Raises:
        UsageError: a name has no namespace, no table, or a pattern as its namespace.
    """
    groups: dict[str, dict[str, None]] = {}
    for each in names:
        group, table = _split(each, namespace)
        groups.setdefault(group, {})[table] = None
    return {group: tuple(tables) for group, tables in groups.items()}


def _split(name: str, namespace: str | None) -> tuple[str, str]:
    before, dot, after = name.partition(".")
    if not dot and namespace is not None:
        return namespace, name
    if not before or (not dot and name not in NAMESPACES):
        example = f"{NAMESPACES[0]}.{after or before or ALL}"
        raise UsageError(f"{name!r} names no namespace", hint=f"Use a namespace and a table, such as {example}.")
    if not after:
        raise UsageError(f"{name!r} names no table", hint=f"Use {before}.{ALL} for all tables of {before}.")
    if any(mark in before for mark in "*?["):
        message = f"{name!r} has a pattern as its namespace"
        raise UsageError(message, hint=f"Name the namespace, as in {NAMESPACES[0]}.{after}.")
    return before, after
