"""What is on the books of a database, and taking tables off them: the work of `listdb` and `dropdb`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.engine.tables import is_pattern, select
from dapkit.errors import LayoutError, NotReplicatedError
from dapkit.targets.base import Book, Listed, Standing, Target, TargetSession

__all__ = ["DropResult", "drop_tables", "list_tables", "standings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropResult:
    """The tables that are gone."""

    namespace: str
    target: str
    dropped: tuple[str, ...]


def list_tables(target: Target, namespace: str, *, count: bool) -> tuple[Listed, ...]:
    """Return the tables of a namespace on the books, with their rows counted when wanted. Blocks."""
    session = target.open()
    try:
        return session.listing(namespace, count=count)
    finally:
        session.close()


def chosen_tables(
    session: TargetSession, namespace: str, wanted: Sequence[str], exclude: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return which tables on the books names, patterns and `all` mean, without those that are excluded.

    Raises:
        NotReplicatedError: a name is not on the books.
    """
    books = session.books(namespace)
    tables = select(wanted, exclude, tuple(books)) if books or "all" not in wanted else ()
    for table in tables:
        if table not in books:
            raise NotReplicatedError(f"Table {table} is not on the books", table=table)
    return tables


def drop_tables(target: Target, namespace: str, wanted: Sequence[str], *, unbooked: bool = False) -> DropResult:
    """Remove tables and their lines; nothing is removed when one of them may not be. Blocks.

    Args:
        target: the database.
        namespace: where the tables are.
        wanted: names, patterns or `all`; the last two mean tables on the books.
        unbooked: whether tables that are named, are there and are not on the books are removed too.

    Raises:
        NotReplicatedError: a name is neither on the books nor, if `unbooked`, that of a table that is there.
    """
    session = target.open()
    try:
        session.require_version()
        tables = _droppable(session, namespace, wanted, unbooked=unbooked)
        for table in tables:
            session.drop(namespace, table)
    finally:
        session.close()
    return DropResult(namespace=namespace, target=target.name, dropped=tables)


def _droppable(session: TargetSession, namespace: str, wanted: Sequence[str], *, unbooked: bool) -> tuple[str, ...]:
    for name in wanted:
        if not is_pattern(name):
            _require_table(session, namespace, name)
    strays = [name for name in wanted if not is_pattern(name) and session.is_stray(namespace, name)]
    if strays and not unbooked:
        message = f"Table {strays[0]} is not on the books: a load of it broke off, or it is somebody's own"
        raise NotReplicatedError(message, hint="With --yes it is dropped too, if it is named.", table=strays[0])
    named = [name for name in wanted if name not in strays]
    booked = chosen_tables(session, namespace, named) if named else ()
    for name in booked:
        _require_table(session, namespace, name)
    return (*booked, *strays)


def _require_table(session: TargetSession, namespace: str, name: str) -> None:
    """Raise LayoutError when what stands there is a view or the like, which is never dropped."""
    if session.standing(namespace, name, {}) is Standing.OTHER:
        message = f"Where table {name} should be there is a view, or the like, which is not dropped"
        hint = "Rename or drop it yourself; nothing was changed."
        raise LayoutError(message, hint=hint, table=name)


def standings(session: TargetSession, namespace: str, tables: Sequence[str]) -> dict[str, tuple[Standing, Book | None]]:
    """Return what stands where each table should be, and its line. Blocks."""
    books = session.books(namespace)
    return {name: (session.standing(namespace, name, books), books.get(name)) for name in tables}
