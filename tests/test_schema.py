"""Which types hold the values of which others."""

from dataclasses import replace

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.schema import column_descriptions, difference, read_table, widens

FLOAT32, FLOAT64 = ({"type": "number", "format": form} for form in ("float32", "float64"))
ENUM, MORE = ({"type": "string", "enum": values} for values in (["a", "b"], ["b", "a", "c"]))
OPEN: Node = {"oneOf": [ENUM, TEXT]}
SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 9}
DATE, MOMENT, UUID, IPV4 = ({"type": "string", "format": form} for form in ("date", "date-time", "uuid", "ipv4"))
FEW: Node = {"type": "number", "multipleOf": 0.01, "exclusiveMaximum": 1000}
MANY: Node = {"type": "number", "multipleOf": 0.001, "exclusiveMaximum": 1000}


def numbers(items: Node) -> Node:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (INT32, INT64), (INT32, FLOAT64), (INT64, TEXT), (FLOAT32, FLOAT64), (SHORT, LONG), (LONG, TEXT), (ENUM, MORE),
        (ENUM, OPEN), (OPEN, TEXT), (DATE, TEXT), (UUID, TEXT), (IPV4, TEXT), (FEW, MANY),
        (numbers(INT32), numbers(INT64)),
    ],
)  # fmt: skip
def test_a_type_widens_in_one_direction(narrow: Node, wide: Node) -> None:
    before, after = (table_of({"v": node}).value[0].type for node in (narrow, wide))
    assert widens(before, after)
    assert widens(before, before)
    assert not widens(after, before)


@pytest.mark.parametrize(
    ("one", "other"), [(INT64, FLOAT64), (MOMENT, TEXT), (MOMENT, DATE), (FLOAT64, TEXT), (ENUM, SHORT), (UUID, IPV4)]
)
def test_types_of_which_neither_widens_the_other(one: Node, other: Node) -> None:
    before, after = (table_of({"v": node}).value[0].type for node in (one, other))
    assert not widens(before, after)
    assert not widens(after, before)


def test_difference() -> None:
    before = table_of({"a": INT32, "b": TEXT, "c": TEXT}, required=["b"])
    after = table_of({"a": INT64, "b": TEXT, "d": TEXT})
    change = difference(before, after)
    assert [column.name for column in change.added] == ["d"]
    assert [column.name for column in change.dropped] == ["c"]
    assert [old.name for old, _ in change.altered] == ["a", "b"]
    assert not change.key_changed
    assert not change.empty
    assert difference(before, before).empty
    assert difference(before, table_of({}, key={"a": INT32})).key_changed


def test_key_columns_are_always_required() -> None:
    schema = table_of({"a": INT32}).schema
    properties = schema.document["properties"]
    key = {name: node for name, node in properties["key"].items() if name != "required"}
    document = {**schema.document, "properties": {**properties, "key": key}}
    table = read_table(replace(schema, document=document))
    assert [column.required for column in table.columns] == [True, False]


def test_the_title_of_the_whole_schema_comes_first() -> None:
    table = table_of({"a": INT32})
    assert table.comment == table.schema.document["properties"]["key"]["title"]
    titled = replace(table.schema, document={**table.schema.document, "title": "All things"})
    assert read_table(titled).comment == "All things"


def test_descriptions_are_those_of_the_columns_not_their_titles() -> None:
    described = {**TEXT, "title": "A title", "description": "A description"}
    table = table_of({"a": described, "b": {**TEXT, "title": "Another title"}, "c": {**TEXT, "description": 5}})
    assert column_descriptions(table.schema) == {"a": "A description"}
    assert table.columns[1].comment == "A title"
    assert column_descriptions(replace(table.schema, document={})) == {}
