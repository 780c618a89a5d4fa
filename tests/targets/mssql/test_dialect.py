"""The types of columns, and which schema changes keep the rows. What a server makes of the SQL, the contract shows."""

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.targets.planned_changes import altered, existing_table

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.introspection import plain
from dapkit.targets.mssql.table_ddl import LOOKUPS
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable

DIALECT = MsSqlDialect()
EXACT = "Latin1_General_100_BIN2_UTF8"
ENUM: Node = {"type": "string", "enum": ["a", "it's", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MARKER: Node = {"type": "string", "const": "__dap_oversized_truncated__"}
V4, V6 = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}
SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 50}


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
        (TEXT | {"maxLength": 20}, f"varchar(80) COLLATE {EXACT}"),
        (TEXT | {"maxLength": 3000}, f"varchar(8000) COLLATE {EXACT}"),
        (TEXT, f"varchar(900) COLLATE {EXACT}"),
        (INT32, "integer"),
    ],
)
def test_texts_of_a_key_are_bounded_and_told_apart(node: Node, type_: str) -> None:
    table = table_of({}, key={"k": node})
    assert DIALECT.type_of(table, table.key[0]) == type_


def as_the_catalogue_says(nodes: dict[str, Node], *indexes: ExistingIndex) -> ExistingTable:
    table = table_of(nodes)
    columns = [
        ExistingColumn(
            name=each.name,
            type=plain(DIALECT.type_of(table, each)),
            required=each.required,
            reference=f"fk_canvas_things_{each.name}" if each.type.kind in LOOKUPS else None,
        )
        for each in table.columns
    ]
    return existing_table(columns, key_name="pk_canvas_things", indexes=indexes)


def changed(before: dict[str, Node], after: dict[str, Node], *indexes: ExistingIndex) -> list[str]:
    existing = as_the_catalogue_says(before, *indexes)
    return altered(DIALECT, table_of(before), table_of(after, version=2), existing)


def test_nothing_to_do() -> None:
    assert changed({"name": TEXT, "open": OPEN}, {"name": TEXT | {"description": "New words."}, "open": OPEN}) == []
    assert changed({"v": {"type": "string", "enum": ["known"]}}, {"v": OPEN}) == []
    assert changed({"v": {"type": "object", "properties": {"a": TEXT}}}, {"v": {}}) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INT64, INT32), (LONG, SHORT), (TEXT, INT32), (ENUM, {"type": "string", "enum": ["a"]}), (OPEN, ENUM),
        ({"type": "string", "format": "date-time"}, TEXT), ({"type": "boolean"}, TEXT), ({"type": "number"}, TEXT),
        (V4, TEXT), ({"type": "object", "properties": {"a": TEXT}}, TEXT),
    ],
)  # fmt: skip
def test_a_change_that_would_lose_values_is_refused(before: Node, after: Node) -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        changed({"v": before}, {"v": after})


def test_indexes_are_away_while_one_of_their_columns_is_altered() -> None:
    over_a = ExistingIndex(name="over_a", definition="CREATE INDEX over_a", columns=frozenset({"a"}))
    over_b = ExistingIndex(name="over_b", definition="CREATE INDEX over_b", columns=frozenset({"b"}))
    first, *_, last = changed({"a": INT32, "b": INT32}, {"a": INT64, "b": INT32}, over_a, over_b)
    assert (first.split(" ON ")[0], last) == ('DROP INDEX "over_a"', "CREATE INDEX over_a")


def test_a_rebuilt_table_is_emptied_not_dropped_unless_no_column_stays() -> None:
    before = {"v": TEXT, "gone": INT32}
    statements = DIALECT.rebuild(table_of(before), table_of({"v": INT32}), as_the_catalogue_says(before))
    assert statements[0].startswith("TRUNCATE TABLE")
    assert not any(sql.startswith("DROP TABLE") for sql in statements)
    other = table_of({"v": INT32}, key={"id": INT32})
    statements = DIALECT.rebuild(table_of({"v": TEXT}), other, as_the_catalogue_says({"v": TEXT}))
    assert [sql.split(" ")[0] for sql in statements] == ["DROP", "CREATE"]
