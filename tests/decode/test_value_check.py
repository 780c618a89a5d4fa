"""The first value that is not of its column's type is named; values that a database stores or repairs are not."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.values import FAMILIES
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import Layout, Row, deleted, write_parts

from dapkit.decode.value_check import find_bad_value, shown_value


def found(folder: Path, node: Node, *values: Any) -> str | None:
    table = table_of({"v": node})
    rows = [Row({"id": number, "v": value}) for number, value in enumerate(values)]
    return find_bad_value(write_parts(folder, table, rows, Layout(action=False)).paths, table)


@pytest.mark.parametrize("family", FAMILIES)
def test_good_values(tmp_path: Path, family: str) -> None:
    node, values = FAMILIES[family]
    assert found(tmp_path, node, *values, None) is None


@pytest.mark.parametrize(
    ("node", "text", "problem"),
    [
        ({"type": "integer", "format": "int16"}, "32768", "a 16-bit integer"),
        (INT32, "", "a 32-bit integer"),
        (INT64, "1.0", "a 64-bit integer"),
        (FAMILIES["float64"][0], "many", "a number"),
        (FAMILIES["decimal"][0], "1000.00", "a decimal of the column's size"),
        (FAMILIES["decimal"][0], "x", "a decimal of the column's size"),
        (FAMILIES["boolean"][0], "maybe", "true or false"),
        (FAMILIES["date-time"][0], "2024-13-01T00:00:00Z", "a date-time"),
        (FAMILIES["date"][0], "yesterday", "a date"),
        (FAMILIES["time"][0], "25:00:00", "a time"),
        (FAMILIES["uuid"][0], "550e8400", "a UUID"),
        (FAMILIES["ipv4"][0], "::1", "an IPv4 address"),
        (FAMILIES["ipv6"][0], "127.0.0.1", "an IPv6 address"),
        (FAMILIES["ip"][0], "localhost", "an IP address"),
        (FAMILIES["object"][0], "{", "JSON"),
        ({}, "", "JSON"),
        (FAMILIES["array-int"][0], "{}", "a JSON list of the column's type"),
        (FAMILIES["array-int"][0], '[1, "x"]', "a JSON list of the column's type"),
    ],
)
def test_bad_values(tmp_path: Path, node: Node, text: str, problem: str) -> None:
    assert found(tmp_path, node, None, text) == f"Column v has the value {text!r} (id 1), which is not {problem}"


def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    text = "é" * 6
    message = f"Column v has the value {text!r} (id 0), which is longer than the schema allows"
    assert found(tmp_path, TEXT | {"maxLength": 5}, text) == message


@pytest.mark.parametrize("text", ["Infinity", "NaN"])
def test_values_that_some_databases_repair(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, FAMILIES["float64"][0], text) is None
    assert found(tmp_path, FAMILIES["date-time"][0], "+12024-01-01T00:00:00Z", "-0044-03-15T00:00:00Z") is None
    assert found(tmp_path, FAMILIES["enum"][0], "new") is None


def test_only_deleted_rows_may_lack_required_values(tmp_path: Path) -> None:
    table = table_of({"v": TEXT}, required=["v"])

    def problem(row: Row) -> str | None:
        return find_bad_value(write_parts(tmp_path, table, [row], Layout(action=True)).paths, table)

    assert problem(deleted(id=1)) is None
    assert problem(Row({"id": 1})) == "Column v has no value (id 1), although it must have one"
    assert problem(deleted()) == "Column id has no value (id None), although it must have one"


def test_long_values_are_shortened_and_control_characters_escaped() -> None:
    assert shown_value("x" * 100) == repr("x" * 100)
    assert shown_value("\x1b" * 101) == "'" + json.dumps("\x1b")[1:-1].replace("\\u00", "\\x") * 100 + "…'"
