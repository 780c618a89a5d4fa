"""What is known of a table, as one value."""

from typing import Any

import pytest
from tests.describe.examples import ID, described, enrollments, users

from dapkit.describe.description import ColumnDescription

MARKER = {"type": "string", "const": "__dap_oversized_truncated__"}


def column(node: dict[str, Any]) -> ColumnDescription:
    return described("things", {"x": node}).columns[1]


def test_key_columns_are_first_and_never_null() -> None:
    table = enrollments()
    assert table.key == ("id",)
    assert [(each.name, each.nullable) for each in table.columns] == [
        ("id", False),
        ("user_id", False),
        ("batch_id", True),
    ]
    assert (table.qualified, table.version) == ("canvas.enrollments", 3)


def test_the_meaning_is_the_description_in_one_line() -> None:
    node = {"type": "string", "title": "Type extracted from column x", "description": "First\n  and second."}
    assert column(node).meaning == "First and second."
    assert column({"type": "string", "title": "A title"}).meaning == "A title"
    assert column({"type": "string"}).meaning == ""
    assert users().meaning == "All users."


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ({"type": "integer", "format": "int32"}, "int32"),
        ({"type": "string"}, "text"),
        ({"type": "string", "maxLength": 255}, "text(255)"),
        ({"type": "number", "multipleOf": 0.01, "exclusiveMaximum": 1000}, "decimal(5,2)"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": "array", "items": {"type": "string", "maxLength": 9}}, "array of text(9)"),
        ({"type": "object"}, "untyped"),
        ({"type": "object", "properties": {"a": ID}}, "object"),
        ({"oneOf": [{"type": "string", "enum": ["a"]}, {"type": "string"}]}, "open-enum"),
    ],
)
def test_types_are_named_in_the_terms_of_the_service(node: dict[str, Any], name: str) -> None:
    assert column(node).type == name


def test_the_values_of_an_enum_leave_out_the_marker() -> None:
    kind = {"type": "string", "enum": ["active", "deleted", "__dap_unspecified__"], "description": "The state."}
    assert column(kind).values == ("active", "deleted")
    assert column(kind).text == "The state. Values: active, deleted."
    assert column({"type": "array", "items": kind}).values == ("active", "deleted")


def test_texts_that_may_be_truncated_say_so() -> None:
    body = column({"oneOf": [MARKER, {"type": "string"}], "description": "The body."})
    assert (body.type, body.truncatable, body.text) == ("text", True, "The body. May be truncated.")


def test_fields_of_objects_and_of_objects_in_arrays_are_described() -> None:
    node = {"type": "object", "properties": {"theme": {"type": "string", "description": "Its theme."}, "count": ID}}
    for each in (column(node), column({"type": "array", "items": node})):
        assert [(field.name, field.type, field.meaning) for field in each.fields] == [
            ("theme", "text", "Its theme."),
            ("count", "int64", ""),
        ]


def test_the_schema_is_newer_than_the_catalogue() -> None:
    table = described("enrollments", {"user_id": ID})
    assert [(each.column, each.nullable) for each in table.references] == [("user_id", True)]


def test_a_table_that_refers_to_itself_has_the_relation_on_both_sides() -> None:
    table = users()
    assert "merged_into_user_id" in [each.column for each in table.references]
    assert ("canvas.users", "merged_into_user_id") in [(each.table, each.column) for each in table.referenced_by]
    gone = described("users", {"name": {"type": "string"}})
    assert "canvas.users" not in [each.table for each in gone.referenced_by]


def test_an_unknown_table_has_no_relations() -> None:
    table = described("novelties", {"user_id": ID})
    assert (table.references, table.referenced_by) == ((), ())
