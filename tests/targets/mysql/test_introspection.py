"""A table as it stands in the catalogue, whatever the books say of it."""

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.introspection import Existing, Found, evolve, own_indexes

DIALECT = MySqlDialect()
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
BEFORE = table_of({"size": INT32, "state": {"type": "string", "enum": ["a", "b\\c"]}})
AFTER = table_of({"size": INT64, "state": {"type": "string", "enum": ["a", "b\\c", "d'"]}, "open": OPEN}, version=2)
ID = Existing("id", "bigint(20)", required=True)
PLACE = 'ALTER TABLE "canvas__things"'


def found(*columns: Existing, references: tuple[str, ...] = (), key: tuple[str, ...] = ("id",)) -> Found:
    return Found(columns=[ID, *columns], key=key, references=references)


def size(type_: str) -> Existing:
    return Existing("size", type_, required=False)


def state(type_: str) -> Existing:
    return Existing("state", type_, required=False)


OLD = found(size("int(11)"), state("enum('a','b\\\\c')"))
NEW = found(
    size("bigint"), state("enum('a','b\\c','d''')"), Existing("open", "int", required=False),
    references=("fk_canvas__things_open",),
)  # fmt: skip


def test_a_table_as_the_books_say() -> None:
    statements = evolve(DIALECT, BEFORE, AFTER, OLD, drop_columns=False)
    assert [statement.split(" (")[0] for statement in statements] == [
        'CREATE TABLE IF NOT EXISTS "canvas__things__open"',
        f'{PLACE} ADD COLUMN "open" integer',
        f'{PLACE} ADD CONSTRAINT "fk_canvas__things_open" FOREIGN KEY',
        f'{PLACE} MODIFY COLUMN "size" bigint',
        f'{PLACE} MODIFY COLUMN "state" ENUM',
    ]


def test_what_is_done_is_not_done_again() -> None:
    assert evolve(DIALECT, BEFORE, AFTER, NEW, drop_columns=False) == []
    half = found(size("bigint(20)"), *NEW.columns[2:])
    assert evolve(DIALECT, BEFORE, AFTER, half, drop_columns=False) == [DIALECT.refer(AFTER, AFTER.columns[-1])]


def test_a_column_that_was_kept_comes_back() -> None:
    without = table_of({"size": INT32})
    same = found(size("int"), Existing("more", "int(11)", required=False))
    back = table_of({"size": INT32, "more": INT32 | {"default": 5}}, required=["more"], version=2)
    assert evolve(DIALECT, without, back, same, drop_columns=False) == [
        'UPDATE "canvas__things" SET "more" = 5 WHERE "more" IS NULL',
        f'{PLACE} MODIFY COLUMN "more" integer NOT NULL DEFAULT 5',
    ]
    other = found(size("int"), Existing("more", "mediumtext", required=False))
    assert evolve(DIALECT, without, back, other, drop_columns=False) == [
        f'{PLACE} DROP COLUMN "more"',
        f'{PLACE} ADD COLUMN "more" integer NOT NULL DEFAULT 5',
    ]


def test_a_dropped_column_that_is_gone_already_and_one_that_is_kept() -> None:
    after = table_of({"size": INT32}, version=2)
    assert evolve(DIALECT, BEFORE, after, found(size("int")), drop_columns=True) == []
    assert evolve(DIALECT, BEFORE, after, OLD, drop_columns=False) == []
    assert evolve(DIALECT, BEFORE, after, OLD, drop_columns=True) == [f'{PLACE} DROP COLUMN "state"']


def test_types_that_look_alike_but_mean_something_else() -> None:
    before = table_of({"v": {"type": "string", "format": "uuid"}})
    after = table_of({"v": {"type": "string", "format": "ipv6"}}, version=2)
    with pytest.raises(SchemaChangeNotSupportedError):
        evolve(DIALECT, before, after, found(Existing("v", "binary(16)", required=False)), drop_columns=False)


def test_another_key_cannot_be_altered_into_but_one_that_is_there_is_fine() -> None:
    after = table_of({"state": TEXT}, key={"id": INT64, "size": INT64}, version=2)
    with pytest.raises(SchemaChangeNotSupportedError):
        evolve(DIALECT, BEFORE, after, OLD, drop_columns=False)
    there = Existing("size", "bigint", required=True), Existing("state", "mediumtext", required=False)
    assert evolve(DIALECT, BEFORE, after, found(*there, key=("id", "size")), drop_columns=False) == []


def test_a_conversion_that_broke_off_begins_anew() -> None:
    before, after = table_of({"v": {"type": "string", "format": "uuid"}}), table_of({"v": TEXT}, version=2)
    half = found(Existing("v", "binary(16)", required=False), Existing("dapkit_text", "varchar(36)", required=False))
    statements = evolve(DIALECT, before, after, half, drop_columns=False)
    assert statements[:2] == [
        f'{PLACE} DROP COLUMN "dapkit_text"',
        f'{PLACE} ADD COLUMN "dapkit_text" varchar(36)',
    ]


def test_indexes_of_the_users_own() -> None:
    definition = (
        'CREATE TABLE "t" (\n  "id" bigint(20) NOT NULL,\n  PRIMARY KEY ("id"),\n  UNIQUE KEY "one" ("a"),\n'
        '  KEY "two" ("b"(10),"c"),\n  KEY "fk_canvas__things_open" ("open"),\n  FULLTEXT KEY "words" ("d"),\n'
        '  CONSTRAINT "fk_canvas__things_open" FOREIGN KEY ("open") REFERENCES "x" ("id")\n) ENGINE=InnoDB'
    )
    assert own_indexes(definition) == [
        'UNIQUE KEY "one" ("a")', 'KEY "two" ("b"(10),"c")', 'FULLTEXT KEY "words" ("d")',
    ]  # fmt: skip
