"""Tables are altered as they stand: around their key, defaults, lookup tables and the indexes of their users."""

from dataclasses import replace

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.introspection import Existing, Found, Index, plain
from dapkit.targets.mssql.table_ddl import LOOKUPS

DIALECT = MsSqlDialect()
ENUM: Node = {"type": "string", "enum": ["a", "b"]}
OPEN: Node = {"oneOf": [ENUM, TEXT]}
SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 50}
UUID: Node = {"type": "string", "format": "uuid"}
BINARY = "Latin1_General_100_BIN2"
ALTER = 'ALTER TABLE "canvas"."things"'


def version(value: dict[str, Node], **more: object) -> Table:
    return table_of(value, version=2, **more)  # type: ignore[arg-type]


def status(table: Table, *indexes: Index, **more: Existing) -> MsSqlDialect:
    """Return a dialect that knows a table as the official client made it, its defaults under names of chance."""
    columns = {
        column.name: Existing(
            name=column.name,
            type=plain(DIALECT.type_of(table, column)),
            required=column.required,
            default=f"df_{column.name}_abcdef" if column.default and column.type.kind not in LOOKUPS else None,
            reference=f"fk_canvas_things_{column.name}" if column.type.kind in LOOKUPS else None,
        )
        for column in table.columns
    }
    return replace(DIALECT, found=Found(columns=columns | more, key="pk_canvas_things", indexes=indexes))


def altered(before: Table, after: Table, *indexes: Index, drop: bool = False, **more: Existing) -> list[str]:
    return status(before, *indexes, **more).alter(before, after, drop_columns=drop)


def test_nothing_to_do() -> None:
    table = table_of({"name": TEXT, "open": OPEN})
    assert altered(table, version({"name": TEXT | {"description": "New words."}, "open": OPEN})) == []
    assert altered(table_of({"v": ENUM}), version({"v": OPEN})) == []
    assert altered(table_of({"v": {"type": "object", "properties": {"a": TEXT}}}), version({"v": {}})) == []


@pytest.mark.parametrize(
    ("before", "after", "type_"),
    [
        (SHORT, LONG, "varchar(200)"),
        (SHORT, TEXT, "varchar(max)"),
        (INT32, INT64, "bigint"),
        ({"type": "number", "format": "float32"}, {"type": "number"}, "double precision"),
        (INT64, TEXT, "varchar(max)"),
        ({"type": "string", "format": "date"}, TEXT, "varchar(max)"),
        ({"type": "string", "format": "ipv4"}, {"oneOf": [{"type": "string", "format": "ipv4"},
                                                          {"type": "string", "format": "ipv6"}]}, "binary(16)"),
    ],
)  # fmt: skip
def test_wider_types_say_whether_null_may_stand(before: Node, after: Node, type_: str) -> None:
    assert altered(table_of({"v": before}), version({"v": after})) == [f'{ALTER} ALTER COLUMN "v" {type_} NULL']
    assert altered(table_of({"v": before}, required=["v"]), version({"v": after}, required=["v"])) == [
        f'{ALTER} ALTER COLUMN "v" {type_} NOT NULL'
    ]


def test_a_column_keeps_the_collation_that_it_has() -> None:
    own = Existing(name="v", type="varchar(20)", required=False, page=65001, collation="Polish_100_CI_AS_SC_UTF8")
    assert altered(table_of({"v": SHORT}), version({"v": LONG}), v=own) == [
        f'{ALTER} ALTER COLUMN "v" varchar(200) COLLATE Polish_100_CI_AS_SC_UTF8 NULL'
    ]


def test_a_default_is_taken_away_by_the_name_that_it_has() -> None:
    before, after = table_of({"v": INT32 | {"default": 1}}), version({"v": INT64 | {"default": 1}})
    assert altered(before, after) == [
        f'{ALTER} DROP CONSTRAINT "df_v_abcdef"',
        f'{ALTER} ALTER COLUMN "v" bigint NULL',
        f'{ALTER} ADD CONSTRAINT "df_things_v" DEFAULT 1 FOR "v"',
    ]
    assert altered(before, version({}), drop=True) == [
        f'{ALTER} DROP CONSTRAINT "df_v_abcdef"',
        f'{ALTER} DROP COLUMN "v"',
    ]


