"""The official client and dapkit create the same database, and each can continue the other's."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.official_client import EDGE, NEEDS_OFFICIAL, official
from tests.support.postgres_contents import layout, rows
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import SandboxProcess, sandbox_process

from dapkit import Client, ClientOptions, ExportOptions
from dapkit.model import format_utc
from dapkit.schema import read_table
from dapkit.storage.local import LocalFolder
from dapkit.targets.base import DataFiles, Load
from dapkit.targets.postgres.target import target_of
from dapkit.transfer import manifest

pytestmark = [
    pytest.mark.official,
    pytest.mark.server,
    pytest.mark.timeout(600),
    NEEDS_OFFICIAL,
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("home"), scale=0.05, part_rows=50_000) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(sandbox: SandboxProcess) -> Iterator[Client]:
    name, secret = (sandbox.environ[f"DAP_CLIENT_{word}"] for word in ("ID", "SECRET"))
    options = ClientOptions(base_url=sandbox.base_url, client_id=name, client_secret=secret, pace="none")
    with Client(options) as client:
        yield client


def ours(client: Client, verb: str, namespace: str, tables: str, url: str, folder: Path) -> None:
    """Do the same with dapkit's library."""
    session = target_of(url).open()
    session.prepare(namespace, sandbox=True)
    for name in client.tables(namespace) if tables == "all" else tables.split(","):
        _replicate(client, session, verb, namespace, name, folder)
    session.close()


def _replicate(client: Client, session: Any, verb: str, namespace: str, name: str, folder: Path) -> None:
    before = session.sync_states(namespace).get(name)
    options = ExportOptions(format="tsv", mode="condensed", output=folder / verb)
    if verb == "initdb":
        result = client.snapshot(namespace, [name], options)
    else:
        result = client.incremental(namespace, [name], since=format_utc(before.watermark), options=options)
    (done,) = result.done
    made, mark = manifest.read(LocalFolder(done.folder)), done.at or done.until
    assert made is not None
    assert mark is not None
    assert done.rows is not None
    files = tuple(done.folder / each.name for each in made.objects)
    load = Load(
        table=read_table(client.schema(namespace, name)),
        files=DataFiles(paths=files, rows=done.rows),
        watermark=mark,
    )
    session.initial_load(load) if verb == "initdb" else session.apply_increment(load, before)


@pytest.mark.parametrize(
    ("namespace", "tables"),
    [("canvas", "all"), ("canvas_logs", "all"), ("catalog", "all"), ("new_quizzes", "all"), ("edge", EDGE)],
)
def test_tables_rows_and_sync_state_are_the_same(
    sandbox: SandboxProcess,
    client: Client,
    postgres_server: PostgresServer,
    tmp_path: Path,
    namespace: str,
    tables: str,
) -> None:
    with postgres_server.database() as theirs, postgres_server.database() as mine:
        official(sandbox, "initdb", namespace, tables, theirs, tmp_path)
        ours(client, "initdb", namespace, tables, mine, tmp_path)
        assert layout(mine, namespace, "instructure_dap") == layout(theirs, namespace, "instructure_dap")
        assert rows(mine, namespace) == rows(theirs, namespace)
        wanted = client.tables(namespace) if tables == "all" else tables.split(",")
        assert sorted(rows(mine, namespace)) == sorted(wanted)


def test_each_client_continues_the_others_database(
    sandbox: SandboxProcess, client: Client, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    tables = "users,courses,enrollments,submissions,assignments"
    with postgres_server.database() as theirs, postgres_server.database() as mine:
        official(sandbox, "initdb", "canvas", tables, theirs, tmp_path)
        ours(client, "initdb", "canvas", tables, mine, tmp_path)
        with psycopg.connect(theirs, autocommit=True) as connection:
            connection.execute("CREATE TABLE instructure_dap.dapkit_origin (origin text NOT NULL)")
            connection.execute("INSERT INTO instructure_dap.dapkit_origin VALUES ('sandbox')")
        before = layout(mine, "canvas", "instructure_dap")
        for number in range(2):
            _advance(sandbox)
            if number == 0:
                ours(client, "syncdb", "canvas", tables, theirs, tmp_path / "a")
                official(sandbox, "syncdb", "canvas", tables, mine, tmp_path)
            else:
                official(sandbox, "syncdb", "canvas", tables, theirs, tmp_path)
                ours(client, "syncdb", "canvas", tables, mine, tmp_path / "b")
            assert rows(mine, "canvas") == rows(theirs, "canvas")
        assert layout(mine, "canvas", "instructure_dap") == before
        assert layout(theirs, "canvas", "instructure_dap") == before


def _advance(sandbox: SandboxProcess) -> None:
    body = json.dumps({"advance_hours": 24}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{sandbox.base_url}/_sandbox/clock", data=body, method="POST"))
