"""A connection to a SQL Server database (experimental).

The driver's bulk copy uses a separate connection in autocommit mode: it sees neither temporary tables nor the
transaction of the connection on which it is called. Rows are therefore copied, before the transaction that changes the
table, into a staging table next to the state tables. A global temporary table would be dropped automatically, but every
user of the server could read it.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dapkit.decode.tsv import common_header, row_blocks
from dapkit.decode.tsv_cleaner import json_columns
from dapkit.errors import MissingDriverError, TargetError
from dapkit.targets.base import Capabilities, Load, Merge, Staging
from dapkit.targets.mssql.column_types import BINARY, BINARY_UTF8
from dapkit.targets.mssql.dialect import MsSqlDialect, create_staging
from dapkit.targets.mssql.errors import UNLOADABLE, translated, unconnected, words_of
from dapkit.targets.mssql.introspection import MsSqlCatalog
from dapkit.targets.mssql.row_conversion import RowConverter, text_codecs
from dapkit.targets.mssql.state_tables import STAGING_PREFIX
from dapkit.targets.mssql.url import MsSqlAddress
from dapkit.targets.sql import keepalive
from dapkit.targets.sql.dialect import STATE_SCHEMA
from dapkit.targets.sql.driver import StagedRows, nothing_around, nothing_to_check, nothing_to_lock
from dapkit.targets.sql.value_repairs import ValueRepairs

if TYPE_CHECKING:
    import mssql_python

CAPABILITIES = Capabilities(connections=4, staging=Staging.BEFORE, direct_load=False, merge=Merge.UPDATE_INSERT)

_BATCH = 50_000
_INSTALL = 'Install it with: pip install "dapkit[mssql]"'
_SYSTEM = (
    "Microsoft's driver needs some libraries of the system: on Debian and Ubuntu `apt-get install libltdl7"
    " libkrb5-3 libgssapi-krb5-2`, on Red Hat `dnf install libtool-ltdl krb5-libs`, on macOS `brew install openssl`."
)
# English, since errors are recognised by their words. With XACT_ABORT every error rolls the complete transaction back;
# without it, some errors would only end the statement.
_SETTINGS = (
    "SET LANGUAGE us_english; SET DATEFORMAT ymd; SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON;"
    " SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; SET QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF;"
    " SET ANSI_NULL_DFLT_ON ON; SET XACT_ABORT ON; SET IMPLICIT_TRANSACTIONS OFF; SET NOCOUNT OFF;"
    " SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCK_TIMEOUT 600000"
)
_SESSION = f"""
SELECT @@SPID, CAST(COLLATIONPROPERTY(usual, 'CodePage') AS integer),
    CAST(COLLATIONPROPERTY('{BINARY_UTF8}', 'CodePage') AS integer)
