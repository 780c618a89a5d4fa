import json

from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import Catalogue, Column, Kind, Table, spec_tables
from dapkit.sandbox.data.json_schema import json_schema


def schema_of(**facts: object) -> dict[str, object]:
    column = Column(name="c", **facts)  # type: ignore[arg-type]  # the arguments come from the test
    table = Table(namespace="n", name="t", key=(), value=(column,))
    properties = json_schema(table)["properties"]["value"]["properties"]["c"]
    return {name: value for name, value in properties.items() if name != "description"}


def test_a_complete_schema() -> None:
    table = Table(
        namespace="canvas",
        name="user_notes",
        key=(Column(name="id", kind=Kind.INT64),),
        value=(
            Column(name="user_id", kind=Kind.INT32, nullable=True, references=("canvas.users",)),
            Column(name="text", kind=Kind.STRING, max_length=9),
        ),
    )
    title = "The user notes of canvas."
    assert json_schema(table) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "meta": {
                "type": "object",
                "properties": {
                    "ts": {"type": "string", "format": "date-time"},
                    "action": {"type": "string", "enum": ["U", "D"]},
                },
                "required": ["ts"],
                "additionalProperties": False,
            },
            "key": {
                "title": title,
                "type": "object",
                "properties": {"id": {"type": "integer", "format": "int64", "description": "Id."}},
                "required": ["id"],
                "additionalProperties": False,
            },
            "value": {
                "title": title,
                "type": "object",
                "properties": {
                    "user_id": {
                        "type": "integer",
                        "format": "int32",
                        "description": "User id: the key of users.",
                    },
                    "text": {"type": "string", "maxLength": 9, "description": "Text."},
                },
                "required": ["text"],
                "additionalProperties": False,
            },
        },
        "required": ["key"],
        "additionalProperties": False,
    }


def test_kinds_that_are_more_than_type_and_format() -> None:
    marker = {"type": "string", "const": "__dap_oversized_truncated__"}
    assert schema_of(kind=Kind.TRUNCATABLE) == {"oneOf": [marker, {"type": "string"}]}
    assert schema_of(kind=Kind.TRUNCATABLE, max_length=5) == {"oneOf": [marker, {"type": "string", "maxLength": 5}]}
    enumeration = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
    assert schema_of(kind=Kind.ENUM, values=("a", "b")) == enumeration
    unspecified = {"type": "string", "enum": ["__dap_unspecified__"]}
    assert schema_of(kind=Kind.OPEN_ENUM, values=("a", "b")) == {"oneOf": [unspecified, {"type": "string"}]}
    assert schema_of(kind=Kind.INTEGER_ENUM, values=(1, 2)) == {
        "type": "integer",
        "format": "int32",
        "enum": [1, 2],
    }
    assert schema_of(kind=Kind.DECIMAL, precision=5, scale=2) == {
        "type": "number",
        "multipleOf": 0.01,
        "exclusiveMinimum": -1000,
        "exclusiveMaximum": 1000,
    }
    assert schema_of(kind=Kind.IP) == {
        "oneOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]
    }
    assert schema_of(kind=Kind.ARRAY, items=Column(name="", kind=Kind.INT64)) == {
        "type": "array",
        "items": {"type": "integer", "format": "int64"},
    }
    assert schema_of(kind=Kind.OBJECT, fields=(Column(name="f", kind=Kind.BOOLEAN),)) == {
        "title": "Type extracted from column c",
        "type": "object",
        "properties": {"f": {"type": "boolean"}},
        "required": ["f"],
        "additionalProperties": False,
    }
    assert schema_of(kind=Kind.FREE_OBJECT) == {"type": "object"}
    assert schema_of(kind=Kind.ANY) == {}


def test_every_table_has_a_schema_of_its_columns() -> None:
    for table in Catalogue((*spec_tables(), *edge_cases.TABLES)):
        schema = json.loads(json.dumps(json_schema(table)))
        properties = schema["properties"]
        assert list(properties["key"]["properties"]) == [column.name for column in table.key]
        assert list(properties["value"]["properties"]) == [column.name for column in table.value]
