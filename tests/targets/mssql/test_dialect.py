"""The SQL of tables and of their rows, word for word."""

from dataclasses import replace

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.model import Table
from dapkit.targets.base import Sample
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.sql.compare_sql import ComparingSql

DIALECT = MsSqlDialect()
EXACT = "Latin1_General_100_BIN2_UTF8"
BINARY = "Latin1_General_100_BIN2"
ENUM: Node = {"type": "string", "enum": ["a", "it's", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MARKER: Node = {"type": "string", "const": "__dap_oversized_truncated__"}
V4, V6 = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}
STAGED = '"instructure_dap"."dapkit_staging_0"'


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


def test_an_older_server_has_no_utf8() -> None:
    table = table_of({}, key={"k": TEXT | {"maxLength": 20}})
    assert MsSqlDialect(exact=BINARY).type_of(table, table.key[0]) == f"varchar(80) COLLATE {BINARY}"


def test_a_table_with_everything_that_belongs_to_it() -> None:
    table = table_of(
        {
            "size": INT32 | {"default": 7},
            "state": ENUM | {"default": "a"},
            "flag": {"type": "boolean", "default": True},
            "note": TEXT | {"default": "it's"},
            "word": TEXT | {"default": "é"},
            "at": {"type": "string", "format": "date-time", "default": "2024-01-01T02:00:00.7+02:00"},
            "uuid": {"type": "string", "format": "uuid", "default": "550e8400-e29b-41d4-a716-446655440000"},
            "place": {"oneOf": [V4, V6], "default": "192.0.2.1"},
            "list": {"type": "array", "items": ENUM, "default": ["a"]},
            "name": TEXT | {"description": "Comments are left out, as the official client leaves them out."},
        },
        required=["name", "size"],
    )
    lookup = (
        'IF OBJECT_ID(N\'"canvas"."things__{0}"\', N\'U\') IS NULL CREATE TABLE "canvas"."things__{0}"'
        f' ("id" integer NOT NULL IDENTITY, "value" varchar(256) COLLATE {EXACT} NOT NULL,'
        ' CONSTRAINT "pk_canvas_things__{0}" PRIMARY KEY ("id"), CONSTRAINT "uq_things__{0}" UNIQUE ("value"))'
    )
    assert DIALECT.create_table(table) == [
        lookup.format("state"),
        lookup.format("list"),
        'CREATE TABLE "canvas"."things" ("id" bigint NOT NULL, "name" varchar(max) NOT NULL,'
        ' "size" integer NOT NULL CONSTRAINT "df_things_size" DEFAULT 7, "state" integer NULL,'
        ' "flag" bit NULL CONSTRAINT "df_things_flag" DEFAULT 1,'
        " \"note\" varchar(max) NULL CONSTRAINT \"df_things_note\" DEFAULT 'it''s',"
        ' "word" varchar(max) NULL CONSTRAINT "df_things_word" DEFAULT N\'é\','
        ' "at" datetime2 NULL CONSTRAINT "df_things_at" DEFAULT \'2024-01-01 00:00:00.700000\','
        ' "uuid" binary(16) NULL CONSTRAINT "df_things_uuid" DEFAULT 0x550e8400e29b41d4a716446655440000,'
        ' "place" binary(16) NULL CONSTRAINT "df_things_place" DEFAULT 0xc0000201000000000000000000000000,'
        ' "list" varchar(max) NULL CONSTRAINT "df_things_list" DEFAULT \'["a"]\')',
    ]
    assert DIALECT.add_key(table) == [
        'ALTER TABLE "canvas"."things" ADD CONSTRAINT "pk_canvas_things" PRIMARY KEY ("id")',
        'ALTER TABLE "canvas"."things" ADD CONSTRAINT "fk_canvas_things_state" FOREIGN KEY ("state")'
        ' REFERENCES "canvas"."things__state" ("id")',
    ]


def test_books_are_made_by_one_process_at_a_time_where_they_are_missing() -> None:
    lock, schema, *tables = DIALECT.create_state_tables()
    assert "sp_getapplock" in lock
    assert schema == ("IF SCHEMA_ID(N'instructure_dap') IS NULL EXEC(N'CREATE SCHEMA \"instructure_dap\"')")
    names = ["table_sync", "database_version", "dapkit_origin", "dapkit_history"]
    assert [sql.split(" CREATE TABLE ")[1].split(" (")[0] for sql in tables] == [
        f'"instructure_dap"."{name}"' for name in names
    ]
    assert all(sql.startswith("IF OBJECT_ID(N'") for sql in tables)
    assert DIALECT.insert_version(1) == [
        'SET IDENTITY_INSERT "instructure_dap"."database_version" ON',
        'INSERT INTO "instructure_dap"."database_version" (version) VALUES (1)',
        'SET IDENTITY_INSERT "instructure_dap"."database_version" OFF',
    ]


def test_only_the_lines_of_one_table_are_held() -> None:
    assert DIALECT.hold_lines([3, 4]) == (
        'SELECT max("timestamp") FROM "instructure_dap"."table_sync" WITH (UPDLOCK, HOLDLOCK, ROWLOCK)'
        ' WHERE "id" IN (3, 4)'
    )
    assert DIALECT.hold_lines([]).endswith("IN (NULL)")


def test_nobody_waits_for_lines_that_others_hold() -> None:
    assert DIALECT.update_state().startswith(
        'UPDATE "instructure_dap"."table_sync" WITH (ROWLOCK, READPAST) SET "timestamp" = ?,'
    )
    made = " ".join(DIALECT.create_state_tables())
    assert 'INDEX "dapkit_history_of" CLUSTERED ("source_namespace", "source_table", "time")' in made


def test_a_lookup_table_of_the_official_client_learns_to_tell_case() -> None:
    table = table_of({"open": OPEN})
    assert DIALECT.tell_apart(table, table.value[0]) == [
        'ALTER TABLE "canvas"."things__open" DROP CONSTRAINT "uq_things__open"',
        f'ALTER TABLE "canvas"."things__open" ALTER COLUMN "value" varchar(256) COLLATE {EXACT} NOT NULL',
        'ALTER TABLE "canvas"."things__open" ADD CONSTRAINT "uq_things__open" UNIQUE ("value")',
    ]


# Rows

TABLE = table_of({"name": TEXT, "open": OPEN})
TEXT_KEY = table_of({}, key={"k": TEXT | {"maxLength": 5}, "n": INT32})
K = f"CAST({{}}.\"k\" AS nvarchar(4000)) COLLATE {BINARY} + N'|'"


def test_staged_rows_are_as_wide_as_may_be() -> None:
    nodes: dict[str, Node] = {
        "s": {"type": "integer", "format": "int16"}, "r": {"type": "number", "format": "float32"}, "t": TEXT,
        "o": OPEN, "j": {}, "b": {"type": "boolean"}, "u": {"type": "string", "format": "uuid"},
    }  # fmt: skip
    table = table_of(nodes, key={"k": TEXT | {"maxLength": 5}})
    assert DIALECT.create_staging(table, STAGED) == (
        f'CREATE TABLE {STAGED} ("dapkit_time" datetime2 NULL, "dapkit_action" nvarchar(8) NULL,'
        f' "k" nvarchar(10) COLLATE {BINARY} NULL, "s" bigint NULL, "r" float NULL,'
        f' "t" nvarchar(max) COLLATE {BINARY} NULL, "o" nvarchar(256) COLLATE {BINARY} NULL,'
        f' "j" nvarchar(max) COLLATE {BINARY} NULL, "b" bit NULL, "u" binary(16) NULL)'
    )


def test_repeated_keys() -> None:
    assert DIALECT.repeated(TABLE, STAGED) == (f'SELECT TOP (1) 1 FROM {STAGED} GROUP BY "id" HAVING count(*) > 1')
    newest = DIALECT.newest(TEXT_KEY, STAGED, DIALECT.temporary("newest"), action=True)
    key = K.format("x").replace('x."k"', '"k"')
    assert newest == (
        f'SELECT * INTO "#newest" FROM (SELECT *, row_number() OVER (PARTITION BY {key}, "n"'
        f' ORDER BY "dapkit_time" DESC, "dapkit_action") AS dapkit_place FROM {STAGED}) AS numbered'
        " WHERE dapkit_place = 1"
    )


def test_rows_that_come_and_go() -> None:
    known = f'CAST(known_2."value" AS nvarchar(256)) COLLATE {BINARY} = staged."open"'
    join = f' LEFT JOIN "canvas"."things__open" AS known_2 ON {known}'
    assert DIALECT.insert(TABLE, STAGED) == (
        'INSERT INTO "canvas"."things" WITH (TABLOCK) ("id", "name", "open")'
        f' SELECT staged."id", staged."name", known_2."id" FROM {STAGED} AS staged{join}'
    )
    assert DIALECT.upsert(TABLE, STAGED, action=True) == [
        'UPDATE live SET "name" = staged."name", "open" = known_2."id" FROM "canvas"."things" AS live'
        f' JOIN {STAGED} AS staged ON live."id" = staged."id" AND staged."dapkit_action" <> \'D\'{join}',
        'INSERT INTO "canvas"."things" ("id", "name", "open")'
        f' SELECT staged."id", staged."name", known_2."id" FROM {STAGED} AS staged{join}'
        ' WHERE NOT EXISTS (SELECT 1 FROM "canvas"."things" AS live WHERE live."id" = staged."id")'
        " AND staged.\"dapkit_action\" <> 'D'",
    ]
    assert DIALECT.delete_marked(TABLE, STAGED) == (
        f'DELETE live FROM "canvas"."things" AS live JOIN {STAGED} AS staged ON live."id" = staged."id"'
        " AND staged.\"dapkit_action\" = 'D'"
    )
    assert DIALECT.delete_missing(TABLE, STAGED) == (
        'DELETE live FROM "canvas"."things" AS live'
        f' WHERE NOT EXISTS (SELECT 1 FROM {STAGED} AS staged WHERE live."id" = staged."id")'
    )
    assert DIALECT.add_values(TABLE, STAGED) == [
        f'INSERT INTO "canvas"."things__open" ("value") SELECT DISTINCT staged."open" FROM {STAGED} AS staged'
        ' WHERE staged."open" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "canvas"."things__open" AS known'
        f' WHERE CAST(known."value" AS nvarchar(256)) COLLATE {BINARY} = staged."open")'
    ]


def test_text_keys_are_told_apart_to_the_last_blank() -> None:
    same = f'{K.format("live")} = {K.format("staged")} AND live."n" = staged."n"'
    assert DIALECT.same_key(TEXT_KEY, "live", "staged") == same
    assert DIALECT.upsert(TEXT_KEY, STAGED, action=False) == [
        f'INSERT INTO "canvas"."things" ("k", "n") SELECT staged."k", staged."n" FROM {STAGED} AS staged'
        f' WHERE NOT EXISTS (SELECT 1 FROM "canvas"."things" AS live WHERE {same})'
    ]


def test_enums_of_a_key_meet_by_their_values() -> None:
    table = table_of({"n": INT32}, key={"kind": OPEN})
    number = (
        'SELECT known."id" FROM "canvas"."things__kind" AS known'
        f' WHERE CAST(known."value" AS nvarchar(256)) COLLATE {BINARY} = staged."kind"'
    )
    assert DIALECT.same_key(table, "live", "staged") == f'live."kind" = ({number})'
    assert DIALECT.repeated(table, STAGED).endswith('GROUP BY "kind" HAVING count(*) > 1')


def test_json_is_shown_by_a_condition_that_the_server_knows() -> None:
    table = table_of({"j": {}})
    truth = replace(table, namespace="scratch")
    examples = ComparingSql(dialect=DIALECT, live=table, truth=truth).examples(table.value[0])
    assert examples.endswith(" AND 1 = 1"), "it has no literal for what is true"


def test_comparing() -> None:
    truth = Table(**{name: getattr(TABLE, name) for name in TABLE.__slots__} | {"namespace": "scratch"})
    sql = ComparingSql(dialect=DIALECT, live=TABLE, truth=truth)
    text = f"CAST(live_rows.\"name\" AS nvarchar(max)) COLLATE {BINARY} + N'|'"
    lookup = '(SELECT known."value" FROM "{}"."things__open" AS known WHERE known."id" = {}."open")'
    differences = sql.differences()
    assert differences.startswith(
        "SELECT count_big(*), sum(differs_0), sum(differs_1) FROM (SELECT 1 AS met, CASE WHEN"
    )
    assert text in differences
    assert f"CAST({lookup.format('canvas', 'live_rows')} AS nvarchar(max))" in differences
    assert f"CAST({lookup.format('scratch', 'true_rows')} AS nvarchar(max))" in differences
    assert DIALECT.limited(sql.examples(TABLE.value[0]), 5).startswith(
        'SELECT TOP (5) live_rows."id" AS "id", live_rows."name", true_rows."name" FROM "canvas"."things" AS live_rows'
    )
    assert sql.missing().startswith('SELECT true_rows."id" AS "id" FROM "scratch"."things" AS true_rows WHERE')
    sampled = replace(sql, sample=Sample(percent=1.0, seed="s'x")).differences()
    hashed = "CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT(N's''x', N'|', {}.\"id\")), 1, 4) AS bigint)"
    assert all(f"{hashed.format(alias)} % " in sampled for alias in ("live_rows", "true_rows"))
    assert DIALECT.differs("a", "b") == ("(a <> b OR (a IS NULL AND b IS NOT NULL) OR (a IS NOT NULL AND b IS NULL))")
