"""The SQL of SQLite: types, and tables that are copied because SQLite cannot alter them."""

import pytest
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, table_of
from tests.targets import planned_changes
from tests.targets.planned_changes import existing_table

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex
from dapkit.targets.sqlite.dialect import SqliteDialect, table_words

SQL = SqliteDialect()
TABLE = table_of({"name": TEXT, "size": INT32}, required=["name"])
ID = ExistingColumn(name="id", type="INTEGER", required=True)
NAME = ExistingColumn(name="name", type="TEXT", required=True)
SIZE = ExistingColumn(name="size", type="INTEGER")
COLUMNS = (ID, NAME, SIZE)


def altered(
    before: Table, after: Table, columns: tuple[ExistingColumn, ...] = COLUMNS, *, index: str = "", drop: bool = False
) -> list[str]:
    indexes = (ExistingIndex(name="mine", definition=index),) if index else ()
    existing = existing_table(columns, indexes=indexes)
    return planned_changes.altered(SQL, before, after, existing, drop_columns=drop)


@pytest.mark.parametrize(
    ("family", "type_"),
    [
        ("int16", "INTEGER"), ("int-enum", "INTEGER"), ("float32", "REAL"), ("decimal", "NUMERIC"),
        ("decimal-large", "TEXT"), ("boolean", "BOOLEAN"), ("date-time", "TEXT"), ("enum", "TEXT"),
        ("object", "TEXT"), ("array-int", "TEXT"), ("uuid", "TEXT"),
    ],
)  # fmt: skip
def test_types(family: str, type_: str) -> None:
    table = table_of({"v": FAMILIES[family][0]})
    assert SQL.type_of(table, table.value[0]) == type_


def test_a_table_is_created_with_its_key() -> None:
    assert SQL.create_table(TABLE) == [
        'CREATE TABLE "canvas__things" ("id" INTEGER NOT NULL, "name" TEXT NOT NULL, "size" INTEGER,'
        ' PRIMARY KEY ("id"))'
    ]
    assert SQL.add_key(TABLE) == []


def test_a_change_that_no_column_shows_needs_nothing() -> None:
    wider = table_of({"name": TEXT, "size": INT64}, required=["name"], version=2)
    assert altered(TABLE, wider, index="CREATE INDEX x") == []


def test_a_new_column_is_added_in_place() -> None:
    nodes = {"name": TEXT, "size": INT32, "more": TEXT | {"default": "it's"}}
    after = table_of(nodes, required=["name", "more"], version=2)
    assert altered(TABLE, after) == ["""ALTER TABLE "canvas__things" ADD COLUMN "more" TEXT DEFAULT 'it''s' NOT NULL"""]


def test_a_copied_table_keeps_everything_that_it_has() -> None:
    after = table_of({"name": TEXT, "size": TEXT}, version=2)
    own = "CREATE INDEX mine ON canvas__things (size)"
    assert altered(TABLE, after, (*COLUMNS, ExistingColumn(name="mine", type="BLOB", default="1")), index=own) == [
        'DROP TABLE IF EXISTS "dapkit_copy"',
        'CREATE TABLE "dapkit_copy" ("id" INTEGER NOT NULL, "name" TEXT, "size" TEXT, "mine" BLOB DEFAULT 1,'
        ' PRIMARY KEY ("id"))',
        'INSERT INTO "dapkit_copy" ("id", "name", "size", "mine") SELECT "id", "name", "size", "mine"'
        ' FROM "canvas__things"',
        'DROP TABLE "canvas__things"',
        'ALTER TABLE "dapkit_copy" RENAME TO "canvas__things"',
        own,
    ]


def test_a_column_that_is_removed_from_the_schema_and_added_again() -> None:
    without = table_of({"size": INT32}, version=2)
    kept = altered(TABLE, without)
    assert '"name" TEXT, "size"' in kept[1]
    dropped = altered(TABLE, without, drop=True)
    assert '"name"' not in dropped[1] + dropped[2]
    nullable = (ID, ExistingColumn(name="name", type="TEXT"), SIZE)
    same = table_of({"name": TEXT, "size": INT32}, version=3)
    assert altered(without, same, nullable) == []
    other = table_of({"name": INT32 | {"default": 7}, "size": INT32}, required=["name"], version=3)
    copied = altered(without, other, nullable)
    assert '"name" INTEGER DEFAULT 7 NOT NULL' in copied[1]
    assert 'SELECT "id", coalesce(NULL, 7), "size"' in copied[2]


@pytest.mark.parametrize("family", ["date-time", "boolean", "float64", "decimal"])
def test_a_value_that_would_read_differently_as_text_is_not_altered(family: str) -> None:
    before, after = table_of({"v": FAMILIES[family][0]}), table_of({"v": TEXT}, version=2)
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(before, after, (ID, ExistingColumn(name="v", type="TEXT")))


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("CREATE TABLE \"check\" (\"collate\" TEXT DEFAULT 'it''s STRICT', [conflict] TEXT, `rowid` TEXT)", set()),
        ("CREATE TABLE t (a TEXT collate nocase, b INTEGER CHECK (b > 0))", {"COLLATE", "CHECK"}),
        (
            "CREATE TABLE t (a TEXT PRIMARY KEY ON CONFLICT REPLACE) STRICT, WITHOUT ROWID",
            {"CONFLICT", "STRICT", "ROWID"},
        ),
    ],
)
def test_properties_that_only_the_definition_shows(definition: str, words: set[str]) -> None:
    assert table_words(definition) == words
