r"""LOAD DATA and INSERT statements, word for word, with the conversions of values that the server reads differently."""

import pytest
from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.decode.tsv import Header
from dapkit.errors import IntegrityError
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.load_data import InsertStatements, converted, load_data

DIALECT = MySqlDialect()
TABLE = table_of({"name": TEXT, "on": {"type": "boolean"}, "missing": INT32})
HEADER = Header(("meta.ts", "meta.action", "value.on", "key.id", "value.name"))
HOW = r"CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n'"
ON = "CASE {0} WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE {0} END"


def test_load_data_into_a_table_without_meta_columns() -> None:
    assert load_data(DIALECT, TABLE, HEADER, '"t"', meta=False) == (
        f'LOAD DATA LOCAL INFILE \'dapkit\' INTO TABLE "t" {HOW} (@v0, @v1, @v2, "id", "name")'
        f' SET "on" = {ON.format("@v2")}, "missing" = NULL'
    )


def test_load_data_into_a_table_with_meta_columns() -> None:
    assert load_data(DIALECT, TABLE, HEADER, "s", meta=True) == (
        f'LOAD DATA LOCAL INFILE \'dapkit\' INTO TABLE s {HOW} (@v0, "meta.action", @v2, "id", "name")'
        f' SET "meta.ts" = TRIM(TRAILING \'Z\' FROM @v0), "on" = {ON.format("@v2")}, "missing" = NULL'
    )


def test_rows_of_an_insert() -> None:
    inserting = InsertStatements(DIALECT, TABLE, HEADER, meta=False)
    row = inserting.row(b"2024-01-01T00:00:00Z\tU\ttrue\t7\t\\N", lambda text: f"'{text}'")
    on = ON.format("'true'")
    assert row == f"({on}, '7', NULL)"
    assert inserting.statement("t", [row, row]) == f'INSERT INTO t ("on", "id", "name") VALUES {row}, {row}'
    with pytest.raises(IntegrityError):
        inserting.row(b"too\tfew", str)


BYTES = "IF(@v IS NULL, NULL, _binary'?????????????????')"


@pytest.mark.parametrize(
    ("node", "expression"),
    [
        (TEXT, None),
        (INT32, None),
        ({"type": "number"}, None),
        ({"type": "object"}, None),
        (
            {"type": "string", "format": "date-time"},
            "CASE WHEN @v < '0001' THEN '?' WHEN @v >= '9999-12-31T23:59:59' THEN LEFT(@v, 19)"
            " WHEN RIGHT(@v, 1) = 'Z' THEN LEFT(@v, CHAR_LENGTH(@v) - 1)"
            " WHEN LOCATE('+', @v) OR LOCATE('-', @v, 12) THEN '?' ELSE @v END",
        ),
        ({"type": "string", "format": "date"}, "IF(@v < '0001', '?', @v)"),
        ({"type": "string", "format": "time"}, "TRIM(TRAILING 'Z' FROM @v)"),
        (
            {"type": "string", "format": "uuid"},
            f"COALESCE(IF(LENGTH(REPLACE(@v, '-', '')) = 32, UNHEX(REPLACE(@v, '-', '')), NULL), {BYTES})",
        ),
        ({"type": "string", "format": "ipv4"}, f"COALESCE(INET6_ATON(@v), {BYTES})"),
        (
            {"type": "string", "format": "ipv6"},
            f"COALESCE(IF(LENGTH(INET6_ATON(@v)) = 16, INET6_ATON(@v), NULL), {BYTES})",
        ),
        ({"type": "string", "enum": ["a", "it's"]}, "IF(FIELD(@v, 'a', 'it''s'), @v, CONCAT('?', @v))"),
    ],
)
def test_values_that_the_server_reads_differently_are_converted(node: Node, expression: str | None) -> None:
    assert converted(DIALECT, table_of({"v": node}).columns[-1], "@v") == expression
