"""The SQL that creates and alters tables, word for word."""

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.targets.planned_changes import altered

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.base import Merge
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.driver import dialect_of
from dapkit.targets.sql.merge import delete_marked, delete_missing, merge_rows

DIALECT = MySqlDialect(exact="utf8mb4_nopad_bin")
ENUM: Node = {"type": "string", "enum": ["a", "it's", "b\\c"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MARKER: Node = {"type": "string", "const": "__dap_oversized_truncated__"}
V4, V6 = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}
UUID: Node = {"type": "string", "format": "uuid"}
MOMENT: Node = {"type": "string", "format": "date-time"}


def version(value: dict[str, Node], **more: object) -> Table:
    return table_of(value, version=2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("node", "type_"),
    [
        ({"type": "integer", "format": "int16"}, "smallint"),
        (INT32, "integer"),
        ({"type": "integer"}, "bigint"),
        ({"type": "integer", "enum": [200, 404]}, "smallint"),
        ({"type": "number", "format": "float32"}, "double"),
        ({"type": "number"}, "double"),
        ({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}, "decimal(5,2)"),
        ({"type": "boolean"}, "tinyint"),
        (TEXT, "mediumtext"),
        (TEXT | {"maxLength": 255}, "varchar(255)"),
        (TEXT | {"maxLength": 16_383}, "varchar(16383)"),
        (TEXT | {"maxLength": 16_384}, "mediumtext"),
        ({"oneOf": [MARKER, TEXT]}, "mediumtext"),
        ({"oneOf": [MARKER, TEXT | {"maxLength": 16}]}, "varchar(27)"),
        ({"oneOf": [MARKER, TEXT | {"maxLength": 255}]}, "varchar(255)"),
        (ENUM, "ENUM ('a', 'it''s', 'b\\\\c') CHARACTER SET ascii COLLATE ascii_bin"),
        ({"type": "string", "enum": ["é"]}, "ENUM ('é') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        (OPEN, "integer"),
        (MOMENT, "datetime"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "time"}, "time"),
        (UUID, "binary(16)"),
        (V4, "binary(4)"),
        (V6, "binary(16)"),
        ({"oneOf": [V4, V6]}, "binary(16)"),
        ({"type": "array", "items": INT64}, "json"),
        ({"type": "object", "properties": {"a": TEXT}}, "json"),
        ({}, "json"),
    ],
)
def test_types(node: Node, type_: str) -> None:
    table = table_of({"v": node})
    assert DIALECT.type_of(table, table.columns[-1]) == type_


def test_a_table_with_all_its_dependants() -> None:
    table = table_of(
        {
            "size": INT32 | {"default": 7},
            "open": OPEN,
            "note": TEXT | {"default": "it's"},
            "at": MOMENT | {"default": "2024-01-01T02:00:00.7+02:00"},
            "uuid": UUID | {"default": "550e8400-e29b-41d4-a716-446655440000"},
            "name": TEXT | {"description": "What it's called.\nMore."},
        },
        required=["name", "size"],
    )
    assert DIALECT.create_table(table) == [
        'CREATE TABLE IF NOT EXISTS "canvas__things__open" (id integer NOT NULL AUTO_INCREMENT,'
        " value varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,"
        ' CONSTRAINT "pk_canvas__things__open" PRIMARY KEY (id), CONSTRAINT "uq_things__open" UNIQUE (value))',
        'CREATE TABLE "canvas__things" ("id" bigint NOT NULL, "open" integer,'
        " \"name\" mediumtext NOT NULL COMMENT 'What it''s called.', \"size\" integer NOT NULL DEFAULT 7,"
        " \"note\" mediumtext DEFAULT ('it''s'), \"at\" datetime DEFAULT '2024-01-01 00:00:00',"
        " \"uuid\" binary(16) DEFAULT X'550e8400e29b41d4a716446655440000',"
        ' CONSTRAINT "pk_canvas__things" PRIMARY KEY ("id"), CONSTRAINT "fk_canvas__things_open" FOREIGN KEY ("open")'
        ' REFERENCES "canvas__things__open" (id))',
    ]


def test_texts_of_a_key_are_bounded_and_distinguished() -> None:
    table = table_of({}, key={"code": TEXT, "role": TEXT | {"maxLength": 8}})
    (statement,) = MySqlDialect(exact="utf8mb4_0900_bin", utf8=False).create_table(table)
    assert statement == (
        'CREATE TABLE "canvas__things" ("code" varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,'
        ' "role" varchar(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,'
        ' CONSTRAINT "pk_canvas__things" PRIMARY KEY ("code", "role")) DEFAULT CHARACTER SET utf8mb4'
    )


def test_schema_changes() -> None:
    before = table_of({"a": INT32, "b": TEXT | {"maxLength": 5}, "gone": INT32, "u": UUID}, required=["a", "gone"])
    after = version({"a": INT64, "b": TEXT | {"maxLength": 9}, "u": TEXT, "open": OPEN, "d": INT32 | {"default": 1}})
    alter = 'ALTER TABLE "canvas__things"'
    assert altered(DIALECT, before, after) == [
        'CREATE TABLE IF NOT EXISTS "canvas__things__open" (id integer NOT NULL AUTO_INCREMENT,'
        " value varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,"
        ' CONSTRAINT "pk_canvas__things__open" PRIMARY KEY (id), CONSTRAINT "uq_things__open" UNIQUE (value))',
        f'{alter} ADD COLUMN "open" integer',
        f'{alter} ADD CONSTRAINT "fk_canvas__things_open" FOREIGN KEY ("open") REFERENCES "canvas__things__open" (id)',
        f'{alter} ADD COLUMN "d" integer DEFAULT 1',
        f'{alter} MODIFY COLUMN "a" bigint',
        f'{alter} MODIFY COLUMN "b" varchar(9)',
        f'{alter} ADD COLUMN "dapkit_text" varchar(36)',
        'UPDATE "canvas__things" SET "dapkit_text" = lower(concat_ws(\'-\', substr(hex("u"), 1, 8),'
        ' substr(hex("u"), 9, 4), substr(hex("u"), 13, 4), substr(hex("u"), 17, 4), substr(hex("u"), 21, 12)))'
        ' WHERE "u" IS NOT NULL',
        f'{alter} DROP COLUMN "u", CHANGE COLUMN "dapkit_text" "u" mediumtext',
        f'{alter} MODIFY COLUMN "gone" integer',
    ]
    (last,) = altered(DIALECT, table_of({"a": INT32, "open": OPEN}), version({"a": INT32}), drop_columns=True)[:1]
    assert last == f'{alter} DROP FOREIGN KEY "fk_canvas__things_open", DROP COLUMN "open"'
    described = version({"a": INT32 | {"description": "New."}})
    changed = [f"{alter} MODIFY COLUMN \"a\" integer COMMENT 'New.'"]
    assert altered(DIALECT, table_of({"a": INT32}), described) == changed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INT64, INT32), (UUID, V6), (INT32, OPEN), (OPEN, TEXT), (TEXT, ENUM),
        (ENUM, {"type": "string", "enum": ["a"]}),
        ({"type": "boolean"}, TEXT), (MOMENT, TEXT), (V4, TEXT), (TEXT, TEXT | {"maxLength": 5}),
    ],
)  # fmt: skip
def test_unsupported_schema_changes(before: Node, after: Node) -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(DIALECT, table_of({"v": before}), version({"v": after}))


