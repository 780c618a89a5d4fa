"""Which tables are selected: names, globs and `all`, less the excluded ones; in a namespace with two spellings."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dapkit.client.session import Session
from dapkit.errors import DapError, NotFoundError, UsageError
from dapkit.protocol.namespaces import nearest_namespace

ManagedTables = Callable[[str], Awaitable[Collection[str]]]
ALL = "all"
ALIASES = {"canvas_log": "canvas_logs"}  # official pages spell it both ways; the service knows the second


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The namespace as the service spells it, and the selected tables in order, each once.

    `known` contains all tables that the service lists, if it was asked. `notice` is for the user.
    """

    namespace: str
    tables: tuple[str, ...]
    known: tuple[str, ...] | None = None
    notice: str | None = None


def split_tables(values: Iterable[str], option: str = "--table") -> tuple[str, ...]:
    """Split `a, b,c` into names, without spaces and duplicates. Raises UsageError if there is none."""
    names = [part.strip() for value in values for part in value.split(",")]
    wanted = tuple(dict.fromkeys(name for name in names if name))
    if not wanted:
        also = ", or all" if option == "--table" else ", or omit it"
        raise UsageError(f"{option} contains no table", hint=f"Use {option} with a name, a list such as a,b,c{also}.")
    return wanted


def is_pattern(name: str) -> bool:
    """Return whether a name can only be resolved with the service's list of tables."""
    return name == ALL or any(mark in name for mark in "*?[")


def select(
    wanted: Sequence[str],
    exclude: Sequence[str],
    known: Sequence[str] | None,
    managed: Collection[str] = (),
    hint: str = "",
) -> tuple[str, ...]:
    """PURE: return the selected tables.

    Args:
        wanted: names, patterns or `all`.
        exclude: names or patterns.
        known: what the service lists; None if there is no pattern.
        managed: the tables in a database; a pattern that matches only these selects nothing, but is not an error.
        hint: of the error if a pattern matches nothing and no name is similar.

    Raises:
        UsageError: a pattern matches nothing, or all selected tables are excluded.
    """
    chosen: dict[str, None] = {}
    for name in wanted:
        if not is_pattern(name):
            chosen[name] = None
            continue
        assert known is not None
        matches = [table for table in known if _matches(table, name)]
        if not matches and not any(_matches(table, name) for table in managed):
            raise UsageError(f"No table matches {name!r}", hint=similar(name, known) or hint)
        chosen.update(dict.fromkeys(matches))
    left = tuple(table for table in chosen if not any(_matches(table, pattern) for pattern in exclude))
    if chosen and not left:
        raise UsageError("All selected tables are excluded", hint="Compare --table and --exclude.")
    return left


def no_longer_listed(
    wanted: Sequence[str], exclude: Sequence[str], known: Sequence[str] | None, managed: Iterable[str]
) -> tuple[str, ...]:
    """PURE: return those of the `managed` tables that a pattern selects and the service no longer lists.

    A table that is selected by its name is not among them: if the service does not know it, that is an error.
    """
    if known is None:
        return ()
    patterns = [name for name in wanted if is_pattern(name)]
    return tuple(
        table
        for table in managed
        if table not in known
        and table not in wanted
        and any(_matches(table, pattern) for pattern in patterns)
        and not any(_matches(table, pattern) for pattern in exclude)
    )


def _matches(table: str, pattern: str) -> bool:
    return pattern == ALL or fnmatchcase(table, pattern)


async def resolve_tables(
    session: Session,
    namespace: str,
    wanted: Sequence[str],
    exclude: Sequence[str] = (),
    managed: ManagedTables | None = None,
) -> Resolved:
    """Return the selected tables.

    The service is asked only if a pattern, an exclusion or an ambiguous namespace requires it. If a pattern or an
    exclusion matches no table of the service, `managed` is called with the namespace; see `select`.

    A plain name that the service does not list is not an error here: that table fails alone, and the others continue.

    Raises:
        UsageError: a pattern or an exclusion matches nothing, or all selected tables are excluded.
    """
    if namespace not in ALIASES and not exclude and not any(is_pattern(name) for name in wanted):
        return Resolved(namespace=namespace, tables=select(wanted, exclude, None))
    notice = None
    try:
        known = await session.tables(namespace)
    except NotFoundError as error:
        alias = ALIASES.get(namespace)
        if alias is None:
            error.hint = error.hint or nearest_namespace(namespace)
            raise
        known = await session.tables(alias)
        notice = f"The service does not know the namespace {namespace}. Using {alias} instead."
        namespace = alias
    in_database: Collection[str] = ()
    if managed is not None and _unmatched((*filter(is_pattern, wanted), *exclude), known):
        in_database = await managed(namespace)
    every = dict.fromkeys([*known, *in_database])
    for name in _unmatched(exclude, every):
        # A misspelt name would silently exclude nothing.
        message = f"No table of {namespace} matches {name!r}, which is to be excluded"
        raise UsageError(message, hint=nearest(name, every, namespace))
    tables = select(wanted, exclude, known, in_database, _list_hint(namespace))
    return Resolved(namespace=namespace, tables=tables, known=tuple(known), notice=notice)


def _unmatched(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the names and patterns that match none of the tables."""
    return [name for name in names if not any(_matches(table, name) for table in known)]


def nearest(name: str, known: Iterable[str], namespace: str) -> str:
    """PURE: return a hint with the known names most similar to an unknown one, or how to list them."""
    return similar(name, known) or _list_hint(namespace)


def similar(name: str, known: Iterable[str]) -> str:
    """PURE: return a hint with the known names most similar to an unknown one; empty if none is."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def _list_hint(namespace: str) -> str:
    return f"`dap list --namespace {namespace}` shows all tables."


class KnownTables:
    """The tables that the service lists in one namespace, requested once, and only if an error needs them."""

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self._names: tuple[str, ...] | None = None

    async def nearest(self, name: str) -> str:
        """Return a hint for the name of a table that does not exist."""
        async with self._lock:
            if self._names is None:
                try:
                    self._names = await self._session.tables(self._namespace)
                except DapError:
                    self._names = ()
        return nearest(name, self._names, self._namespace)
