"""The known relations between tables."""

from tests.describe.examples import line, relations

from dapkit import spec
from dapkit.describe.relations import TableKey, known_relations, read_relations


def test_a_reference_knows_its_column_and_the_key_that_it_refers_to() -> None:
    (reference,) = (each for each in relations().of("canvas.enrollments") if each.column == "user_id")
    assert (reference.table, reference.nullable, reference.key) == ("canvas.enrollments", False, False)
    assert reference.targets == (TableKey(table="canvas.users", column="id"),)


def test_a_column_that_is_the_key_of_its_table_is_marked() -> None:
    (state,) = relations().of("canvas.states")
    assert state.key


def test_a_table_without_known_columns_has_no_key() -> None:
    (_, batch) = relations().of("canvas.enrollments")
    assert batch.targets == (TableKey(table="canvas.batches", column=None),)
    assert batch.nullable


def test_a_composite_key_cannot_be_referred_to() -> None:
    rows = [line("a", "x", key=True), line("a", "y", key=True), line("b", "a_x", "canvas.a", key=True)]
    (reference,) = read_relations(rows).of("canvas.b")
    assert reference.targets == (TableKey(table="canvas.a", column=None),)


def test_references_to_a_table_include_those_to_one_of_several_tables() -> None:
    found = relations().to("canvas.users")
    assert [(each.table, each.column) for each in found] == [
        ("canvas.users", "merged_into_user_id"),
        ("canvas.enrollments", "user_id"),
        ("canvas.comments", "context_id"),
    ]


def test_all_references_of_the_catalogue_are_read() -> None:
    rows = [row for row in spec.rows("tables.csv") if row["references"]]
    known = known_relations().references
    assert [(each.table, each.column) for each in known] == [
        (f"{row['namespace']}.{row['table']}", row["column"]) for row in rows
    ]
    assert [
        (each.column, target.column)
        for each in known_relations().of("canvas.enrollment_states")
        for target in each.targets
    ] == [("enrollment_id", "id")]
