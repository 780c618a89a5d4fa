"""A connection to a database of MySQL or MariaDB."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from pymysql.cursors import SSCursor

from dapkit.decode.tsv import common_header
from dapkit.errors import TargetBusyError, TargetError, TargetPermissionError
from dapkit.targets.base import Capabilities, Load, Merge, Staging
from dapkit.targets.mysql.connection import LocalInfileConnection
from dapkit.targets.mysql.dialect import STAGING, MySqlDialect
from dapkit.targets.mysql.errors import translated
from dapkit.targets.mysql.introspection import MySqlCatalog
from dapkit.targets.mysql.local_loader import LocalLoader
from dapkit.targets.sql.driver import StagedRows, nothing_around, nothing_to_check, nothing_to_lock
from dapkit.targets.sql.value_repairs import ValueRepairs

CAPABILITIES = Capabilities(
    connections=8,
    transactional_ddl=False,
    staging=Staging.BEFORE,
    merge=Merge.ON_DUPLICATE_KEY,
    watermark_precision=timedelta(seconds=1),
)

_LOCK_TIMEOUT = 600
_SETTINGS = (
    "sql_mode = 'ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'", "time_zone = '+00:00'", "sql_notes = 0",
    "default_storage_engine = InnoDB", "default_tmp_storage_engine = InnoDB", "foreign_key_checks = 1",
    "unique_checks = 1", "sql_safe_updates = 0", "sql_big_selects = 1", "sql_select_limit = 18446744073709551615",
    "sql_auto_is_null = 0", "sql_quote_show_create = 1", "completion_type = 0", "net_read_timeout = 600",
    "net_write_timeout = 600", "wait_timeout = 86400", f"lock_wait_timeout = {_LOCK_TIMEOUT}",
    f"innodb_lock_wait_timeout = {_LOCK_TIMEOUT}",
)  # fmt: skip
"""What a session depends on, whatever the server's defaults are; any user may set it."""

_NO_LIMITS = {
    "MySQL": ("max_execution_time = 0",),
    "MariaDB": (
        "max_statement_time = 0", "idle_transaction_timeout = 0", "idle_readonly_transaction_timeout = 0",
        "idle_write_transaction_timeout = 0",
    ),
}  # fmt: skip
"""Limits that would end a long load, by product."""

_WARNINGS = 1024
"""How many warnings of a statement the server should keep: each kind of error has to be among them."""

_VARIABLES = """
SHOW VARIABLES WHERE variable_name IN
('version', 'character_set_database', 'log_bin', 'binlog_format', 'max_error_count')
"""


class MySqlDriver:
    """A connection to a database of MySQL or MariaDB."""

    capabilities = CAPABILITIES
    check_database, lock_table = nothing_to_check, nothing_to_lock
    altering = nothing_around
    """Views do not depend on what is altered."""

    def __init__(self, connection: LocalInfileConnection) -> None:
        self._connection = connection
        self.dialect = MySqlDialect()
        variables = {str(name).lower(): str(value) for name, value in self.query(_VARIABLES)}
        self.dialect = dialect_of(variables["version"], variables["character_set_database"])
        self.catalog = MySqlCatalog(self.query, self.dialect)
        self._prepare(variables)

    def _prepare(self, variables: Mapping[str, str]) -> None:
        """Set what the session depends on."""
        self.query(f"SET SESSION {', '.join([*_SETTINGS, *_NO_LIMITS[self.dialect.facts.product]])}")
        self.query(f"SET NAMES utf8mb4 COLLATE {self.dialect.exact}")
        if int(variables["max_error_count"]) < _WARNINGS:
            with suppress(TargetPermissionError):  # MySQL reserves this for administrators; its default is enough
                self.query(f"SET SESSION max_error_count = {_WARNINGS}")
        # Read committed locks single rows of the sync state, not the gaps between them: tables that load at the same
        # time would wait for each other's rows. A log of statements does not allow it.
        statements = variables.get("log_bin") == "ON" and variables.get("binlog_format") == "STATEMENT"
        level = "REPEATABLE READ" if statements else "READ COMMITTED"
        self.query(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}, READ WRITE")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""
        with translated(self.dialect.facts.product), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            return list(cursor.fetchall())

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with translated(self.dialect.facts.product), self._connection.cursor() as cursor:
            return int(cursor.execute(sql, tuple(values) or None))

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows."""
        with translated(self.dialect.facts.product), self._connection.cursor(SSCursor) as cursor:
            cursor.execute(sql)
            yield from cursor.fetchall_unbuffered()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing, except DDL, which commits implicitly."""
        self.query("BEGIN")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            with suppress(TargetError):
                self.query("ROLLBACK")
            raise

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold a lock of the server by name: no transaction spans the DDL and the rows of a load."""
        ((database,),) = self.query("SELECT database()")
        lock = "dapkit_" + hashlib.sha256(f"{database}\n{name}".encode()).hexdigest()[:32]
        if self.query("SELECT get_lock(%s, %s)", (lock, _LOCK_TIMEOUT)) != [(1,)]:
            raise TargetBusyError("Another process has been working on the same table for too long")
        try:
            yield
        finally:
            with suppress(Exception), self._connection.cursor() as cursor:  # a lost connection has released its locks
                cursor.execute("SELECT release_lock(%s)", (lock,))

    @contextmanager
    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> Iterator[StagedRows]:
        """Load the rows into a temporary table."""
        for statement in self.dialect.create_staging(load.table):
            self.execute(statement)
        with self.transaction():
            rows = self._load(load, STAGING, repairs, action=action, meta=True)
        yield StagedRows(STAGING, rows)

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """Load the rows straight into a new table."""
        return self._load(load, into, repairs, action=False, meta=False)

    def _load(self, load: Load, into: str, repairs: ValueRepairs, *, action: bool, meta: bool) -> int:
        if not load.files.paths:
            return 0
        header = common_header(load.files.paths, load.table, action=action)
        loader = LocalLoader(
            connection=self._connection,
            dialect=self.dialect,
            load=load,
            header=header,
            repairs=repairs,
            into=into,
            meta=meta,
        )
        return loader.run()

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._connection.close()


def dialect_of(version: str, charset: str) -> MySqlDialect:
    """Return the SQL of a server of a version, for a database of a character set."""
    utf8 = charset == "utf8mb4"
    if "mariadb" not in version.lower():
        return MySqlDialect(exact="utf8mb4_0900_bin", utf8=utf8)
    # Some report 5.5.5-10.11.2-MariaDB, for compatibility with old clients.
    numbers = version.removeprefix("5.5.5-").split(".")
    normal = "JSON_NORMALIZE({})" if tuple(map(int, numbers[:2])) >= (10, 7) else "JSON_COMPACT({})"
    return MySqlDialect(product="MariaDB", exact="utf8mb4_nopad_bin", utf8=utf8, normal_json=normal)
