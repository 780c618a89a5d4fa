"""One interface to the PostgreSQL, MySQL and MariaDB servers whose crashes and limits the end-to-end tests cause."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.support import postgres_contents
from tests.support.mysql_server import MySqlServer
from tests.support.postgres_server import PostgresServer

from dapkit.targets.registry import target_of
from dapkit.targets.sql.session import SqlTargetSession

__all__ = ["DatabaseServer", "mysql", "postgresql"]

_TABLES_OF_POSTGRES = """
SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE relkind = 'r' AND nspname !~ '^(pg_(catalog|toast)|information_schema|instructure_dap)$'
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'dapkit_scratch'
"""
_ACTIVITY_IN_POSTGRES = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
_CREATE_LIMITED_IN_POSTGRES = (
    "CREATE ROLE {user} LOGIN PASSWORD 'secret' CONNECTION LIMIT {limit}",
    "GRANT ALL ON DATABASE {database} TO {user}",
)
_DROP_LIMITED_IN_POSTGRES = ("DROP OWNED BY {user}", "DROP ROLE {user}")
_CREATE_LIMITED_IN_MYSQL = (
    "CREATE USER {user} IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS {limit}",
    "GRANT ALL ON {database}.* TO {user}",
)
_DROP_LIMITED_IN_MYSQL = ("DROP USER {user}",)
_TABLES_OF_MYSQL = """
SELECT substring(table_name, locate('__', table_name) + 2) FROM information_schema.tables
WHERE table_schema = database() AND (table_name NOT LIKE 'instructure\\_dap\\_\\_%' OR table_name LIKE '%\\_new\\_%')
UNION ALL SELECT source_table FROM instructure_dap__dapkit_begun
"""
_ACTIVITY_IN_MYSQL = """
SELECT 1 FROM information_schema.processlist WHERE db = database() AND command = 'Query' AND id <> connection_id()
"""


@dataclass(frozen=True, kw_only=True)
class DatabaseServer:
    """A running server.

    Attributes:
        database: creates an empty database and yields its connection string.
        port: the port of the server.
        crash: kills the server and starts it again; None if the tests did not start it.
        contents: returns the sync state and the rows of a database in a form that can be compared.
        tables: SQL for the names of all tables except those of the sync state.
        activity: SQL that returns rows while another connection is working in the database.
        create_limited, drop_limited: SQL that creates and drops a user with few connections.
    """

    database: Callable[[], AbstractContextManager[str]]
    port: int
    crash: Callable[[], None] | None
    contents: Callable[[str], Mapping[str, Any]]
    tables: str
    activity: str
    create_limited: Sequence[str]
    drop_limited: Sequence[str]

    @contextmanager
    def limited(self, url: str, limit: int) -> Iterator[str]:
        """Yield the connection string of a user whose number of connections to a database is limited."""
        scheme, _, rest = url.partition("://")
        arguments = {"user": "dapkit_limited", "limit": limit, "database": url.rpartition("/")[2]}
        with _session(url) as session:
            for statement in self.create_limited:
                session.driver.execute(statement.format(**arguments))
            try:
                yield f"{scheme}://dapkit_limited:secret@{rest.rpartition('@')[2]}"
            finally:
                for statement in self.drop_limited:
                    session.driver.execute(statement.format(**arguments))

    def tables_in(self, url: str) -> list[str]:
        """Return the names of the tables, staging tables and other leftovers of a load included."""
        return sorted(str(row[0]) for row in query(url, self.tables))

    def wait_for_activity(self, url: str) -> None:
        """Return as soon as another connection is working in a database."""
        with _session(url) as session:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if session.driver.query(self.activity):
                    return
                time.sleep(0.005)
        pytest.fail("no connection started to work within a minute")


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with _session(url) as session:
        return session.driver.query(sql)


def _session(url: str) -> AbstractContextManager[SqlTargetSession]:
    return closing(cast(SqlTargetSession, target_of(url).open()))


def postgresql(server: PostgresServer) -> DatabaseServer:
    """Wrap a PostgreSQL server."""
    return DatabaseServer(
        database=server.database,
        port=int(server.url.rpartition(":")[2]),
        crash=server.crash,
        contents=lambda url: postgres_contents.rows(url, "canvas"),
        tables=_TABLES_OF_POSTGRES,
        activity=_ACTIVITY_IN_POSTGRES,
        create_limited=_CREATE_LIMITED_IN_POSTGRES,
        drop_limited=_DROP_LIMITED_IN_POSTGRES,
    )


def mysql(server: MySqlServer) -> DatabaseServer:
    """Wrap a server of MySQL or MariaDB."""
    return DatabaseServer(
        database=server.database,
        port=server.port,
        crash=server.crash,
        contents=_rows_of_mysql,
        tables=_TABLES_OF_MYSQL,
        activity=_ACTIVITY_IN_MYSQL,
        create_limited=_CREATE_LIMITED_IN_MYSQL,
        drop_limited=_DROP_LIMITED_IN_MYSQL,
    )


def _rows_of_mysql(url: str) -> Mapping[str, Any]:
    sync_states = "SELECT source_table, timestamp, schema_version, schema_description FROM instructure_dap__table_sync"
    return {
        line[0]: (line[1:], sorted(map(repr, query(url, f"SELECT * FROM canvas__{line[0]}"))))
        for line in query(url, sync_states)
    }