FROM (SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)) AS usual) AS collations
"""
_BINARY_PAGE = 1252
"""The code page of the binary collation that is not UTF-8."""

_LOCK = (
    "DECLARE @held integer; EXEC @held = sp_getapplock @Resource = N'{}', @LockMode = N'Exclusive',"
    " @LockOwner = N'Session', @LockTimeout = 0; SELECT @held"
)
_RELEASE = "EXEC sp_releaseapplock @Resource = N'{}', @LockOwner = N'Session'"


def connect(address: MsSqlAddress) -> "MsSqlDriver":
    """Open a connection in autocommit mode.

    Raises:
        MissingDriverError: the driver, or a library of the system that it needs, is not installed.
        TargetUnreachableError: there is no connection; TargetRejectedError if the server rejects it.
    """
    try:
        import mssql_python  # noqa: PLC0415, it takes long, and its errors deserve a hint
    except ModuleNotFoundError as error:
        raise MissingDriverError(f"The driver for mssql: is not installed ({error.name})", hint=_INSTALL) from error
    except (ImportError, OSError) as error:
        message = f"The driver for mssql: is installed, but cannot be loaded: {error}"
        raise MissingDriverError(message, hint=_SYSTEM) from error
    try:
        connection = mssql_python.connect(address.connection_string, autocommit=True, timeout=keepalive.CONNECTING)
    except Exception as error:  # noqa: BLE001, the driver's errors have no common class
        if UNLOADABLE in words_of(error):
            message = "The driver for mssql: is installed, but a library of the system that it needs is not"
            raise MissingDriverError(message, hint=_SYSTEM) from None
        raise unconnected(error, address.name, address.password) from None
    try:
        return MsSqlDriver(connection)
    except BaseException:
        connection.close()
        raise


class MsSqlDriver:
    """A connection to a SQL Server database; each statement is a separate batch."""

    capabilities = CAPABILITIES
    check_database, lock_table = nothing_to_check, nothing_to_lock
    exclusive = altering = nothing_around
    """DDL locks what it creates or alters, the dialect moves indexes out of the way, and views do not depend on it."""

    def __init__(self, connection: "mssql_python.Connection") -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._depth = 0
        self.execute(_SETTINGS)
        ((number, usual, utf8),) = self.query(_SESSION)
        # SQL Server 2017 has no UTF-8 collations.
        self.dialect = MsSqlDialect(BINARY if utf8 is None else BINARY_UTF8, f"dapkit_scratch_{number}")
        self._pages = usual, _BINARY_PAGE if utf8 is None else utf8
        self.catalog = MsSqlCatalog(self.query, self.dialect)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a batch and return the rows of its first result that has some."""
        with _translated():
            self._execute(sql, values)
            while self._cursor.description is None and self._cursor.nextset():
                pass
            rows = [tuple(row) for row in self._cursor.fetchall()] if self._cursor.description is not None else []
            self._drain()
            return rows

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a batch and return how many rows its first statement changed."""
        with _translated():
            self._execute(sql, values)
            count = self._cursor.rowcount
            self._drain()
            return max(0, count)

    def _execute(self, sql: str, values: Sequence[Any]) -> None:
        self._cursor.execute(sql, *([tuple(values)] if values else []))

    def _drain(self) -> None:
        """Fetch the remaining results: the errors of later statements of a batch come with them."""
        while self._cursor.nextset():
            pass

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        yield from self.query(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing; within another transaction, set a savepoint."""
        name, inner = f"dapkit_{self._depth}", self._depth > 0
        self.execute(f"SAVE TRANSACTION {name}" if inner else "BEGIN TRANSACTION")
        self._depth += 1
        try:
            yield
            if not inner:
                self.execute("COMMIT TRANSACTION")
        except BaseException:
            undo = f"IF XACT_STATE() = 1 ROLLBACK TRANSACTION {name}"
            # XACT_ABORT may have rolled everything back already, or the connection is lost, which does the same.
            with suppress(TargetError):
                self.execute(undo if inner else "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Copy the rows into a staging table; must be called outside a transaction."""
        bare = f"{STAGING_PREFIX}{uuid.uuid4().hex}"
        name = self.dialect.facts.state_table(bare)
        # The lock marks the table as in use. It ends with the connection, so the next `prepare` recognises and drops
        # the staging table of a killed process.
        self.query(_LOCK.format(bare))
        try:
            self.execute(create_staging(load.table, name))
            if load.files.paths:
                self._copy(load, f"{STATE_SCHEMA}.{bare}", repairs, action=action)
            ((rows,),) = self.query(f"SELECT {self.dialect.facts.count_all} FROM {name}")
            yield StagedRows(name, int(rows))
        finally:
            with suppress(TargetError):  # the next `prepare` drops what stays
                self.execute(f"DROP TABLE IF EXISTS {name}")
                self.execute(_RELEASE.format(bare))

    def _copy(self, load: Load, into: str, repairs: ValueRepairs, *, action: bool) -> None:
        table = load.table
        header = common_header(load.files.paths, table, action=action)
        # The existing table determines the code pages: a scratch table for a comparison does not exist yet.
        existing = self.catalog.existing(table.schema.namespace, table.name)
        codecs = text_codecs(table, existing, *self._pages)
        converter = RowConverter(table, header, codecs, repairs)
        json = json_columns(table, header)
        blocks = (block for path in load.files.paths for block in row_blocks(path, json, check_utf8=True))
        self.bulk_copy(into, converter.rows(blocks))

    def bulk_copy(self, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Copy rows into a table, column by column, and commit them.

        Raises:
            DapError: what the rows raise, as they raised it.
            TargetError: from the driver.
        """
        failures: list[Exception] = []

        def watched() -> Iterator[tuple[Any, ...]]:
            # The driver turns errors of the iterator into its own, so the original is kept.
            try:
                yield from rows
            except Exception as error:
                failures.append(error)
                raise

        try:
            # TABLOCK because no other session uses the table. Nulls stay null, and there is no timeout.
            self._cursor.bulkcopy(into, watched(), batch_size=_BATCH, timeout=0, table_lock=True, keep_nulls=True)
        except Exception as error:
            if failures:
                raise failures[0] from None
            raise translated(error) from error

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """Rows are always staged: the bulk copy would wait forever for a table that the transaction has created."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""
        with suppress(Exception):
            self._connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise translated(error) from error
