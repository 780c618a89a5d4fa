"""The official client and dapkit take turns on one database, and the result is the same as with either alone.

After each table, the rows equal what the official client loads into a new database, and what `dap reconcile` compares
with. No column has changed its type unless the service's schema has.

The official client cannot alter a column that a view depends on (it stops with exit code 5 and changes nothing), and
cannot continue with a table that has rows but no sync state. The tests leave these to dapkit.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.official_client import NEEDS_OFFICIAL, official, try_official
from tests.support.postgres_contents import layout, rows
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import SandboxProcess, sandbox_process

pytestmark = [pytest.mark.official, pytest.mark.server, pytest.mark.timeout(900), NEEDS_OFFICIAL]

CANVAS = "users,courses,enrollments,submissions,assignments,accounts,pseudonyms,accessibility_issues"
EDGE = "enumerations,nested,decimals,addresses,text_keys,many_parts"
MINE = (
    "CREATE SCHEMA mine",
    "CREATE VIEW mine.names AS SELECT id, name FROM canvas.users WHERE workflow_state <> 'deleted'",
    "CREATE INDEX users_by_name ON canvas.users (name)",
    "COMMENT ON VIEW mine.names IS 'all users'",
)
_MINE = """
SELECT pg_get_viewdef('mine.names'), obj_description('mine.names'::regclass), indexdef
FROM pg_indexes WHERE indexname = 'users_by_name'
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A database with the tables that both commands load in table."""

    sandbox: SandboxProcess
    server: PostgresServer
    url: str
    namespace: str
    tables: str
    folder: Path

    def theirs(self, verb: str, url: str | None = None) -> str:
        """Run the official command; it must succeed."""
        return official(self.sandbox, verb, self.namespace, self.tables, url or self.url, self.folder)

    def ours(self, verb: str, *flags: str) -> dict[str, Any]:
        """Run our command; it must succeed. Return its result."""
        where = "--to" if verb in ("sync", "reconcile") else "--connection-string"
        arguments = (verb, "--namespace", self.namespace, "--table", self.tables, where, self.url, "--json", *flags)
        done = self.sandbox.dap(*arguments, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def layout(self) -> set[tuple[Any, ...]]:
        """Return the layout of the tables and of the sync state."""
        return layout(self.url, self.namespace, "instructure_dap")

    def check(self, result: dict[str, Any] | None = None) -> None:
        """Compare the rows with a new load by the official client, and with `dap reconcile`. `result` is ours."""
        with self.server.database() as expected:
            self.theirs("initdb", expected)
            assert rows(self.url, self.namespace) == rows(expected, self.namespace)
        if result is not None:
            assert {each["action"] for each in result["tables"]} == {"incremental"}
        compared = self.ours("reconcile", "--no-sync")
        assert all(each["equal"] for each in compared["tables"])
        assert len(compared["tables"]) == len(self.tables.split(","))

    def listings(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what both `listdb` commands print, without `staleness`, which changes while they run."""
        theirs = official(self.sandbox, "listdb", self.namespace, "", self.url, self.folder)
        arguments = ("--non-interactive", "listdb", "--namespace", self.namespace, "--connection-string", self.url)
        ours = self.sandbox.dap(*arguments).stdout
        return _without_staleness(theirs), _without_staleness(ours)


