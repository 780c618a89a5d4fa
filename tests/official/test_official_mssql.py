"""The official client's own generator and ours create tables of SQL Server alike; that takes no server.

Only a server could show the values that the official client writes, and how it alters existing tables.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.official_client import NEEDS_OFFICIAL, OFFICIAL
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.model import Table, VersionedSchema
from dapkit.sandbox.data.catalogue import spec_tables
from dapkit.sandbox.data.json_schema import json_schema
from dapkit.schema import read_table
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.sql.dialect import STATE_SCHEMA

pytestmark = [pytest.mark.official, pytest.mark.timeout(120), NEEDS_OFFICIAL]

DIALECT = MsSqlDialect()
# Its driver is needed for nothing but to be imported. A module holds one table at a time.
_GENERATE = """
import json, sys, types
pyodbc = types.ModuleType("pyodbc")
pyodbc.Connection = object
sys.modules["pyodbc"] = pyodbc
from pysqlsync.base import GeneratorOptions
from pysqlsync.dialect.mssql.generator import MSSQLGenerator
from pysqlsync.formation.py_to_sql import StructMode
from dap.replicator import canvas, canvas_logs, catalog, meta_schema, new_quizzes
from dap.replicator.sql_op import create_table_dataclass
modules = {"canvas": canvas, "canvas_logs": canvas_logs, "catalog": catalog, "new_quizzes": new_quizzes}
names = {meta_schema: "instructure_dap", **{module: name for name, module in modules.items()}}
def generated(module):
    options = GeneratorOptions(struct_mode=StructMode.JSON, foreign_constraints=False, namespaces=names)
    return MSSQLGenerator(options).create(modules=[module])
made = {"state tables": generated(meta_schema)}
for key, (namespace, table, schema) in json.load(sys.stdin).items():
    module = modules[namespace]
    for name in [name for name in vars(module) if not name.startswith("__")]:
        delattr(module, name)
    create_table_dataclass(table, module, schema)
    made[key] = generated(module)
json.dump(made, sys.stdout)
"""
ENUM: Node = {"type": "string", "enum": ["a", "it's", "__dap_unspecified__"]}
MARKER: Node = {"type": "string", "const": "__dap_oversized_truncated__"}
V4, V6 = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}
NODES: dict[str, Node] = {
    "int16": {"type": "integer", "format": "int16"}, "int32": INT32, "int64": INT64, "number": {"type": "number"},
    "int_enum": {"type": "integer", "enum": [200, 404]}, "float32": {"type": "number", "format": "float32"},
    "decimal": {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000},
    "boolean": {"type": "boolean"}, "text": TEXT, "text_255": TEXT | {"maxLength": 255},
    "text_2000": TEXT | {"maxLength": 2000}, "text_2001": TEXT | {"maxLength": 2001},
    "marker": {"oneOf": [MARKER, TEXT]}, "marker_6": {"oneOf": [MARKER, TEXT | {"maxLength": 6}]},
    "marker_7": {"oneOf": [MARKER, TEXT | {"maxLength": 7}]}, "uuid": {"type": "string", "format": "uuid"},
    "moment": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
    "clock": {"type": "string", "format": "time"}, "v4": V4, "v6": V6, "either": {"oneOf": [V4, V6]},
    "numbers": {"type": "array", "items": INT64}, "json": {"type": "string", "format": "json"},
    "object": {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
    "enum": ENUM, "open": {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]},
    "size": INT32 | {"default": 7}, "note": TEXT | {"default": "it's"}, "flag": {"type": "boolean", "default": True},
    "at": {"type": "string", "format": "date-time", "default": "2024-01-01T02:00:00.700000+02:00"},
}  # fmt: skip
"""A column of every kind that the official client can lay out here (it cannot: untyped JSON, objects without
properties, arrays of objects, defaults of enums, dates and UUIDs)."""


def _catalogued() -> Iterator[Table]:
    for table in spec_tables():
        namespace, _, name = table.qualified.partition(".")
        schema = VersionedSchema(namespace=namespace, table=name, version=1, document=json_schema(table))
        yield read_table(schema)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    everything = table_of(NODES, required=["enum", "text", "size"])
    text_key = table_of({"n": INT32}, key={"k": TEXT | {"maxLength": 20}})
    return {"everything": everything, "text key": text_key} | {f"{t.namespace}.{t.name}": t for t in _catalogued()}


@pytest.fixture(scope="module")
def theirs(tables: dict[str, Table]) -> dict[str, str]:
    asked = {key: (table.namespace, table.name, table.schema.document) for key, table in tables.items()}
    done = subprocess.run(
        [str(Path(OFFICIAL).with_name("python")), "-c", _GENERATE],
        input=json.dumps(asked), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    made: dict[str, str] = json.loads(done.stdout)
    return made


def test_state_tables(theirs: dict[str, str]) -> None:
    ours = [sql for sql in DIALECT.create_state_tables() if "table_sync" in sql or "database_version" in sql]
    assert len(ours) == 2
    assert layout(ours) == layout([theirs["state tables"]])


def test_every_table_of_the_catalogue_and_one_with_a_column_of_every_kind(
    tables: dict[str, Table], theirs: dict[str, str]
) -> None:
    assert len(tables) > 100
    for key, table in tables.items():
        ours = layout([*DIALECT.create_table(table), *DIALECT.add_key(table)])
        assert ours == layout([theirs[key]]), key


_ITEM = re.compile(r',\s*(?="|CONSTRAINT)(?![^()]*\))')


def layout(statements: list[str]) -> dict[str, Any]:
    """Return by table its columns in order, and its constraints; without collations, random names and plain NULLs."""
    found: dict[str, tuple[list[str], set[str]]] = {}
    for statement in re.split(r";\n|;$", ";\n".join(statements)):
        words = re.sub(r"^IF .*? NULL (?=CREATE TABLE)| COLLATE \w+", "", " ".join(statement.split()))
        create = re.fullmatch(r"CREATE TABLE (\S+) \( ?(.*?) ?\)", words)
        alter = re.fullmatch(r"ALTER TABLE (\S+) ADD (.*)", words)
        if words.startswith(("IF NOT EXISTS ( SELECT * FROM sys.schemas", "IF SCHEMA_ID")) or not words:
            continue
        name, items = (create or alter or _unknown(words)).groups()
        columns, constraints = found.setdefault(name, ([], set()))
        for item in _ITEM.split(items):
            (constraints.add if item.startswith("CONSTRAINT") else columns.append)(_free(item))
    assert all(name.startswith(('"canvas', '"catalog', '"new_quizzes', f'"{STATE_SCHEMA}')) for name in found)
    return found


def _free(item: str) -> str:
    item = re.sub(r'CONSTRAINT "df_[^"]*" ', "", item)
    item = item.replace(", ", ",")  # within decimal(5, 2)
    return (
        item
        if item.endswith(" NOT NULL")
        else item.removesuffix(" NULL").replace(" NULL DEFAULT", " DEFAULT")
        if " NOT NULL" not in item
        else item
    )


def _unknown(words: str) -> Any:
    raise AssertionError(words)
