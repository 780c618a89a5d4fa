"""The tables that dapkit manages in a database: selected, and dropped, the work of `dropdb`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.errors import DapError, NotReplicatedError, TargetUnreachableError
from dapkit.export.selection import is_pattern, select, similar
from dapkit.failures import TableFailed
from dapkit.model import format_utc
from dapkit.protocol.namespaces import LOGS
from dapkit.replication.plan import not_a_table_error
from dapkit.results import Display, TablesResult
from dapkit.targets.base import SyncState, TableStatus, Target, TargetSession

StatusAndState = tuple[TableStatus, SyncState | None]
"""What is in the database under a table's name, and the table's sync state if it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropResult(TablesResult):
    """The tables that were dropped (`done`), and those that could not be."""

    namespace: str
    target: str
    done: tuple[str, ...]
    failed: tuple[TableFailed, ...] = ()

    def _display(self) -> Display:
        return f"Dropped from {self.target}", ("table",), [(table,) for table in self.done]


def read_sync_states(target: Target, namespace: str) -> dict[str, SyncState]:
    """Return the sync states of a namespace by table, over a separate connection. Blocks."""
    session = (target.empty_substitute or target).open()
    try:
        return session.sync_states(namespace)
    finally:
        session.close()


def select_managed_tables(
    session: TargetSession, namespace: str, wanted: Sequence[str], exclude: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the managed tables that names, patterns and `all` select. Blocks.

    Raises:
        NotReplicatedError: a name is not that of a managed table.
    """
    sync_states = session.sync_states(namespace)
    tables = select(wanted, exclude, tuple(sync_states)) if sync_states or "all" not in wanted else ()
    for table in tables:
        if table not in sync_states:
            hint = similar(table, sync_states)
            raise NotReplicatedError(f"Table {table} is not managed by dapkit", hint=hint, table=table)
    return tables


def drop_tables(
    target: Target, namespace: str, wanted: Sequence[str], *, include_unmanaged: bool = False
) -> DropResult:
    """Drop tables and their sync state. If one of them must not be dropped, none is. Blocks.

    Each table is dropped in a separate transaction, so that a failure does not affect the others.

    Args:
        target: the database.
        namespace: the tables' namespace.
        wanted: names, patterns or `all`; patterns and `all` select managed tables only.
        include_unmanaged: whether tables that are given by name are dropped even if they are not managed.

    Raises:
        NotReplicatedError: there is no database, or a table is not managed.
        IncompatibleLayoutError: a name is that of a view or another object that is not a table.
    """
    require_database(target)
    session = target.open()
    try:
        session.require_version()
        tables = _droppable(session, namespace, wanted, include_unmanaged=include_unmanaged)
        failed = _drop_each(session, namespace, tables)
    finally:
        session.close()
    remaining = {failure.table for failure in failed}
    dropped = tuple(table for table in tables if table not in remaining)
    return DropResult(namespace=namespace, target=target.name, done=dropped, failed=failed)


def require_database(target: Target) -> None:
    """Raise NotReplicatedError if there is no database at the target's address yet."""
    if target.empty_substitute is not None:
        raise NotReplicatedError(f"The database {target.name} does not exist")


def _drop_each(session: TargetSession, namespace: str, tables: Sequence[str]) -> tuple[TableFailed, ...]:
    """Drop tables and return those that failed. Once the database is unreachable, all others fail too."""
    failed: list[TableFailed] = []
    for number, table in enumerate(tables):
        try:
            session.drop(namespace, table)
        except TargetUnreachableError as error:
            return (*failed, *(TableFailed(table=each, error=error) for each in tables[number:]))
        except DapError as error:
            failed.append(TableFailed(table=table, error=error))
    return tuple(failed)


def _droppable(
    session: TargetSession, namespace: str, wanted: Sequence[str], *, include_unmanaged: bool
) -> tuple[str, ...]:
    names = [name for name in wanted if not is_pattern(name)]
    for name in names:
        _require_table(session, namespace, name)
    unmanaged = [name for name in names if session.is_unmanaged(namespace, name)]
    if unmanaged and not include_unmanaged:
        message = f"Table {unmanaged[0]} is not managed by dapkit: an interrupted load or another program created it"
        raise NotReplicatedError(message, hint="Use --include-unmanaged to drop it as well.", table=unmanaged[0])
    others = [name for name in wanted if name not in unmanaged]
    managed = select_managed_tables(session, namespace, others) if others else ()
    for name in managed:
        _require_table(session, namespace, name)
    return (*managed, *unmanaged)


def _require_table(session: TargetSession, namespace: str, name: str) -> None:
    if session.status(namespace, name, {}) is TableStatus.NOT_A_TABLE:
        raise not_a_table_error(name)


def no_longer_in_service_notice(state: SyncState) -> str:
    """Return the notice for a table that the service no longer offers."""
    return f"{state.table} is no longer offered by the service; it stays in the database {_as_of(state)}."


def no_longer_in_service_hint(state: SyncState) -> str:
    """Return the hint for a table that was requested by name, but that the service no longer offers."""
    remove = "" if state.namespace == LOGS else " Use `dap dropdb` to remove it."
    return f"It stays in the database {_as_of(state)}.{remove}"


def _as_of(state: SyncState) -> str:
    return f"as of {format_utc(state.watermark)}"


def table_statuses(session: TargetSession, namespace: str, tables: Sequence[str]) -> dict[str, StatusAndState]:
    """Return what is in the database under each table's name, and its sync state. Blocks."""
    sync_states = session.sync_states(namespace)
    return {name: (session.status(namespace, name, sync_states), sync_states.get(name)) for name in tables}
