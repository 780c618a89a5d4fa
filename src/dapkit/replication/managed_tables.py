"""What is on the books of a database, and taking tables off them: the work of `listdb` and `dropdb`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.errors import DapError, IncompatibleLayoutError, NotReplicatedError, TargetUnreachableError
from dapkit.export.selection import is_pattern, select
from dapkit.results import TableFailed
from dapkit.targets.base import SyncState, TableInfo, TableStatus, Target, TargetSession, watermark_text

__all__ = [
    "DropResult",
    "Listing",
    "chosen_tables",
    "drop_tables",
    "list_tables",
    "no_longer_in_service_hint",
    "no_longer_in_service_notice",
    "require_database",
    "table_statuses",
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

    tables: tuple[TableInfo, ...]
    sandbox: bool


def list_tables(target: Target, namespace: str, *, count: bool) -> Listing:
    """Return the tables of a namespace on the books, with their rows counted when wanted. Blocks."""
    session = (target.empty_substitute or target).open()
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
    sync_states = session.sync_states(namespace)
    tables = select(wanted, exclude, tuple(sync_states)) if sync_states or "all" not in wanted else ()
    for table in tables:
        if table not in sync_states:
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
    if target.empty_substitute is not None:
        raise NotReplicatedError(f"There is no database {target.name}")


def _dropped(session: TargetSession, namespace: str, tables: Sequence[str]) -> tuple[TableFailed, ...]:
    """Drop tables and return those that remain; none is tried any more once the database is away."""
    failed: list[TableFailed] = []
    for pool, table in enumerate(tables):
        try:
            session.drop(namespace, table)
        except TargetUnreachableError as error:
            return (*failed, *(TableFailed(table=each, error=error) for each in tables[pool:]))
        except DapError as error:
            failed.append(TableFailed(table=table, error=error))
    return tuple(failed)


def _droppable(session: TargetSession, namespace: str, wanted: Sequence[str], *, unbooked: bool) -> tuple[str, ...]:
    for name in wanted:
        if not is_pattern(name):
            _require_table(session, namespace, name)
    strays = [name for name in wanted if not is_pattern(name) and session.is_unmanaged(namespace, name)]
    if strays and not unbooked:
        message = f"Table {strays[0]} is not on the books: a load of it broke off, or it is somebody's own"
        raise NotReplicatedError(message, hint="With --yes it is dropped too, if it is named.", table=strays[0])
    named = [name for name in wanted if name not in strays]
    booked = chosen_tables(session, namespace, named) if named else ()
    for name in booked:
        _require_table(session, namespace, name)
    return (*booked, *strays)


def _require_table(session: TargetSession, namespace: str, name: str) -> None:
    """Raise IncompatibleLayoutError when what stands there is a view or the like, which is never dropped."""
    if session.status(namespace, name, {}) is TableStatus.NOT_A_TABLE:
        message = f"Where table {name} should be there is a view, or the like, which is not dropped"
        hint = "Rename or drop it yourself; nothing was changed."
        raise IncompatibleLayoutError(message, hint=hint, table=name)


def no_longer_in_service_notice(state: SyncState) -> str:
    """Say that the service no longer offers a table."""
    return f"{state.table} is no longer offered by the service; it stays in the database {_as_of(state)}."


def no_longer_in_service_hint(state: SyncState) -> str:
    """Say what becomes of a table that was wanted by its name and that the service no longer offers."""
    return f"It stays in the database {_as_of(state)}; `dap dropdb` removes it."


def _as_of(state: SyncState) -> str:
    return f"as of {watermark_text(state.watermark)}"


def table_statuses(
    session: TargetSession, namespace: str, tables: Sequence[str]
) -> dict[str, tuple[TableStatus, SyncState | None]]:
    """Return what stands where each table should be, and its line. Blocks."""
    sync_states = session.sync_states(namespace)
    return {name: (session.status(namespace, name, sync_states), sync_states.get(name)) for name in tables}
