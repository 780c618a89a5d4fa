"""The official client and dapkit create the same database on MariaDB, and each can continue the other's."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tests.support.mysql_server import MySqlServer
from tests.support.official_client import EDGE, NEEDS_OFFICIAL, official
from tests.support.sandbox_process import SandboxProcess, sandbox_process

pytestmark = [
    pytest.mark.official,
    pytest.mark.server,
    pytest.mark.timeout(600),
    NEEDS_OFFICIAL,
]

# Infinity makes its load fail.
TABLES = ",".join(table for table in EDGE.split(",") if table != "float_specials")
LAYOUT = """
SELECT table_name, ordinal_position, column_name, column_type, is_nullable, column_default, extra, column_comment,
    CASE WHEN column_key = 'PRI' OR column_name = 'value' THEN NULL ELSE collation_name END
FROM information_schema.columns WHERE table_schema = database()
UNION ALL
SELECT table_name, ordinal_position, constraint_name, column_name, referenced_table_name, referenced_column_name,
    NULL, NULL, NULL
FROM information_schema.key_column_usage WHERE table_schema = database()
"""
STATE_SCHEMA = (
    "source_namespace, source_table, timestamp, schema_version, target_schema, target_table, schema_description"
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("home"), scale=0.05, part_rows=50_000) as sandbox:
        yield sandbox


class Database:
    """A database of the server, queried without dapkit."""

    def __init__(self, server: MySqlServer, url: str) -> None:
        self.url = url
        self._server = server

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        server, name = self._server, self.url.rpartition("/")[2]
        address = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        with pymysql.connect(**address, database=name) as connection, connection.cursor() as cursor:  # type: ignore[call-overload]
            cursor.execute(sql)
            return list(cursor.fetchall())

    def layout(self) -> list[tuple[Any, ...]]:
        """Return columns, keys and references. Collations of keys differ on purpose and are left out."""
        return sorted((row for row in self.query(LAYOUT) if "__dapkit_" not in row[0]), key=repr)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of every table, with the texts of open enums."""
        names = [name for (name,) in self.query("SHOW TABLES") if not name.startswith("instructure_dap__")]
        lookups = {lookup for lookup in names if lookup.count("__") > 1}
        return {name: sorted(self._rows(name), key=repr) for name in names if name not in lookups}

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        bound = dict(
            self.query(
                "SELECT column_name, referenced_table_name FROM information_schema.key_column_usage"
                f" WHERE table_schema = database() AND table_name = '{name}' AND referenced_table_name IS NOT NULL"
            )
        )
        columns = self.query(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = database() AND table_name = '{name}' ORDER BY ordinal_position"
        )
        values = (
            f"(SELECT value FROM `{bound[column]}` AS l WHERE l.id = t.`{column}`)"
            if column in bound
            else f"t.`{column}`"
            for column, _ in columns
        )
        json_ = [
            data_type in ("longtext", "json") for _, data_type in columns
        ]  # the two clients format JSON differently
        return [
            tuple(json.loads(value) if meant and value else value for value, meant in zip(row, json_, strict=True))
            for row in self.query(f"SELECT {', '.join(values)} FROM `{name}` AS t")
        ]

    def sync_states(self) -> list[tuple[Any, ...]]:
        """Return the sync state and its version."""
        lines = self.query(f"SELECT {STATE_SCHEMA} FROM instructure_dap__table_sync ORDER BY 1, 2")
        return lines + self.query("SELECT version FROM instructure_dap__database_version")


@pytest.fixture
def databases(mysql_server: MySqlServer) -> Iterator[tuple[Database, Database]]:
    """Theirs and ours."""
    with mysql_server.database() as theirs, mysql_server.database() as ours:
        yield Database(mysql_server, theirs), Database(mysql_server, ours)


