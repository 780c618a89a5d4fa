"""What is on the books of a database, and taking tables off them: the work of `listdb` and `dropdb`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.engine.events import TableFailed
from dapkit.engine.tables import is_pattern, select
from dapkit.errors import DapError, LayoutError, NotReplicatedError, UnreachableTargetError
from dapkit.targets.base import Book, Listed, Standing, Target, TargetSession, watermark_text

__all__ = [
    "DropResult", "Listing", "chosen_tables", "drop_tables", "gone_hint", "gone_notice", "list_tables",
    "require_database", "standings",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DropResult:
    """The tables that are gone, and those that the database did not drop."""

    namespace: str
    target: str
    dropped: tuple[str, ...]
    failed: tuple[TableFailed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The tables of a namespace on the books, and whether the database is marked as holding a sandbox's data."""

    tables: tuple[Listed, ...]
    sandbox: bool


def list_tables(target: Target, namespace: str, *, count: bool) -> Listing:
    """Return the tables of a namespace on the books, with their rows counted when wanted. Blocks."""
    session = (target.stand_in or target).open()
    try:
        return Listing(tables=session.listing(namespace, count=count), sandbox=session.holds_sandbox())
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

    Each goes in a transaction of its own: one that the database refuses to drop does not hinder the others.

    Args:
        target: the database.
        namespace: where the tables are.
        wanted: names, patterns or `all`; the last two mean tables on the books.
        unbooked: whether tables that are named, are there and are not on the books are removed too.

    Raises:
        NotReplicatedError: there is no database, or a name is neither on the books nor, if `unbooked`, that of a
            table that is there.
    """
    require_database(target)
    session = target.open()
    try:
        session.require_version()
        tables = _droppable(session, namespace, wanted, unbooked=unbooked)
        failed = _dropped(session, namespace, tables)
    finally:
        session.close()
    lost = {failure.table for failure in failed}
    dropped = tuple(table for table in tables if table not in lost)
    return DropResult(namespace=namespace, target=target.name, dropped=dropped, failed=failed)


def require_database(target: Target) -> None:
    """Raise NotReplicatedError when there is nothing at the address yet."""
    if target.stand_in is not None:
        raise NotReplicatedError(f"There is no database {target.name}")


def _dropped(session: TargetSession, namespace: str, tables: Sequence[str]) -> tuple[TableFailed, ...]:
    """Drop tables and return those that remain; none is tried any more once the database is away."""
    failed: list[TableFailed] = []
    for place, table in enumerate(tables):
        try:
            session.drop(namespace, table)
        except UnreachableTargetError as error:
            return (*failed, *(TableFailed(table=each, error=error) for each in tables[place:]))
        except DapError as error:
            failed.append(TableFailed(table=table, error=error))
    return tuple(failed)


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


def gone_notice(book: Book) -> str:
    """Say that the service no longer offers a table."""
    return f"{book.table} is no longer offered by the service; it stays in the database {_as_of(book)}."


def gone_hint(book: Book) -> str:
    """Say what becomes of a table that was wanted by its name and that the service no longer offers."""
    return f"It stays in the database {_as_of(book)}; `dap dropdb` removes it."


def _as_of(book: Book) -> str:
    return f"as of {watermark_text(book.watermark)}"


def standings(session: TargetSession, namespace: str, tables: Sequence[str]) -> dict[str, tuple[Standing, Book | None]]:
    """Return what stands where each table should be, and its line. Blocks."""
    books = session.books(namespace)
    return {name: (session.standing(namespace, name, books), books.get(name)) for name in tables}
