"""What is on the books of a database, and taking tables off them: the work of `listdb` and `dropdb`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.engine.tables import is_pattern, select
from dapkit.errors import NotReplicatedError
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
        tables = _droppable(session, namespace, wanted, unbooked=unbooked)
        for table in tables:
            session.drop(namespace, table)
    finally:
        session.close()
    return DropResult(namespace=namespace, target=target.name, dropped=tables)


def _droppable(session: TargetSession, namespace: str, wanted: Sequence[str], *, unbooked: bool) -> tuple[str, ...]:
    strays = [name for name in wanted if not is_pattern(name) and session.is_stray(namespace, name)]
    if strays and not unbooked:
        message = f"Table {strays[0]} is not on the books: a load of it broke off, or it is somebody's own"
        raise NotReplicatedError(message, hint="With --yes it is dropped too, if it is named.", table=strays[0])
    booked = [name for name in wanted if name not in strays]
    return (*(chosen_tables(session, namespace, booked) if booked else ()), *strays)


def standings(session: TargetSession, namespace: str, tables: Sequence[str]) -> dict[str, tuple[Standing, Book | None]]:
    """Return what stands where each table should be, and its line. Blocks."""
    books = session.books(namespace)
    return {
        name: (Standing.BOOKED, books[name]) if name in books else (session.standing(namespace, name), None)
        for name in tables
    }
