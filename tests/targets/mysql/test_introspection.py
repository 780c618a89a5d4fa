"""Planning from the table as it exists, which may differ from its sync state."""

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.targets.planned_changes import altered, existing_table

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.introspection import user_indexes
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable

DIALECT = MySqlDialect()
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
BEFORE = table_of({"size": INT32, "state": {"type": "string", "enum": ["a", "b\\c"]}})
AFTER = table_of({"size": INT64, "state": {"type": "string", "enum": ["a", "b\\c", "d'"]}, "open": OPEN}, version=2)
ID = ExistingColumn(name="id", type="bigint(20)", required=True)
ALTER = 'ALTER TABLE "canvas__things"'


def column(name: str, type_: str, *, required: bool = False, reference: str | None = None) -> ExistingColumn:
    return ExistingColumn(name=name, type=type_, required=required, reference=reference)


def found(*columns: ExistingColumn, key: tuple[str, ...] = ("id",)) -> ExistingTable:
    return existing_table([ID, *columns], key=key)


def planned(before: Table, after: Table, existing: ExistingTable, *, drop_columns: bool = False) -> list[str]:
    return altered(DIALECT, before, after, existing, drop_columns=drop_columns, partly_altered=True)


def size(type_: str) -> ExistingColumn:
    return column("size", type_)


def state(type_: str) -> ExistingColumn:
    return column("state", type_)


OLD = found(size("int(11)"), state("enum('a','b\\\\c')"))
NEW = found(
    size("bigint"), state("enum('a','b\\c','d''')"), column("open", "int", reference="fk_canvas__things_open"),
)  # fmt: skip


def test_an_existing_table_that_matches_its_state() -> None:
    statements = planned(BEFORE, AFTER, OLD)
    assert [statement.split(" (")[0] for statement in statements] == [
        'CREATE TABLE IF NOT EXISTS "canvas__things__open"',
        f'{ALTER} ADD COLUMN "open" integer',
        f'{ALTER} ADD CONSTRAINT "fk_canvas__things_open" FOREIGN KEY',
        f'{ALTER} MODIFY COLUMN "size" bigint',
        f'{ALTER} MODIFY COLUMN "state" ENUM',
    ]


def test_completed_changes_are_not_repeated() -> None:
    assert planned(BEFORE, AFTER, NEW) == []
    half = found(size("bigint(20)"), *list(NEW.columns.values())[2:3], column("open", "int"))
    assert planned(BEFORE, AFTER, half) == [DIALECT.refer(AFTER, AFTER.columns[-1])]


def test_a_kept_column_is_used_again() -> None:
    without = table_of({"size": INT32})
    same = found(size("int"), column("more", "int(11)"))
    back = table_of({"size": INT32, "more": INT32 | {"default": 5}}, required=["more"], version=2)
    assert planned(without, back, same) == [
        'UPDATE "canvas__things" SET "more" = 5 WHERE "more" IS NULL',
        f'{ALTER} MODIFY COLUMN "more" integer NOT NULL DEFAULT 5',
    ]
    other = found(size("int"), column("more", "mediumtext"))
    assert planned(without, back, other) == [
        f'{ALTER} DROP COLUMN "more"',
        f'{ALTER} ADD COLUMN "more" integer NOT NULL DEFAULT 5',
    ]


def test_columns_to_drop_that_are_absent_or_kept() -> None:
    after = table_of({"size": INT32}, version=2)
    assert planned(BEFORE, after, found(size("int")), drop_columns=True) == []
    assert planned(BEFORE, after, OLD) == []
    assert planned(BEFORE, after, OLD, drop_columns=True) == [f'{ALTER} DROP COLUMN "state"']


def test_equal_database_types_with_different_meanings() -> None:
    before = table_of({"v": {"type": "string", "format": "uuid"}})
    after = table_of({"v": {"type": "string", "format": "ipv6"}}, version=2)
    with pytest.raises(SchemaChangeNotSupportedError):
        planned(before, after, found(column("v", "binary(16)")))


def test_a_changed_key_is_supported_only_if_it_exists_already() -> None:
    after = table_of({"state": TEXT}, key={"id": INT64, "size": INT64}, version=2)
    with pytest.raises(SchemaChangeNotSupportedError):
        planned(BEFORE, after, OLD)
    there = column("size", "bigint", required=True), column("state", "mediumtext")
    assert planned(BEFORE, after, found(*there, key=("id", "size"))) == []


def test_an_interrupted_conversion_starts_again() -> None:
    before, after = table_of({"v": {"type": "string", "format": "uuid"}}), table_of({"v": TEXT}, version=2)
    half = found(column("v", "binary(16)"), column("dapkit_text", "varchar(36)"))
    statements = planned(before, after, half)
    assert statements[:2] == [
        f'{ALTER} DROP COLUMN "dapkit_text"',
        f'{ALTER} ADD COLUMN "dapkit_text" varchar(36)',
    ]


def test_user_created_indexes() -> None:
    definition = (
        'CREATE TABLE "t" (\n  "id" bigint(20) NOT NULL,\n  PRIMARY KEY ("id"),\n  UNIQUE KEY "one" ("a"),\n'
        '  KEY "two" ("b"(10),"c"),\n  KEY "fk_canvas__things_open" ("open"),\n  FULLTEXT KEY "words" ("d"),\n'
        '  CONSTRAINT "fk_canvas__things_open" FOREIGN KEY ("open") REFERENCES "x" ("id")\n) ENGINE=InnoDB'
    )
    assert [index.definition for index in user_indexes(definition)] == [
        'UNIQUE KEY "one" ("a")', 'KEY "two" ("b"(10),"c")', 'FULLTEXT KEY "words" ("d")',
    ]  # fmt: skip
