"""Which tables a person means: names, globs and `all`, less what is excluded, in a namespace that may be misspelt."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dapkit.client.session import Session
from dapkit.errors import DapError, NotFoundError, TableNotFoundError, UsageError

Held = Callable[[str], Awaitable[Collection[str]]]
ALL = "all"
ALIASES = {"canvas_log": "canvas_logs"}  # official pages spell it both ways; the service knows the second


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The namespace as the service knows it and the tables in the order wanted, each once.

    `known` holds all that the service lists, if it was asked.
    """

    namespace: str
    tables: tuple[str, ...]
    known: tuple[str, ...] | None = None
    notice: str | None = None


def split_tables(values: Iterable[str]) -> tuple[str, ...]:
    """Split `a, b,c` into names; spaces are forgiven, duplicates dropped. Raises UsageError when nothing is left."""
    names = [part.strip() for value in values for part in value.split(",")]
    wanted = tuple(dict.fromkeys(name for name in names if name))
    if not wanted:
        raise UsageError("No table is named", hint="Use --table with a name, a list such as a,b,c, or all.")
    return wanted


def is_pattern(name: str) -> bool:
    """Whether a name can only be resolved against the service's list."""
    return name == ALL or any(mark in name for mark in "*?[")


def select(
    wanted: Sequence[str], exclude: Sequence[str], known: Sequence[str] | None, held: Collection[str] = ()
) -> tuple[str, ...]:
    """PURE: resolve what is wanted against the known names (None when no pattern needs them).

    Args:
        wanted: names, patterns or `all`.
        exclude: names or patterns.
        known: what the service lists.
        held: what a database has; a pattern that matches only such tables means none of the service's.

    Raises:
        TableNotFoundError: a pattern matches nothing.
        UsageError: everything wanted is excluded.
    """
    chosen: dict[str, None] = {}
    for name in wanted:
        if not is_pattern(name):
            chosen[name] = None
            continue
        assert known is not None
        matches = [table for table in known if _matches(table, name)]
        if not matches and not any(_matches(table, name) for table in held):
            hint = "`dap list --namespace …` shows the tables there are."
            raise TableNotFoundError(f"No table matches {name!r}", hint=hint)
        chosen.update(dict.fromkeys(matches))
    left = tuple(table for table in chosen if not any(fnmatchcase(table, pattern) for pattern in exclude))
    if chosen and not left:
        raise UsageError("Every table that is wanted is excluded", hint="Check --table against --exclude.")
    return left


def vanished(
    wanted: Sequence[str], exclude: Sequence[str], known: Sequence[str] | None, held: Iterable[str]
) -> tuple[str, ...]:
    """PURE: of the tables that are held, those that a pattern means and the service no longer lists.

    What is wanted by its name is not among them: that the service does not know it is an error.
    """
    if known is None:
        return ()
    patterns = [name for name in wanted if is_pattern(name)]
    return tuple(
        table
        for table in held
        if table not in known
        and table not in wanted
        and any(_matches(table, pattern) for pattern in patterns)
        and not any(fnmatchcase(table, pattern) for pattern in exclude)
    )


def _matches(table: str, pattern: str) -> bool:
    return pattern == ALL or fnmatchcase(table, pattern)


async def resolve_tables(
    session: Session, namespace: str, wanted: Sequence[str], exclude: Sequence[str] = (), held: Held | None = None
) -> Resolved:
    """Ask the service for its tables where a pattern or a doubtful namespace needs it, and resolve.

    `held` is asked, with the namespace, which tables are somewhere else when the service has none for a pattern.
    """
    if namespace not in ALIASES and not any(is_pattern(name) for name in wanted):
        return Resolved(namespace=namespace, tables=select(wanted, exclude, None))
    notice = None
    try:
        known = await session.tables(namespace)
    except NotFoundError:
        alias = ALIASES.get(namespace)
        if alias is None:
            raise
        known = await session.tables(alias)
        notice = f"The service does not know the namespace {namespace}; {alias} is taken instead."
        namespace = alias
    try:
        tables = select(wanted, exclude, known)
    except TableNotFoundError:
        if held is None:
            raise
        tables = select(wanted, exclude, known, await held(namespace))
    return Resolved(namespace=namespace, tables=tables, known=tuple(known), notice=notice)


def nearest(name: str, known: Iterable[str]) -> str:
    """PURE: a sentence with the known names nearest to one that is not, or where to look them up."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "`dap list --namespace …` shows the tables there are."


class KnownTables:
    """The names that the service lists in one namespace, asked for once and only when an error wants them."""

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self._names: tuple[str, ...] | None = None

    async def nearest(self, name: str) -> str:
        """Return a hint that names the tables nearest to one that does not exist."""
        async with self._lock:
            if self._names is None:
                try:
                    self._names = await self._session.tables(self._namespace)
                except DapError:
                    self._names = ()
        return nearest(name, self._names)