def test_the_key_is_away_while_one_of_its_columns_is_altered() -> None:
    before = table_of({"n": INT32}, key={"id": INT32, "k": SHORT})
    assert altered(before, version({"n": INT32}, key={"id": INT64, "k": LONG})) == [
        f'{ALTER} DROP CONSTRAINT "pk_canvas_things"',
        f'{ALTER} ALTER COLUMN "id" bigint NOT NULL',
        f'{ALTER} ALTER COLUMN "k" varchar(200) COLLATE {DIALECT.exact} NOT NULL',
        f'{ALTER} ADD CONSTRAINT "pk_canvas_things" PRIMARY KEY ("id", "k")',
    ]


def test_indexes_of_the_user_are_away_while_one_of_their_columns_is_altered() -> None:
    before = table_of({"a": INT32, "b": INT32})
    over_a = Index(name="over_a", kind="UNIQUE ", rest='("a" DESC) INCLUDE ("b")', columns=frozenset({"a", "b"}))
    over_b = Index(name="over_b", kind="", rest='("b")', columns=frozenset({"b"}))
    assert altered(before, version({"a": INT64, "b": INT32}), over_a, over_b) == [
        'DROP INDEX "over_a" ON "canvas"."things"',
        f'{ALTER} ALTER COLUMN "a" bigint NULL',
        'CREATE UNIQUE INDEX "over_a" ON "canvas"."things" ("a" DESC) INCLUDE ("b")',
    ]
    dropped = altered(before, version({"b": INT32}), over_a, over_b, drop=True)
    assert dropped == ['DROP INDEX "over_a" ON "canvas"."things"', f'{ALTER} DROP COLUMN "a"']


def test_new_columns() -> None:
    before = table_of({})
    assert altered(before, version({"v": TEXT})) == [f'{ALTER} ADD "v" varchar(max) NULL']
    assert altered(before, version({"v": INT32 | {"default": 7}})) == [
        f'{ALTER} ADD "v" integer NULL CONSTRAINT "df_things_v" DEFAULT 7 WITH VALUES'
    ]
    assert altered(before, version({"v": INT32 | {"default": 7}}, required=["v"])) == [
        f'{ALTER} ADD "v" integer NOT NULL CONSTRAINT "df_things_v" DEFAULT 7'
    ]
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(before, version({"v": INT32}, required=["v"]))


def test_a_new_enum_with_a_default() -> None:
    lookup = '"canvas"."things__v"'
    found = f'(SELECT known."id" FROM {lookup} AS known WHERE CAST(known."value" AS nvarchar(256)) COLLATE {BINARY}'
    create, *rest = altered(table_of({}), version({"v": ENUM | {"default": "b"}}, required=["v"]))
    assert create.startswith(f"IF OBJECT_ID(N'{lookup}', N'U') IS NULL CREATE TABLE {lookup}")
    assert rest == [
        f'{ALTER} ADD "v" integer NULL',
        f"INSERT INTO {lookup} (\"value\") SELECT N'b' WHERE NOT EXISTS {found} = N'b')",
        f'UPDATE "canvas"."things" SET "v" = {found} = N\'b\') WHERE "v" IS NULL',
        f'{ALTER} ALTER COLUMN "v" integer NOT NULL',
        f'{ALTER} ADD CONSTRAINT "fk_canvas_things_v" FOREIGN KEY ("v") REFERENCES {lookup} ("id")',
    ]


def test_enums_and_uuids_are_written_out_as_texts() -> None:
    assert altered(table_of({"v": OPEN}, required=["v"]), version({"v": TEXT}, required=["v"])) == [
        f'{ALTER} ADD "dapkit_beside" varchar(max) NULL',
        'UPDATE "canvas"."things" SET "dapkit_beside" = (SELECT known."value" FROM "canvas"."things__v" AS known'
        ' WHERE known."id" = "canvas"."things"."v") WHERE "v" IS NOT NULL',
        f'{ALTER} DROP CONSTRAINT "fk_canvas_things_v"',
        f'{ALTER} DROP COLUMN "v"',
        'DROP TABLE IF EXISTS "canvas"."things__v"',
        """EXEC sp_rename N'"canvas"."things"."dapkit_beside"', N'v', N'COLUMN'""",
        f'{ALTER} ALTER COLUMN "v" varchar(max) NOT NULL',
    ]
    uuid = altered(table_of({"v": UUID}), version({"v": TEXT}))
    assert 'CONVERT(char(8), SUBSTRING("v", 1, 4), 2)' in uuid[1]
    assert 'CONVERT(char(12), SUBSTRING("v", 11, 6), 2)' in uuid[1]