def test_rows_from_a_temporary_table() -> None:
    table = table_of({"open": OPEN, "size": INT32})
    assert merge_rows(DIALECT, Merge.ON_DUPLICATE_KEY, table, "s", action=True) == [
        'INSERT INTO "canvas__things" ("id", "open", "size") SELECT staged."id", known_0.id, staged."size" FROM s AS'
        ' staged LEFT JOIN "canvas__things__open" AS known_0 ON known_0.value = staged."open"'
        ' WHERE staged."meta.action" <> \'D\' ON DUPLICATE KEY UPDATE "open" = VALUES("open"), "size" = VALUES("size")'
    ]
    assert delete_marked(DIALECT, table, "s") == (
        'DELETE live FROM "canvas__things" AS live JOIN s AS staged ON staged."id" = live."id"'
        " AND staged.\"meta.action\" = 'D'"
    )
    assert delete_missing(DIALECT, table, "s") == (
        'DELETE live FROM "canvas__things" AS live LEFT JOIN s AS staged ON staged."id" = live."id"'
        ' WHERE staged."id" IS NULL'
    )
    only = table_of({}, key={"a": INT32, "b": INT32})
    assert merge_rows(DIALECT, Merge.ON_DUPLICATE_KEY, only, "s", action=False)[0].endswith(
        'ON DUPLICATE KEY UPDATE "a" = VALUES("a")'
    )


@pytest.mark.parametrize(
    ("version", "normal", "exact"),
    [
        ("8.4.3", "CAST({} AS JSON)", "utf8mb4_0900_bin"),
        ("10.11.19-MariaDB-0+deb12u1", "JSON_NORMALIZE({})", "utf8mb4_nopad_bin"),
        ("5.5.5-10.7.1-MariaDB-log", "JSON_NORMALIZE({})", "utf8mb4_nopad_bin"),
        ("10.6.18-MariaDB", "JSON_COMPACT({})", "utf8mb4_nopad_bin"),
        ("11.4.2-mariadb", "JSON_NORMALIZE({})", "utf8mb4_nopad_bin"),
    ],
)
def test_the_server_decides_how_json_and_texts_are_compared(version: str, normal: str, exact: str) -> None:
    dialect = dialect_of(version, "utf8mb4")
    assert (dialect.comparison.normal_json, dialect.exact) == (normal, exact)
