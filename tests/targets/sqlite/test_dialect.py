"""What SQLite is told, as text."""

import pytest
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, table_of

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.targets.sqlite.dialect import Existing, SqliteDialect, bounds

SQL = SqliteDialect()
TABLE = table_of({"name": TEXT, "size": INT32}, required=["name"])
COLUMNS = [
    Existing("id", "INTEGER", required=True, default=None),
    Existing("name", "TEXT", required=True, default=None),
    Existing("size", "INTEGER", required=False, default=None),
]


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


def test_a_table_is_made_with_its_key() -> None:
    assert SQL.create_table(TABLE) == [
        'CREATE TABLE "canvas__things" ("id" INTEGER NOT NULL, "name" TEXT NOT NULL, "size" INTEGER,'
        ' PRIMARY KEY ("id"))'
    ]
    assert SQL.add_key(TABLE) == []


def test_what_no_column_shows_needs_nothing() -> None:
    wider = table_of({"name": TEXT, "size": INT64}, required=["name"], version=2)
    assert SQL.evolve(TABLE, wider, COLUMNS, ["CREATE INDEX x"], drop_columns=False) == []


def test_a_new_column_is_added_in_place() -> None:
    nodes = {"name": TEXT, "size": INT32, "more": TEXT | {"default": "it's"}}
    after = table_of(nodes, required=["name", "more"], version=2)
    (statement,) = SQL.evolve(TABLE, after, COLUMNS, [], drop_columns=False)
    assert statement == """ALTER TABLE "canvas__things" ADD COLUMN "more" TEXT DEFAULT 'it''s' NOT NULL"""


def test_the_table_is_made_anew_with_all_that_it_has() -> None:
    after = table_of({"name": TEXT, "size": TEXT}, version=2)
    own = "CREATE INDEX mine ON canvas__things (size)"
    existing = [*COLUMNS, Existing("mine", "BLOB", required=False, default="1")]
    assert SQL.evolve(TABLE, after, existing, [own], drop_columns=False) == [
        'DROP TABLE IF EXISTS "dapkit_anew"',
        'CREATE TABLE "dapkit_anew" ("id" INTEGER NOT NULL, "name" TEXT, "size" TEXT, "mine" BLOB DEFAULT 1,'
        ' PRIMARY KEY ("id"))',
        'INSERT INTO "dapkit_anew" ("id", "name", "size", "mine") SELECT "id", "name", "size", "mine"'
        ' FROM "canvas__things"',
        'DROP TABLE "canvas__things"',
        'ALTER TABLE "dapkit_anew" RENAME TO "canvas__things"',
        own,
    ]


def test_a_column_that_is_gone_and_comes_back() -> None:
    without = table_of({"size": INT32}, version=2)
    kept = SQL.evolve(TABLE, without, COLUMNS, [], drop_columns=False)
    assert '"name" TEXT, "size"' in kept[1]
    dropped = SQL.evolve(TABLE, without, COLUMNS, [], drop_columns=True)
    assert '"name"' not in dropped[1] + dropped[2]
    nullable = [COLUMNS[0], Existing("name", "TEXT", required=False, default=None), COLUMNS[2]]
    same = table_of({"name": TEXT, "size": INT32}, version=3)
    assert SQL.evolve(without, same, nullable, [], drop_columns=False) == []
    other = table_of({"name": INT32 | {"default": 7}, "size": INT32}, required=["name"], version=3)
    anew = SQL.evolve(without, other, nullable, [], drop_columns=False)
    assert '"name" INTEGER DEFAULT 7 NOT NULL' in anew[1]
    assert 'SELECT "id", coalesce(NULL, 7), "size"' in anew[2]


@pytest.mark.parametrize("family", ["date-time", "boolean", "float64", "decimal"])
def test_what_would_read_otherwise_as_text_is_not_altered(family: str) -> None:
    before, after = table_of({"v": FAMILIES[family][0]}), table_of({"v": TEXT}, version=2)
    existing = [COLUMNS[0], Existing("v", "TEXT", required=False, default=None)]
    with pytest.raises(SchemaChangeNotSupportedError):
        SQL.evolve(before, after, existing, [], drop_columns=False)


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
def test_what_a_table_is_bound_by(definition: str, words: set[str]) -> None:
    assert bounds(definition) == words
