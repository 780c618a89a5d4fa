"""The official client and ours make the same database, and each goes on with what the other made.

DAPKIT_OFFICIAL names its `dap` command, installed with what it needs for PostgreSQL.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.postgres_server import PostgresServer
from tests.support.sandbox_process import SandboxProcess, sandbox_process

from dapkit import Client, ClientOptions, Delivery
from dapkit.engine import manifest
from dapkit.schema import read_table
from dapkit.targets.base import Load, Parts, watermark_of, watermark_text
from dapkit.targets.postgres.target import PostgresTarget

OFFICIAL = os.environ.get("DAPKIT_OFFICIAL", "")

pytestmark = [
    pytest.mark.official,
    pytest.mark.server,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not OFFICIAL, reason="DAPKIT_OFFICIAL does not name the official client's dap command"),
]

# The official client knows four namespaces; this teaches it `edge`.
_WITH_EDGE = """
import sys, types
from dap.__main__ import console_entry
from dap.integration import database
from dap.replicator import sql_op
edge = types.ModuleType("edge")
sys.modules["edge"] = sql_op.str_to_namespace["edge"] = edge
options = database.GeneratorOptions
database.GeneratorOptions = lambda *, namespaces, **more: options(namespaces={**namespaces, edge: "edge"}, **more)
console_entry()
"""
# It cannot load the others: see the module `dapkit.sandbox.data.edge`; times must end in Z for it, and no year be far.
EDGE = (
    "integers,floats,float_specials,decimals,booleans,texts,enumerations,identifiers,addresses,json_texts,nested,"
    "nested_deep,text_keys,empty,single,long_rows,many_parts,sparse,reserved_names,wide"
)
_LAYOUT = """
SELECT space.nspname, one.relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    pg_get_expr(adbin, adrelid), col_description(one.oid, attnum), obj_description(one.oid, 'pg_class'),
    row_number() OVER (PARTITION BY one.oid ORDER BY attnum)
FROM pg_class AS one JOIN pg_namespace AS space ON space.oid = relnamespace
JOIN pg_attribute ON attrelid = one.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = one.oid AND adnum = attnum
WHERE relkind = 'r' AND nspname = ANY(%(places)s) AND NOT starts_with(relname, 'dapkit_')
UNION ALL
SELECT space.nspname, conrelid::regclass::text, conname, pg_get_constraintdef(one.oid), true, '', '', '', '', 0
FROM pg_constraint AS one JOIN pg_namespace AS space ON space.oid = connamespace
WHERE contype <> 'n' AND nspname = ANY(%(places)s)
UNION ALL
SELECT space.nspname, typname, enumlabel, '', true, '', '', '', '', enumsortorder
FROM pg_enum JOIN pg_type AS one ON one.oid = enumtypid JOIN pg_namespace AS space ON space.oid = typnamespace
WHERE nspname = ANY(%(places)s)
"""


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


def official(sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path) -> None:
    """Run the official command on a database; it must succeed."""
    command = [OFFICIAL] if namespace != "edge" else [str(Path(OFFICIAL).with_name("python")), "-c", _WITH_EDGE]
    words = ["--non-interactive", "--no-tracking", "--loglevel", "error", verb, "--namespace", namespace]
    process = subprocess.run(
        [*command, *words, "--table", tables, "--connection-string", url],
        env=sandbox.environ, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]


def ours(client: Client, verb: str, namespace: str, tables: str, url: str, folder: Path) -> None:
    """Do the same as ours does it."""
    session = PostgresTarget.of(url).open()
    session.prepare(namespace, sandbox=True)
    for name in client.tables(namespace) if tables == "all" else tables.split(","):
        _replicate(client, session, verb, namespace, name, folder)
    session.close()


def _replicate(client: Client, session: Any, verb: str, namespace: str, name: str, folder: Path) -> None:
    before = session.books(namespace).get(name)
    delivery = Delivery(format="tsv", mode="condensed", output=folder / verb)
    if verb == "initdb":
        result = client.snapshot(namespace, [name], delivery)
    else:
        result = client.incremental(namespace, [name], since=watermark_text(before.watermark), delivery=delivery)
    (done,) = result.done
    made, mark = manifest.read(done.folder), done.at or done.until
    assert made is not None
    assert mark is not None
    assert done.rows is not None
    files = tuple(done.folder / each.name for each in made.objects)
    load = Load(
        table=read_table(client.schema(namespace, name)),
        parts=Parts(paths=files, rows=done.rows),
        watermark=watermark_of(mark),
    )
    session.initialise(load) if verb == "initdb" else session.change(load, before)


def layout(url: str, *places: str) -> set[tuple[Any, ...]]:
    """Return everything that a dump of the schema would show."""
    with psycopg.connect(url) as connection:
        return set(connection.execute(_LAYOUT.encode(), {"places": list(places)}).fetchall())


def rows(url: str, namespace: str) -> Mapping[str, tuple[Any, ...]]:
    """Return by table the number of rows and a digest of them, the texts of lookup tables in place of their numbers."""
    with psycopg.connect(url) as connection:
        books = "SELECT source_table, timestamp, schema_version, target_schema, target_table, schema_description"
        lines = connection.execute(
            f"{books} FROM instructure_dap.table_sync WHERE source_namespace = %s".encode(), (namespace,)
        ).fetchall()
        return {line[0]: (*line[1:], *_digest(connection, namespace, line[0])) for line in lines}


def _digest(connection: "psycopg.Connection[Any]", namespace: str, table: str) -> tuple[Any, ...]:
    name = f'"{namespace}"."{table}"'
    columns = connection.execute(
        b"SELECT attname, (SELECT confrelid::regclass::text FROM pg_constraint"
        b" WHERE contype = 'f' AND conrelid = attrelid AND conkey = ARRAY[attnum])"
        b" FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (name,),
    ).fetchall()
    values = ", ".join(
        f'(SELECT value FROM {lookup} WHERE id = live."{column}")' if lookup else f'live."{column}"'
        for column, lookup in columns
    )
    texts = f"(SELECT ROW({values})::text FROM {name} AS live) AS texts(text)"
    digest = f"SELECT count(*), md5(string_agg(text, '' ORDER BY text)) FROM {texts}"
    found = connection.execute(digest.encode()).fetchone()
    assert found is not None
    return tuple(found)


@pytest.mark.parametrize(
    ("namespace", "tables"),
    [("canvas", "all"), ("canvas_logs", "all"), ("catalog", "all"), ("new_quizzes", "all"), ("edge", EDGE)],
)
def test_tables_rows_and_books_are_the_same(
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


def test_each_goes_on_with_what_the_other_made(
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
