"""A connection to a database of SQL Server.

Sessions speak English, so that the server's messages are understood, and let any error undo the whole transaction.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from dapkit.errors import TargetError
from dapkit.model import Table
from dapkit.targets.base import Capabilities, Load, Merge, Staging
from dapkit.targets.mssql.connection import MsSqlConnection
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.introspection import MsSqlCatalog
from dapkit.targets.mssql.staging import BulkStaging, CodePages, drop_abandoned
from dapkit.targets.sql.driver import StagedRows
from dapkit.targets.sql.value_repairs import ValueRepairs

__all__ = ["CAPABILITIES", "MsSqlDriver"]

CAPABILITIES = Capabilities(connections=4, staging=Staging.BEFORE, direct_load=False, merge=Merge.UPDATE_INSERT)

_SETTINGS = (
    "SET LANGUAGE us_english", "SET DATEFORMAT ymd", "SET ANSI_NULLS ON", "SET ANSI_PADDING ON", "SET ANSI_WARNINGS ON",
    "SET ARITHABORT ON", "SET CONCAT_NULL_YIELDS_NULL ON", "SET QUOTED_IDENTIFIER ON", "SET NUMERIC_ROUNDABORT OFF",
    "SET ANSI_NULL_DFLT_ON ON", "SET XACT_ABORT ON", "SET IMPLICIT_TRANSACTIONS OFF", "SET NOCOUNT OFF",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET LOCK_TIMEOUT 600000",
)  # fmt: skip
_SELF = """
SELECT @@SPID, CAST(COLLATIONPROPERTY(usual, 'CodePage') AS integer),
    CAST(COLLATIONPROPERTY('Latin1_General_100_BIN2_UTF8', 'CodePage') AS integer)
FROM (SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)) AS usual) AS collations
"""
_UTF8, _OLD = "Latin1_General_100_BIN2_UTF8", "Latin1_General_100_BIN2"
_OLD_PAGE = 1252


class MsSqlDriver:
    """A connection to a database of SQL Server."""

    capabilities = CAPABILITIES

    def __init__(self, connection: MsSqlConnection) -> None:
        self._connection = connection
        connection.execute("; ".join(_SETTINGS))
        ((number, usual, utf8),) = connection.query(_SELF)
        self.dialect = MsSqlDialect(exact=_OLD if utf8 is None else _UTF8, scratch=f"dapkit_scratch_{number}")
        self.catalog = MsSqlCatalog(self.query)
        pages = CodePages(usual, _OLD_PAGE if utf8 is None else utf8)
        self._staging = BulkStaging(connection, self.dialect, pages)
        self._looked_for_abandoned = False

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""
        return self._connection.query(sql, values)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        return self._connection.execute(sql, values)

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        yield from self.query(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        self.execute("BEGIN TRANSACTION")
        try:
            yield
            self.execute("COMMIT TRANSACTION")
        except BaseException:
            with suppress(TargetError):  # an error may have undone it by itself, or the connection is lost
                self._connection.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
            raise

    def exclusive(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002, DDL locks what it creates or alters
        """Do nothing."""
        return nullcontext()

    def altering(self, table: Table, statements: Sequence[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing: views do not depend on what is altered, and the dialect drops indexes."""
        return nullcontext()

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Copy the rows into a staging table, outside any transaction."""
        if not self._looked_for_abandoned:
            drop_abandoned(self._connection, self.dialect)
            self._looked_for_abandoned = True
        existing = self.catalog.existing(load.table.namespace, load.table.name)
        with self._staging.staged(load, existing, repairs, action=action) as rows:
            yield rows

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """The driver cannot copy into a table that the transaction has just created: rows are always staged."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._connection.close()