def run(sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str) -> None:
    """Run our command; it must succeed."""
    arguments = [verb, "--namespace", namespace, "--table", tables, "--connection-string", url]
    done = sandbox.dap("--non-interactive", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("namespace", "tables"),
    [("canvas", "all"), ("canvas_logs", "all"), ("catalog", "all"), ("new_quizzes", "all"), ("edge", TABLES)],
)
def test_tables_rows_and_sync_state_are_the_same(
    sandbox: SandboxProcess, databases: tuple[Database, Database], tmp_path: Path, namespace: str, tables: str
) -> None:
    theirs, ours = databases
    official(sandbox, "initdb", namespace, tables, theirs.url, tmp_path)
    run(sandbox, "initdb", namespace, tables, ours.url)
    assert ours.layout() == theirs.layout()
    assert ours.rows() == theirs.rows()
    assert ours.sync_states() == theirs.sync_states()
    assert all(ours.rows().values()) or namespace == "edge"


def test_each_client_continues_the_others_database(
    sandbox: SandboxProcess, databases: tuple[Database, Database], tmp_path: Path
) -> None:
    theirs, ours = databases
    tables = "users,courses,enrollments,submissions,assignments"
    for namespace, names in (("canvas", tables), ("canvas_logs", "web_logs")):
        official(sandbox, "initdb", namespace, names, theirs.url, tmp_path)
        run(sandbox, "initdb", namespace, names, ours.url)
        before = ours.layout()
        for turn in range(2):
            sandbox.advance(24)
            first, second = (theirs, ours) if turn == 0 else (ours, theirs)
            run(sandbox, "syncdb", namespace, names, first.url)
            official(sandbox, "syncdb", namespace, names, second.url, tmp_path)
            assert ours.rows() == theirs.rows()
        assert ours.layout() == theirs.layout() == before
        assert ours.sync_states() == theirs.sync_states()


# The schema changes: see the module `dapkit.sandbox.data.schema_evolution`

EVE = "2024-01-31T12:00:00Z"
DAYS = 6
VIEW = "titles"
MINE = (
    f"CREATE VIEW {VIEW} AS SELECT id, title FROM edge__evolving",
    "CREATE INDEX evolving_by_title ON edge__evolving (title)",
)


def without_view(database: Database) -> tuple[list[tuple[Any, ...]], dict[str, list[tuple[Any, ...]]]]:
    """Return the layout and rows of everything except the view."""
    rows = database.rows()
    rows.pop(VIEW, None)
    return [each for each in database.layout() if each[0] != VIEW], rows


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_both_follow_a_schema_that_changes(
    mysql_server: MySqlServer, databases: tuple[Database, Database], tmp_path: Path, first: str
) -> None:
    shared, _ = databases
    with sandbox_process(tmp_path / "home", scale=0.05, part_rows=20_000) as sandbox:
        sandbox.set_data_time(EVE)
        layouts = []
        for day in range(DAYS):
            verb = "syncdb" if day else "initdb"
            if (day % 2 == 0) == (first == "theirs"):
                official(sandbox, verb, "edge", "evolving", shared.url, tmp_path)
            else:
                run(sandbox, verb, "edge", "evolving", shared.url)
            if not day:
                for statement in MINE:
                    shared.query(statement)
            with mysql_server.database() as fresh:
                official(sandbox, "initdb", "edge", "evolving", fresh, tmp_path)
                assert without_view(shared) == without_view(Database(mysql_server, fresh))
            shared.query(f"SELECT count(*) FROM {VIEW}")
            layouts.append(shared.layout())
            sandbox.advance(24)
        assert all(one != other for one, other in pairwise(layouts))
        assert shared.query("SHOW INDEX FROM edge__evolving WHERE Key_name = 'evolving_by_title'")


def test_listdb_prints_the_same(sandbox: SandboxProcess, databases: tuple[Database, Database], tmp_path: Path) -> None:
    theirs, _ = databases
    official(sandbox, "initdb", "canvas", "users,courses", theirs.url, tmp_path)
    listed = json.loads(official(sandbox, "listdb", "canvas", "", theirs.url, tmp_path))
    arguments = ("--non-interactive", "listdb", "--namespace", "canvas", "--connection-string", theirs.url)
    for said, ours in zip(listed, json.loads(sandbox.dap(*arguments).stdout), strict=True):
        assert said | {"staleness": None} == ours | {"staleness": None}
