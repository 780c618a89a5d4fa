"""The staging tables: next to the state tables, since the driver's bulk copy sees no temporary ones.

One is created, filled and dropped outside the transaction that changes the live table, which only reads it. Whoever
created it holds a lock of its name meanwhile; if nobody does, that process is dead, and the next load drops the table.
A global temporary table would be dropped by the server, but every user of the server could read it.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from dapkit.decode.tsv import common_header, row_blocks
from dapkit.errors import TargetError
from dapkit.targets.base import Load
from dapkit.targets.mssql.connection import MsSqlConnection
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.row_conversion import RowConverter, codec_of
from dapkit.targets.mssql.table_ddl import LOOKUPS, TEXTS
from dapkit.targets.sql.dialect import STATE_SCHEMA, state_table
from dapkit.targets.sql.driver import StagedRows
from dapkit.targets.sql.introspection import ExistingTable
from dapkit.targets.sql.value_repairs import ValueRepairs

__all__ = ["BulkStaging", "CodePages", "drop_abandoned"]

_PREFIX = "dapkit_staging_"
_LEFT = (
    f"SELECT name FROM sys.tables WHERE schema_id = SCHEMA_ID(N'{STATE_SCHEMA}') AND name LIKE N'dapkit[_]staging[_]%'"
)
_HOLD = (
    "DECLARE @held integer; EXEC @held = sp_getapplock @Resource = N'{}', @LockMode = N'Exclusive',"
    " @LockOwner = N'Session', @LockTimeout = 0; SELECT @held"
)
_RELEASE = "EXEC sp_releaseapplock @Resource = N'{}', @LockOwner = N'Session'"


class CodePages:
    """The code pages of texts: of the database's collation, and of ours by which rows are distinguished."""

    def __init__(self, usual: int | None, exact: int | None) -> None:
        self.usual = usual
        self.exact = exact

    def codecs(self, load: Load, existing: ExistingTable) -> dict[str, str]:
        """Return the codec of each column of text that cannot store every text."""
        pages: dict[str, int | None] = {}
        for column in load.table.columns:
            there = existing.columns.get(column.name)
            if column.type.kind in LOOKUPS:
                pages[column.name] = self.exact
            elif column.type.kind in TEXTS:
                created = self.exact if column in load.table.key else self.usual
                pages[column.name] = created if there is None or there.code_page is None else there.code_page
        return {name: codec for name, page in pages.items() if (codec := codec_of(page)) is not None}


class BulkStaging:
    """Creates staging tables and fills them by bulk copy."""

    def __init__(self, connection: MsSqlConnection, dialect: MsSqlDialect, pages: CodePages) -> None:
        self._connection = connection
        self._dialect = dialect
        self._pages = pages

    @contextmanager
    def staged(
        self, load: Load, existing: ExistingTable, repairs: ValueRepairs, *, action: bool
    ) -> Iterator[StagedRows]:
        """Stage the rows of a load, outside any transaction.

        Args:
            load: whose files are read.
            existing: the live table, whose columns may have collations of their own.
            repairs: where repaired values are noted.
            action: whether the files have to say for each row if it was updated or deleted.
        """
        bare = _PREFIX + uuid.uuid4().hex
        name = state_table(self._dialect, bare)
        self._connection.query(_HOLD.format(bare))
        try:
            self._connection.execute(self._dialect.create_staging(load.table, name))
            codecs = self._pages.codecs(load, existing)
            self._copy(load, codecs, repairs, f"{STATE_SCHEMA}.{bare}", action=action)
            ((rows,),) = self._connection.query(f"SELECT {self._dialect.facts.count_all} FROM {name}")
            yield StagedRows(name, int(rows))
        finally:
            with suppress(TargetError):  # the next load drops what is left
                self._connection.execute(f"DROP TABLE IF EXISTS {name}")
                self._connection.execute(_RELEASE.format(bare))

    def _copy(self, load: Load, codecs: Mapping[str, str], repairs: ValueRepairs, into: str, *, action: bool) -> None:
        if not load.parts.paths:
            return
        header = common_header(load.parts.paths, load.table, action=action)
        converter = RowConverter(load.table, header, codecs, repairs)
        self._connection.copy(into, (row for path in load.parts.paths for row in converter.rows(row_blocks(path))))


def drop_abandoned(connection: MsSqlConnection, dialect: MsSqlDialect) -> None:
    """Drop the staging tables that dead processes left."""
    for (bare,) in connection.query(_LEFT):
        if connection.query(_HOLD.format(bare)) not in ([(0,)], [(1,)]):
            continue  # its process is at work
        connection.execute(f"DROP TABLE IF EXISTS {state_table(dialect, bare)}")
        connection.execute(_RELEASE.format(bare))