def test_required_columns_become_nullable() -> None:
    before = table_of({"v": SHORT, "o": OPEN}, required=["v", "o"])
    lookup = 'FOREIGN KEY ("o") REFERENCES "canvas"."things__o" ("id")'
    freed = [
        f'{ALTER} ALTER COLUMN "v" varchar(20) NULL',
        f'{ALTER} DROP CONSTRAINT "fk_canvas_things_o"',
        f'{ALTER} ALTER COLUMN "o" integer NULL',
        f'{ALTER} ADD CONSTRAINT "fk_canvas_things_o" {lookup}',
    ]
    assert altered(before, version({"v": SHORT, "o": OPEN})) == freed
    assert altered(before, version({})) == freed, "those that the schema no longer has stay"


def test_a_column_that_was_kept_comes_back() -> None:
    before, back = table_of({}), {"v": SHORT | {"default": "x"}}
    kept = Existing(name="v", type="varchar(20)", required=False)
    assert altered(before, version({"v": SHORT}), v=kept) == []
    assert altered(before, version(back, required=["v"]), v=kept) == [
        'UPDATE "canvas"."things" SET "v" = \'x\' WHERE "v" IS NULL',
        f'{ALTER} ALTER COLUMN "v" varchar(20) NOT NULL',
    ]
    other = Existing(name="v", type="int", required=False, default="df_x", reference="fk_x")
    assert altered(before, version({"v": INT32}), v=other) == [
        f'{ALTER} DROP CONSTRAINT "df_x"',
        f'{ALTER} DROP CONSTRAINT "fk_x"',
        f'{ALTER} DROP COLUMN "v"',
        f'{ALTER} ADD "v" integer NULL',
    ], "the number of a value is no number"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INT64, INT32), (LONG, SHORT), (TEXT, INT32), (ENUM, {"type": "string", "enum": ["a"]}), (OPEN, ENUM),
        ({"type": "string", "format": "date-time"}, TEXT), ({"type": "boolean"}, TEXT), ({"type": "number"}, TEXT),
        ({"type": "string", "format": "ipv4"}, TEXT), ({"type": "object", "properties": {"a": TEXT}}, TEXT),
    ],
)  # fmt: skip
def test_what_cannot_be_altered(before: Node, after: Node) -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": before}), version({"v": after}))


def test_what_became_required_or_another_key() -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": INT32}), version({"v": INT32}, required=["v"]))
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": SHORT}, required=["v"]), version({}, key={"id": INT64, "v": SHORT}))


def test_a_rebuilt_table_stays_what_others_refer_to() -> None:
    before = table_of({"v": TEXT, "o": OPEN, "e": ENUM, "gone": INT32}, required=["gone"])
    after = version({"v": INT32, "o": OPEN, "e": INT32, "new": ENUM}, required=["v", "new"])
    index = Index(name="over_v", kind="", rest='("v")', columns=frozenset({"v"}))
    mine = Existing(name="mine", type="int", required=False)
    statements = status(before, index, mine=mine).rebuild(before, after)
    create = next(sql for sql in statements if sql.startswith("IF OBJECT_ID"))
    statements.remove(create)
    assert '"canvas"."things__new"' in create
    assert statements == [
        'DROP INDEX "over_v" ON "canvas"."things"',
        'TRUNCATE TABLE "canvas"."things"',
        f'{ALTER} DROP CONSTRAINT "pk_canvas_things"',
        f'{ALTER} DROP CONSTRAINT "fk_canvas_things_o"',
        f'{ALTER} DROP COLUMN "v"',
        f'{ALTER} DROP CONSTRAINT "fk_canvas_things_e"',
        f'{ALTER} DROP COLUMN "e"',
        'DROP TABLE IF EXISTS "canvas"."things__e"',
        f'{ALTER} ADD "new" integer NOT NULL',
        f'{ALTER} ADD "v" integer NOT NULL',
        f'{ALTER} ADD "e" integer NULL',
        f'{ALTER} ALTER COLUMN "gone" integer NULL',
        'CREATE INDEX "over_v" ON "canvas"."things" ("v")',
    ]


def test_a_column_that_joins_the_key_is_made_anew_and_told_apart() -> None:
    before = table_of({"k": SHORT, "n": INT32}, required=["k"])
    statements = status(before).rebuild(before, version({"n": INT32}, key={"id": INT64, "k": SHORT}))
    assert f'{ALTER} ADD "k" varchar(20) COLLATE {DIALECT.exact} NOT NULL' in statements


def test_a_table_of_which_no_column_stays_is_made_anew() -> None:
    before, after = table_of({"v": TEXT}), version({"v": INT32}, key={"id": INT32})
    assert status(before).rebuild(before, after) == [
        'DROP TABLE IF EXISTS "canvas"."things"',
        'CREATE TABLE "canvas"."things" ("id" integer NOT NULL, "v" integer NULL)',
    ]
