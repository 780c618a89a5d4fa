"""Random histories: whatever happens at the service and wherever a load stops, the table equals the service's."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.model import Follower, Service
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.postgres_fixture import PostgresFixture
from tests.contract.test_duckdb import SUPPORT as DUCKDB
from tests.contract.test_sqlite import SUPPORT as SQLITE
from tests.support.mysql_server import MYSQL_SERVERS, MySqlServer
from tests.support.postgres_server import empty
from tests.support.table_schemas import INT64, TEXT

from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.sqlite.target import sqlite_file

EXAMPLES = 500 if "DAPKIT_SOAK" in os.environ else 15
FEW_EXAMPLES = 2
DATABASES: dict[str, Callable[[Path], DatabaseFixture]] = {
    "duckdb": lambda folder: DatabaseFixture(duckdb_file(folder / "test.duckdb"), DUCKDB),
    "sqlite": lambda folder: DatabaseFixture(sqlite_file(folder / "test.sqlite"), SQLITE),
}
"""By name: how to create an empty database in a folder."""

Row = tuple[str | None, int | None]
Key = tuple[int, str]

KEYS = st.tuples(st.integers(1, 3), st.sampled_from(["a", "A"]))
TEXTS = st.sampled_from([None, "", "x", "\\N", "a\tb\\\n", "👩"])
ROWS = st.none() | st.tuples(TEXTS, st.none() | st.integers(-(2**31), 2**31 - 1))
WRITES = st.lists(st.dictionaries(KEYS, ROWS, min_size=1, max_size=4), min_size=1, max_size=3)


@dataclass(frozen=True)
class Round:
    """The changes at the service, the sync that follows, and another load after it."""

    writes: list[dict[Key, Row | None]]
    alteration: str | None
    action: str
    overlap: int
    repeated: bool
    interrupt_at: int | None
    after: str | None


ROUNDS = st.builds(
    Round,
    writes=WRITES,
    alteration=st.none() | st.sampled_from(["add", "widen", "drop"]),
    action=st.sampled_from(["apply_increment", "apply_increment", "apply_increment", "full_refresh"]),
    overlap=st.integers(0, 2),
    repeated=st.booleans(),
    interrupt_at=st.none() | st.integers(1, 25),
    after=st.sampled_from([None, "replay", "stale"]),
)


def write(service: Service, rows: dict[Key, Row | None]) -> None:
    texts = [name for name in service.columns if name != "n"]
    service.write(
        {key: None if row is None else dict.fromkeys(texts, row[0]) | {"n": row[1]} for key, row in rows.items()}
    )


def alter(service: Service, kind: str | None) -> None:
    columns = dict(service.columns)
    match kind:
        case "add":
            columns[f"c{service.version}"] = TEXT
        case "widen" if "n" in columns:
            columns["n"] = INT64
        case "drop" if len(columns) > 1:
            columns.pop(next(iter(columns)))
    if columns != service.columns:
        service.alter(columns)


HISTORIES = st.lists(ROUNDS, min_size=3, max_size=6)
SETTINGS = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("database", DATABASES)
@settings(SETTINGS, max_examples=FEW_EXAMPLES)
@given(rounds=HISTORIES)
def test_a_table_follows_the_service_in_a_few_histories(
    tmp_path_factory: pytest.TempPathFactory, database: str, rounds: list[Round]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    follow(DATABASES[database](folder), folder, rounds)


@pytest.mark.slow
@pytest.mark.timeout(60 * EXAMPLES)
@pytest.mark.parametrize("database", DATABASES)
@SETTINGS
@given(rounds=HISTORIES)
def test_the_table_follows_the_service(
    tmp_path_factory: pytest.TempPathFactory, database: str, rounds: list[Round]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    follow(DATABASES[database](folder), folder, rounds)


@pytest.mark.server
@pytest.mark.timeout(60 * EXAMPLES)
@SETTINGS
@given(rounds=HISTORIES)
def test_a_table_in_postgresql_follows_the_service(
    tmp_path_factory: pytest.TempPathFactory, postgres_database: str, rounds: list[Round]
) -> None:
    empty(postgres_database)
    follow(PostgresFixture(postgres_database), tmp_path_factory.mktemp("model"), rounds)


@pytest.mark.server
@pytest.mark.timeout(60 * EXAMPLES)
@pytest.mark.parametrize("server", MYSQL_SERVERS)
@SETTINGS
@given(rounds=HISTORIES)
def test_a_table_in_mysql_follows_the_service(
    tmp_path_factory: pytest.TempPathFactory,
    mysql_servers: Callable[[str], MySqlServer],
    server: str,
    rounds: list[Round],
) -> None:
    with mysql_servers(server).database() as url:
        follow(MySqlFixture(url), tmp_path_factory.mktemp("model"), rounds)


def follow(database: DatabaseFixture, folder: Path, rounds: list[Round]) -> None:
    service = Service()
    follower = Follower(database, folder)
    write(service, {(number, part): ("x", number) for number in (1, 2, 3) for part in "aA"})
    with closing(follower):
        for each in rounds:
            follower.sync(
                service,
                action=each.action,
                overlap=each.overlap,
                repeated=each.repeated,
                interrupt_at=each.interrupt_at,
            )
            if each.after == "replay":
                follower.replay()
            elif each.after == "stale":
                follower.apply_stale()
            for rows in each.writes:
                write(service, rows)
            alter(service, each.alteration)
        follower.sync(service, action="apply_increment", overlap=0, repeated=False, interrupt_at=None)
