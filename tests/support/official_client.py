"""The official client 2.3.1 beside ours: its command, and what it and ours leave in a PostgreSQL database, as values.

DAPKIT_OFFICIAL names its `dap` command, installed with what it needs for PostgreSQL.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.sandbox_process import SandboxProcess

__all__ = ["EDGE", "NEEDS_OFFICIAL", "layout", "official", "rows", "start_official", "try_official"]

OFFICIAL = os.environ.get("DAPKIT_OFFICIAL", "")
NEEDS_OFFICIAL = pytest.mark.skipif(
    not OFFICIAL, reason="DAPKIT_OFFICIAL does not name the official client's dap command"
)

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


def official(sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path) -> str:
    """Run the official command on a database; it must succeed. Return what it printed."""
    code, told, complaints = try_official(sandbox, verb, namespace, tables, url, folder)
    assert code == 0, told[-2000:] + complaints[-4000:]
    return told


def try_official(
    sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path
) -> tuple[int, str, str]:
    """Run the official command on a database; return its exit code, what it printed, and its complaints."""
    with start_official(sandbox, verb, namespace, tables, url, folder) as process:
        told, complaints = process.communicate(timeout=300)
    return process.returncode, told, complaints


def start_official(
    sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path
) -> "subprocess.Popen[str]":
    """Start the official command on a database; `listdb` takes no tables."""
    command = [OFFICIAL] if namespace != "edge" else [str(Path(OFFICIAL).with_name("python")), "-c", _WITH_EDGE]
    words = ["--non-interactive", "--no-tracking", "--loglevel", "error", verb, "--namespace", namespace]
    words += ["--table", tables] if tables else []
    return subprocess.Popen(
        [*command, *words, "--connection-string", url],
        env=sandbox.environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


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
