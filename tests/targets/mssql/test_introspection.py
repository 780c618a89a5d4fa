"""Rows of the catalogue become a table."""

from dapkit.targets.mssql.introspection import existing_table, layout_of, type_text
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex

COLUMNS = [
    ("id", "bigint", 8, 19, 0, False, None, None, None, False, None, None),
    ("name", "varchar", 1020, 0, 0, True, "df_name_abc", None, 1252, False, "('x')", "Latin1_General_CI_AS"),
    ("state", "int", 4, 10, 0, False, None, "fk_canvas_things_state", None, False, None, None),
    ("part", "decimal", 5, 5, 2, True, None, None, None, False, None, None),
]
INDEXES = [
    ("pk_canvas_things", True, True, False, 1, None, "id", False, False),
    ("mine", False, True, False, 2, "([name] IS NOT NULL)", "name", True, False),
    ("mine", False, True, False, 2, "([name] IS NOT NULL)", "state", False, False),
    ("mine", False, True, False, 2, "([name] IS NOT NULL)", 'pa"rt', False, True),
    ("uq", False, True, True, 2, None, "name", False, False),
]


def test_columns_key_and_the_indexes_of_the_user() -> None:
    existing = existing_table('"canvas"."things"', COLUMNS, INDEXES)
    assert list(existing.columns.values()) == [
        ExistingColumn(name="id", type="bigint", required=True),
        ExistingColumn(
            name="name", type="varchar(1020)", required=False, default="df_name_abc", code_page=1252,
            collation="Latin1_General_CI_AS",
        ),
        ExistingColumn(name="state", type="int", required=True, reference="fk_canvas_things_state"),
        ExistingColumn(name="part", type="decimal(5,2)", required=False),
    ]  # fmt: skip
    assert (existing.key, existing.key_name) == (("id",), "pk_canvas_things")
    definition = (
        'CREATE UNIQUE INDEX "mine" ON "canvas"."things" ("name" DESC, "state") INCLUDE ("pa""rt")'
        " WHERE ([name] IS NOT NULL)"
    )
    columns = frozenset({"name", "state", 'pa"rt'})
    assert existing.indexes == (ExistingIndex(name="mine", definition=definition, columns=columns),)


def test_no_table() -> None:
    existing = existing_table("t", [], [])
    assert (dict(existing.columns), existing.key, existing.key_name, existing.indexes) == ({}, (), None, ())


def test_types() -> None:
    assert type_text("varchar", -1, 0, 0) == "varchar(max)"
    assert type_text("nvarchar", 20, 0, 0) == "nvarchar(10)"
    assert type_text("nvarchar", -1, 0, 0) == "nvarchar(max)"
    assert type_text("binary", 16, 0, 0) == "binary(16)"
    assert type_text("datetime2", 8, 27, 7) == "datetime2"


def test_a_layout_is_free_of_its_namespace_and_of_the_names_of_defaults() -> None:
    elsewhere = [
        tuple(part.replace("canvas", "scratch") if isinstance(part, str) else part for part in row) for row in COLUMNS
    ]
    named = [(*row[:6], row[6] and "df_name_xyz", *row[7:]) for row in elsewhere]
    keys = [("pk_scratch_things", *INDEXES[0][1:]), *INDEXES[1:]]
    assert layout_of("canvas", COLUMNS, INDEXES, {}) == layout_of("scratch", named, keys, {})
    assert layout_of("canvas", COLUMNS, INDEXES, {}) != layout_of("canvas", COLUMNS[:-1], INDEXES, {})
    assert layout_of("canvas", COLUMNS, INDEXES, {}) != layout_of("canvas", COLUMNS, INDEXES[1:], {})
    assert ("pk_things", "id", True) in layout_of("canvas", COLUMNS, INDEXES, {})


def test_narrow_texts_count_as_wide_in_a_layout() -> None:
    narrow = [(*row[:2], 255, *row[3:]) if row[0] == "name" else row for row in COLUMNS]
    equal = {("name", "varchar(255)"): "varchar(1020)"}
    wide = layout_of("canvas", COLUMNS, INDEXES, equal)
    assert layout_of("canvas", narrow, INDEXES, equal) == wide
    assert layout_of("canvas", narrow, INDEXES, {("other", "varchar(255)"): "varchar(1020)"}) != wide
