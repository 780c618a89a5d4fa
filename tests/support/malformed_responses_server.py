"""A database server that is ill-treated by tests, of whatever kind, and how they look into it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.support import postgres_contents
from tests.support.mariadb_server import MySqlServer
from tests.support.postgres_server import PostgresServer

from dapkit.targets.registry import target_of
from dapkit.targets.sql.session import SqlSession

__all__ = ["BatteredServer", "mariadb", "postgresql"]

_TABLES_OF_POSTGRES = """
SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE relkind = 'r' AND nspname !~ '^(pg_(catalog|toast)|information_schema|instructure_dap)$'
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'dapkit_scratch'
"""
_WORK_IN_POSTGRES = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
_FEW_IN_POSTGRES = (
    "CREATE ROLE {few} LOGIN PASSWORD 'secret' CONNECTION LIMIT {limit}",
    "GRANT ALL ON DATABASE {database} TO {few}",
)
_NO_FEW_IN_POSTGRES = ("DROP OWNED BY {few}", "DROP ROLE {few}")
_FEW_IN_MYSQL = (
    "CREATE USER {few} IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS {limit}",
    "GRANT ALL ON {database}.* TO {few}",
)
_NO_FEW_IN_MYSQL = ("DROP USER {few}",)
_TABLES_OF_MYSQL = """
SELECT substring(table_name, locate('__', table_name) + 2) FROM information_schema.tables
WHERE table_schema = database() AND (table_name NOT LIKE 'instructure\\_dap\\_\\_%' OR table_name LIKE '%\\_fresh\\_%')
UNION ALL SELECT source_table FROM instructure_dap__dapkit_begun
"""
_WORK_IN_MYSQL = """
SELECT 1 FROM information_schema.processlist WHERE db = database() AND command = 'Query' AND id <> connection_id()
"""


@dataclass(frozen=True, kw_only=True)
class BatteredServer:
    """A running server.

    Attributes:
        database: makes an empty database, and yields its connection string.
        port: where it listens.
        crash: has it end at once and start again; None if it is not ours.
        contents: returns the books and rows of a database, as something that can be compared.
        few, no_few: SQL that makes a user who may have few connections, and removes it.
        tables, work: SQL for the tables that there are beside the books, and for the work that is under way.
    """

    database: Callable[[], AbstractContextManager[str]]
    port: int
    crash: Callable[[], None] | None
    contents: Callable[[str], Mapping[str, Any]]
    tables: str
    work: str
    few: Sequence[str]
    no_few: Sequence[str]

    @contextmanager
    def limited(self, url: str, limit: int) -> Iterator[str]:
        """Yield the connection string of a user who may have so many connections to a database."""
        scheme, _, place = url.partition("://")
        words = {"few": "dapkit_few", "limit": limit, "database": url.rpartition("/")[2]}
        with _session(url) as session:
            for statement in self.few:
                session.modify(statement.format(**words))
            try:
                yield f"{scheme}://dapkit_few:secret@{place.rpartition('@')[2]}"
            finally:
                for statement in self.no_few:
                    session.modify(statement.format(**words))

    def left(self, url: str) -> list[str]:
        """Return the names of tables, and whatever else a load could leave behind."""
        return sorted(str(row[0]) for row in ask(url, self.tables))

    def wait_for_work(self, url: str) -> None:
        """Return when somebody is at work in a database."""
        with _session(url) as session:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if session.query(self.work):
                    return
                time.sleep(0.005)
        pytest.fail("nobody is at work")


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a question."""
    with _session(url) as session:
        return session.query(sql)


def _session(url: str) -> AbstractContextManager[SqlSession]:
    return closing(cast(SqlSession, target_of(url).open()))


def postgresql(server: PostgresServer) -> BatteredServer:
    """Return a server of PostgreSQL as one that is ill-treated."""
    return BatteredServer(
        database=server.database,
        port=int(server.url.rpartition(":")[2]),
        crash=server.crash,
        contents=lambda url: postgres_contents.rows(url, "canvas"),
        tables=_TABLES_OF_POSTGRES,
        work=_WORK_IN_POSTGRES,
        few=_FEW_IN_POSTGRES,
        no_few=_NO_FEW_IN_POSTGRES,
    )


def mariadb(server: MySqlServer) -> BatteredServer:
    """Return a server of MariaDB as one that is ill-treated."""
    return BatteredServer(
        database=server.database,
        port=server.port,
        crash=server.crash,
        contents=_rows_of_mysql,
        tables=_TABLES_OF_MYSQL,
        work=_WORK_IN_MYSQL,
        few=_FEW_IN_MYSQL,
        no_few=_NO_FEW_IN_MYSQL,
    )


def _rows_of_mysql(url: str) -> Mapping[str, Any]:
    sync_states = "SELECT source_table, timestamp, schema_version, schema_description FROM instructure_dap__table_sync"
    return {
        line[0]: (line[1:], sorted(map(repr, ask(url, f"SELECT * FROM canvas__{line[0]}"))))
        for line in ask(url, sync_states)
    }
