"""The sources of a dbt project, read back as dbt reads them."""

from typing import Any

import pytest
import yaml
from tests.describe.examples import ID, comments, described, enrollments, users

from dapkit.describe.dbt_sources import dbt_sources, untested_tables
from dapkit.describe.description import TableDescription


def sources(*tables: TableDescription) -> list[dict[str, Any]]:
    document = yaml.safe_load(dbt_sources(tables))
    assert set(document) == {"version", "sources"}
    assert document["version"] == 2
    found: list[dict[str, Any]] = document["sources"]
    return found


def checks_of(table: TableDescription, column: str, *others: TableDescription) -> list[Any]:
    (source,) = sources(table, *others)
    (found,) = (each for each in source["tables"][0]["columns"] if each["name"] == column)
    tests: list[Any] = found.get("data_tests", [])
    return tests


def test_each_namespace_is_a_source_with_a_schema_of_its_name() -> None:
    found = sources(users(), described("orders", {}, namespace="catalog"), enrollments())
    assert [(each["name"], each["schema"]) for each in found] == [("canvas", "canvas"), ("catalog", "catalog")]
    assert [table["name"] for table in found[0]["tables"]] == ["users", "enrollments"]
    assert [table["name"] for table in found[1]["tables"]] == ["orders"]
    assert all(set(each) == {"name", "schema", "tables"} for each in found)


def test_meanings_are_descriptions() -> None:
    (source,) = sources(users(bio={"type": "string", "description": 'Says "yes: no" # and more'}))
    (table,) = source["tables"]
    assert table["description"] == "All users."
    columns = {each["name"]: each for each in table["columns"]}
    assert columns["bio"]["description"] == 'Says "yes: no" # and more'
    assert "description" not in columns["name"]


def test_descriptions_are_not_interpreted_by_dbt() -> None:
    text = "{{ ref('x') }}, {% raw %}, {# no #}, {{{ and {a}"
    (source,) = sources(users(bio={"type": "string", "description": text}))
    written = source["tables"][0]["columns"][-1]["description"]
    assert written.replace("{{ '{' }}", "{") == text
    # What is left after the escapes contains nothing that begins an expression.
    assert not any(mark in written.replace("{{ '{' }}", "") for mark in ("{{", "{%", "{#"))


def test_a_key_is_unique_and_never_null() -> None:
    assert checks_of(users(), "id") == ["unique", "not_null"]


def test_the_columns_of_a_composite_key_are_not_unique_alone() -> None:
    table = described("pairs", {}, key={"a": ID, "b": ID})
    assert checks_of(table, "a") == checks_of(table, "b") == ["not_null"]


def test_a_column_that_may_be_null_has_no_tests() -> None:
    assert checks_of(users(), "name") == []


def test_a_reference_is_tested_if_its_table_is_a_source() -> None:
    relationship = {
        "relationships": {
            "arguments": {"to": "source('canvas', 'users')", "field": "id"},
            "config": {"severity": "warn"},
        }
    }
    assert checks_of(enrollments(), "user_id", users()) == ["not_null", relationship]
    assert checks_of(users(), "merged_into_user_id") == [
        {"relationships": {**relationship["relationships"]}},
    ]
    assert checks_of(enrollments(), "user_id") == ["not_null"]


def test_references_to_one_of_several_tables_and_to_unknown_columns_are_not_tested() -> None:
    assert checks_of(comments(), "context_id", users(), enrollments()) == ["not_null"]
    assert checks_of(enrollments(), "batch_id", users()) == []


@pytest.mark.parametrize(
    ("tables", "missing"),
    [
        ([enrollments()], ("canvas.users",)),
        ([enrollments(), users()], ()),
        ([comments()], ()),
    ],
)
def test_tables_that_tests_would_need_are_named(tables: list[TableDescription], missing: tuple[str, ...]) -> None:
    assert untested_tables(tables) == missing
