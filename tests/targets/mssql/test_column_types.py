"""The types of columns, which are those of the official client."""

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.targets.mssql.column_types import BINARY, BINARY_UTF8, catalog_type, narrow_type
from dapkit.targets.mssql.dialect import MsSqlDialect

DIALECT = MsSqlDialect()
ENUM: Node = {"type": "string", "enum": ["a", "it's", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MARKER: Node = {"type": "string", "const": "__dap_oversized_truncated__"}
V4, V6 = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}


@pytest.mark.parametrize(
    ("node", "type_"),
    [
        ({"type": "integer", "format": "int16"}, "smallint"),
        (INT32, "integer"),
        ({"type": "integer"}, "bigint"),
        ({"type": "integer", "enum": [200, 404]}, "smallint"),
        ({"type": "number", "format": "float32"}, "real"),
        ({"type": "number"}, "double precision"),
        ({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}, "decimal(5,2)"),
        ({"type": "boolean"}, "bit"),
        (TEXT, "varchar(max)"),
        (TEXT | {"maxLength": 255}, "varchar(1020)"),
        (TEXT | {"maxLength": 2000}, "varchar(8000)"),
        (TEXT | {"maxLength": 2001}, "varchar(max)"),
        (TEXT | {"maxLength": 0}, "varchar(1)"),
        ({"oneOf": [MARKER, TEXT]}, "varchar(max)"),
        ({"oneOf": [MARKER, TEXT | {"maxLength": 6}]}, "varchar(27)"),
        ({"oneOf": [MARKER, TEXT | {"maxLength": 7}]}, "varchar(28)"),
        (ENUM, "integer"),
        (OPEN, "integer"),
        ({"type": "string", "format": "date-time"}, "datetime2"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "time"}, "time"),
        ({"type": "string", "format": "uuid"}, "binary(16)"),
        (V4, "binary(4)"),
        (V6, "binary(16)"),
        ({"oneOf": [V4, V6]}, "binary(16)"),
        ({"type": "array", "items": INT64}, "varchar(max)"),
        ({"type": "object", "properties": {"a": TEXT}}, "varchar(max)"),
        ({}, "varchar(max)"),
    ],
)
def test_types(node: Node, type_: str) -> None:
    table = table_of({"v": node})
    assert DIALECT.type_of(table, table.columns[-1]) == type_


@pytest.mark.parametrize(
    ("node", "type_"),
    [
        (TEXT | {"maxLength": 255}, "varchar(255)"),
        (TEXT | {"maxLength": 9000}, "varchar(max)"),
        ({"oneOf": [MARKER, TEXT | {"maxLength": 7}]}, "varchar(27)"),
        (TEXT, None),
        (INT32, None),
    ],
)
def test_types_of_the_official_client_before_2_3_1(node: Node, type_: str | None) -> None:
    assert narrow_type(table_of({"v": node}).columns[-1].type) == type_


@pytest.mark.parametrize(
    ("node", "type_"),
    [
        (TEXT | {"maxLength": 20}, f"varchar(80) COLLATE {BINARY_UTF8}"),
        (TEXT | {"maxLength": 3000}, f"varchar(8000) COLLATE {BINARY_UTF8}"),
        (TEXT, f"varchar(900) COLLATE {BINARY_UTF8}"),
        (INT32, "integer"),
    ],
)
def test_texts_of_a_key_have_a_maximum_length_and_a_binary_collation(node: Node, type_: str) -> None:
    table = table_of({}, key={"k": node})
    assert DIALECT.type_of(table, table.key[0]) == type_


def test_an_older_server_has_no_utf8() -> None:
    table = table_of({}, key={"k": TEXT | {"maxLength": 20}})
    assert MsSqlDialect(BINARY).type_of(table, table.key[0]) == f"varchar(80) COLLATE {BINARY}"


def test_types_as_the_catalogue_writes_them() -> None:
    table = table_of({"v": {"type": "number"}}, key={"k": TEXT | {"maxLength": 5}, "i": INT32})
    types = [catalog_type(DIALECT.type_of(table, column)) for column in table.columns]
    assert types == ["varchar(20)", "int", "float"]
