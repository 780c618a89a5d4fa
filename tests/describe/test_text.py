"""The description of a table for people."""

import pytest
from tests.describe.examples import ID, comments, described, enrollments, users

from dapkit.describe.text import table_lines


def test_a_table_is_described_in_four_parts() -> None:
    assert table_lines(enrollments(), None) == [
        "canvas.enrollments, schema version 3",
        "Key: id",
        "",
        "column    type   null  meaning",
        "id        int64  no",
        "user_id   int64  no    The user.",
        "batch_id  int64  yes",
        "",
        "column    refers to",
        "user_id   canvas.users.id",
        "batch_id  canvas.batches (columns not known)",
        "",
        "referred to by   column",
        "canvas.states    enrollment_id",
        "canvas.comments  context_id (to one of several tables)",
    ]


def test_a_column_that_refers_to_one_of_several_tables_names_all() -> None:
    lines = table_lines(comments(), None)
    assert "context_id  canvas.users.id or canvas.enrollments.id or canvas.batches (columns not known)" in lines


def test_a_table_without_relations_says_so() -> None:
    table = described("novelties", {}, key={"a": ID, "b": ID})
    assert table_lines(table, None)[1] == "Key: a, b"
    assert table_lines(table, None)[-1] == "No relations to other tables are known."


def test_the_fields_of_an_object_have_the_name_of_their_column() -> None:
    node = {"type": "object", "properties": {"inner": {"type": "object", "properties": {"a": ID}}}}
    lines = table_lines(described("things", {"one": node, "many": {"type": "array", "items": node}}), None)
    names = [line.split()[0] for line in lines if line.startswith(("one", "many"))]
    assert names == ["one", "one.inner", "one.inner.a", "many", "many[].inner", "many[].inner.a"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    meaning = "A long explanation of what this column contains. " * 4
    table = users(bio={"type": "string", "description": meaning})
    lines = table_lines(table, width)
    assert max(map(len, lines)) <= width
    assert meaning.rsplit(maxsplit=1)[-1] in " ".join(lines)
