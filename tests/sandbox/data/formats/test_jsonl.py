"""JSONL, read back by the standard library's JSON."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples


def read(content: bytes) -> list[dict[str, Any]]:
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    return [json.loads(line, parse_float=Decimal) for line in lines]


def test_every_kind(specimen: Any, write: Any) -> None:
    rows = read(write(specimen, "jsonl"))
    found = [row["value"].get("specimen", "absent") for row in rows]
    expected = [Decimal(c.text) if isinstance(c.json, float) else c.json for c in specimen.cells]
    assert found == [*expected, "absent", "absent"]
    assert [row["key"] for row in rows] == [{"id": i} for i in range(len(rows))]
    assert all(row["meta"] == {"ts": "2024-02-29T23:59:59.123Z"} for row in rows)


def test_members_stand_in_the_service_s_order(nested: Any, write: Any) -> None:
    first = read(write(nested, "jsonl", incremental=True))[0]
    assert list(first) == ["key", "value", "meta"]
    assert list(first["meta"]) == ["ts", "action"]


def test_deleted_rows_have_no_value(nested: Any, write: Any) -> None:
    *updated, deleted = read(write(nested, "jsonl", incremental=True))
    assert deleted == {
        "key": {"id": len(updated)},
        "meta": {"ts": "2024-02-29T23:59:59.123Z", "action": "D"},
    }
    assert all(row["meta"]["action"] == "U" and "value" in row for row in updated)


@pytest.mark.parametrize("mode", ["expanded", "condensed"])
def test_nested_columns_are_objects_in_both_modes(nested: Any, write: Any, mode: str) -> None:
    assert [row["value"] for row in read(write(nested, "jsonl", mode))] == [
        {"settings": {"theme": 'a"b\t', "deep": {"at": "2024-01-01T00:00:00.000Z", "list": ["\\"]}}},
        {"settings": {"theme": ""}},
        {"settings": {"deep": {"list": []}}},
        {},
        {},
        {},
    ]


@few_examples(15)
@given(data=st.data())
def test_any_text(values: Any, texts: Any, quote: Any, write: Any, data: st.DataObject) -> None:
    drawn = data.draw(texts)
    rows = read(write(values("string", map(quote, drawn)), "jsonl"))
    assert [row["value"].get("specimen") for row in rows] == [*drawn, None, None]


@few_examples(15)
@given(drawn=st.lists(st.floats(), min_size=1, max_size=20))
def test_any_number_round_trips(values: Any, write: Any, drawn: list[float]) -> None:
    rows = read(write(values("float64", (f"'{number!r}'" for number in drawn)), "jsonl"))
    found = [float(row["value"]["specimen"]) for row in rows[: len(drawn)]]
    assert list(map(repr, found)) == list(map(repr, drawn))
