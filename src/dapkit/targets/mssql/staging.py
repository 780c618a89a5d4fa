"""Where rows arrive: a table of ours beside the books, since the driver's bulk copy sees no temporary ones.

It is made, filled and dropped outside the transaction that changes the live table, which only reads it. Its maker
holds a lock of its name for as long; where nobody does, its maker is dead, and whoever comes next drops it. A global
temporary table would go by itself, but everybody on the server could read it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dapkit.decode.tsv import common_header, row_blocks
from dapkit.errors import TargetError
from dapkit.targets.base import Load
from dapkit.targets.mssql.connection import Wire
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.introspection import Found
from dapkit.targets.mssql.row_conversion import Lines, codec_of
from dapkit.targets.mssql.table_ddl import LOOKUPS, TEXTS
from dapkit.targets.sql.dialect import STATE_SCHEMA
from dapkit.targets.sql.session import Staged
from dapkit.targets.sql.value_repairs import Repairs

__all__ = ["Pages", "Stage", "sweep"]

_PREFIX = "dapkit_staging_"
_LEFT = (
    f"SELECT name FROM sys.tables WHERE schema_id = SCHEMA_ID(N'{STATE_SCHEMA}') AND name LIKE N'dapkit[_]staging[_]%'"
)
_HOLD = (
    "DECLARE @held integer; EXEC @held = sp_getapplock @Resource = N'{}', @LockMode = N'Exclusive',"
    " @LockOwner = N'Session', @LockTimeout = 0; SELECT @held"
)
_RELEASE = "EXEC sp_releaseapplock @Resource = N'{}', @LockOwner = N'Session'"


class Pages:
    """The code pages of texts: of the database's collation, and of ours by which rows are told apart."""

    def __init__(self, usual: int | None, exact: int | None) -> None:
        self.usual = usual
        self.exact = exact

    def codecs(self, load: Load, found: Found) -> dict[str, str]:
        """Return the codec of each column of text that cannot hold every text."""
        pages: dict[str, int | None] = {}
        for column in load.table.columns:
            there = found.columns.get(column.name)
            if column.type.kind in LOOKUPS:
                pages[column.name] = self.exact
            elif column.type.kind in TEXTS:
                made = self.exact if column in load.table.key else self.usual
                pages[column.name] = made if there is None or there.page is None else there.page
        return {name: codec for name, page in pages.items() if (codec := codec_of(page)) is not None}


class Stage:
    """Makes tables of arriving rows, each for as long as it is needed."""

    def __init__(self, wire: Wire, dialect: MsSqlDialect, pages: Pages) -> None:
        self._wire = wire
        self._dialect = dialect
        self._pages = pages

    @contextmanager
    def brought(self, load: Load, found: Found, *, action: bool) -> Iterator[Staged]:
        """Bring the rows of a load, outside any transaction.

        Args:
            load: what is brought.
            found: the live table as it stands, whose columns may have collations of their own.
            action: whether rows have to say what became of them.
        """
        bare = _PREFIX + uuid.uuid4().hex
        name = self._dialect.state_table(bare)
        self._wire.query(_HOLD.format(bare))
        try:
            self._wire.modify(self._dialect.create_staging(load.table, name))
            repaired = self._copy(load, found, f"{STATE_SCHEMA}.{bare}", action=action)
            ((rows,),) = self._wire.query(f"SELECT {self._dialect.count_all} FROM {name}")
            yield Staged(name=name, rows=int(rows), repaired=repaired)
        finally:
            with suppress(TargetError):  # what is left is swept
                self._wire.modify(f"DROP TABLE IF EXISTS {name}")
                self._wire.modify(_RELEASE.format(bare))

    def _copy(self, load: Load, found: Found, into: str, *, action: bool) -> dict[str, int]:
        if not load.parts.paths:
            return {}
        header = common_header(load.parts.paths, load.table, action=action)
        with Repairs(load, "SQL Server") as repairs:
            lines = Lines(load.table, header, self._pages.codecs(load, found), repairs)
            self._wire.copy(into, (row for path in load.parts.paths for row in lines.rows(row_blocks(path))))
        return dict(repairs.counts)


def sweep(wire: Wire, dialect: MsSqlDialect) -> None:
    """Drop what dead sessions left."""
    for (bare,) in wire.query(_LEFT):
        if wire.query(_HOLD.format(bare)) not in ([(0,)], [(1,)]):
            continue  # its maker is at work
        wire.modify(f"DROP TABLE IF EXISTS {dialect.state_table(bare)}")
        wire.modify(_RELEASE.format(bare))
