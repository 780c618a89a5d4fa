"""The tables of a namespace in a database, and those that only the service has: the work of `listdb`."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dapkit.client.session import Session
from dapkit.export.selection import ALL, resolve_tables
from dapkit.formatting import duration, html_table, size
from dapkit.model import format_utc
from dapkit.replication.plan import dropped_table_message, staleness_warning
from dapkit.targets.base import TableInfo, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseListing:
    """The tables of a namespace.

    Attributes:
        namespace: of the tables.
        target: the database, without user and password.
        tables: the tables in the database.
        not_loaded: the tables that only the service has; empty if it was not asked.
        now: the time by which the age of the data is measured.
        sandbox: whether the database contains synthetic data.
        sandbox_clock: whether `now` is the time of a sandbox, which has a separate clock.
    """

    namespace: str
    target: str
    tables: tuple[TableInfo, ...]
    not_loaded: tuple[str, ...] = ()
    now: datetime
    sandbox: bool
    sandbox_clock: bool = False

    def age(self, table: TableInfo) -> timedelta:
        """Return how old the data of a table is."""
        return self.now - table.watermark

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know: tables that were dropped manually, and logs that are about to be lost."""
        notices: list[str] = []
        for each in self.tables:
            if each.table_dropped:
                hint = "`dap sync` loads it again, `dap dropdb` removes its sync state."
                notices.append(f"{dropped_table_message(each.table)}: {hint}")
            # The age of sandbox data is only meaningful by the sandbox's clock.
            elif (self.sandbox_clock or not self.sandbox) and (warning := staleness_warning(each.state, self.now)):
                notices.append(warning)
        return tuple(notices)

    def _repr_html_(self) -> str:
        """Return a small table, which notebooks show."""
        rows: list[tuple[object, ...]] = [
            (
                each.table,
                each.rows,
                None if each.bytes is None else size(each.bytes),
                format_utc(each.watermark),
                duration(self.age(each).total_seconds()),
            )
            for each in self.tables
        ]
        rows += [(table, None, None, "not loaded", None) for table in self.not_loaded]
        return html_table(f"{self.namespace} in {self.target}", ("table", "rows", "size", "data as of", "age"), rows)


def list_tables(target: Target, namespace: str, *, count: bool) -> DatabaseListing:
    """Return the tables of a namespace in a database, with the number of their rows if `count`. Blocks."""
    session = (target.empty_substitute or target).open()
    try:
        return DatabaseListing(
            namespace=namespace,
            target=target.name,
            tables=session.list_tables(namespace, count=count),
            now=datetime.now(UTC),
            sandbox=session.holds_sandbox(),
        )
    finally:
        session.close()


async def compare_with_service(
    session: Session, listing: DatabaseListing, *, omit_not_replicated: bool
) -> DatabaseListing:
    """Return a listing with the tables that only the service has, unless they are omitted, and with its time."""
    listing = replace(listing, now=session.data_now(), sandbox_clock=session.sandbox)
    if omit_not_replicated:
        return listing
    known = {each.table for each in listing.tables}
    tables = (await resolve_tables(session, listing.namespace, (ALL,))).tables
    return replace(listing, not_loaded=tuple(sorted(set(tables) - known)))