def _without_staleness(text: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(text)
    assert text == json.dumps(listed, indent=2) + "\n"
    return [{name: value for name, value in each.items() if name != "staleness"} for each in listed]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with _sandbox_of(tmp_path_factory.mktemp("home"), "2023-09-20T00:00:00Z") as sandbox:
        yield sandbox


@contextmanager
def _sandbox_of(home: Path, data_time: str) -> Iterator[SandboxProcess]:
    with sandbox_process(home, scale=0.05, part_rows=20_000) as sandbox:
        sandbox.set_data_time(data_time)
        yield sandbox.with_environ(XDG_CACHE_HOME=str(home / "cache"))


def table_of(
    sandbox: SandboxProcess, server: PostgresServer, url: str, folder: Path, namespace: str, tables: str
) -> Table:
    return Table(sandbox=sandbox, server=server, url=url, namespace=namespace, tables=tables, folder=folder)


def _add_own_objects(url: str) -> list[tuple[Any, ...]]:
    """Add a user's own view and index; return their definitions."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in MINE:
            connection.execute(statement.encode())
    return _own_objects(url)


def _own_objects(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT count(*) FROM mine.names")
        return connection.execute(_MINE.encode()).fetchall()


@pytest.mark.parametrize(("namespace", "tables"), [("canvas", CANVAS), ("edge", EDGE)])
def test_official_then_dapkit_then_official_then_dapkit(
    sandbox: SandboxProcess, postgres_server: PostgresServer, tmp_path: Path, namespace: str, tables: str
) -> None:
    with postgres_server.database() as url:
        table = table_of(sandbox, postgres_server, url, tmp_path, namespace, tables)
        table.theirs("initdb")
        made = table.layout()
        own = _add_own_objects(url) if namespace == "canvas" else None
        sandbox.advance(24 * 7)
        table.check(table.ours("syncdb"))
        sandbox.advance(24)
        table.theirs("syncdb")
        table.check()
        sandbox.advance(48)
        table.check(table.ours("sync"))
        sandbox.advance(4)
        table.theirs("syncdb")
        table.check()
        assert table.layout() == made
        if own is not None:
            assert _own_objects(url) == own
            theirs, ours = table.listings()
            assert ours == theirs


def test_dapkit_then_official_then_dapkit(
    sandbox: SandboxProcess, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with postgres_server.database() as url:
        table = table_of(sandbox, postgres_server, url, tmp_path, "canvas", CANVAS)
        table.ours("sync")
        made = table.layout()
        own = _add_own_objects(url)
        table.check()
        sandbox.advance(24 * 3)
        table.theirs("syncdb")
        table.check()
        sandbox.advance(24)
        table.check(table.ours("sync"))
        sandbox.advance(8)
        table.theirs("syncdb")
        table.check()
        assert table.layout() == made
        assert _own_objects(url) == own
        theirs, ours = table.listings()
        assert ours == theirs


# The schema changes: see the module `dapkit.sandbox.data.schema_evolution`

EVE = "2024-01-31T12:00:00Z"
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, ARRAY(
    SELECT enumlabel FROM pg_enum WHERE enumtypid = atttypid ORDER BY enumlabel)
FROM pg_attribute WHERE attrelid = 'edge.evolving'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname
"""


def _columns(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(_COLUMNS.encode()).fetchall()


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_both_follow_a_schema_that_changes(postgres_server: PostgresServer, tmp_path: Path, first: str) -> None:
    with _sandbox_of(tmp_path, EVE) as sandbox, postgres_server.database() as url:
        table = table_of(sandbox, postgres_server, url, tmp_path, "edge", "evolving")
        table.theirs("initdb") if first == "theirs" else table.ours("sync")
        versions = [_columns(url)]
        for day in range(5):
            sandbox.advance(24)
            if (day % 2 == 0) == (first == "theirs"):
                table.ours("sync")
            else:
                table.theirs("syncdb")
            table.check()
            versions.append(_columns(url))
        assert all(one != other for one, other in pairwise(versions))
        with postgres_server.database() as expected:
            table.theirs("initdb", expected)
            assert versions[-1] == _columns(expected)


def test_dapkit_continues_where_the_official_client_stops(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with _sandbox_of(tmp_path, "2024-02-01T12:00:00Z") as sandbox, postgres_server.database() as url:
        table = table_of(sandbox, postgres_server, url, tmp_path, "edge", "evolving")
        table.theirs("initdb")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE VIEW public.titles AS SELECT id, title FROM edge.evolving")
        sandbox.advance(24)
        before = rows(url, "edge"), _columns(url)
        code, _, errors = try_official(sandbox, "syncdb", "edge", "evolving", url, tmp_path)
        assert code == 5
        assert "ALTER TABLE" in errors
        assert (rows(url, "edge"), _columns(url)) == before
        table.ours("syncdb")
        table.check()
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT max(length(title)) FROM public.titles").fetchone()
        assert found is not None
        assert found[0] > 10
        sandbox.advance(4)
        table.theirs("syncdb")
        table.check()
