"""Every value of every table fits its schema."""

import datetime
import ipaddress
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

import pytest

from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import TRUNCATED, UNSPECIFIED, Catalogue, Column, Kind, Table, spec_tables
from dapkit.sandbox.data.values import class_name, physical_type, table_name

Rows = Callable[[Table, int | None, int], tuple[tuple[Any, ...], ...]]
TABLES = tuple(Catalogue((*spec_tables(), *edge_cases.TABLES)))
BITS = {Kind.INT16: 15, Kind.INT32: 31, Kind.INT64: 63}


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_address(text: str, *versions: int) -> bool:
    return ipaddress.ip_address(text).version in versions


def fits_text(column: Column, value: str) -> bool:
    marker = column.kind is Kind.TRUNCATABLE and value == TRUNCATED
    return marker or column.max_length is None or len(value) <= column.max_length


def fits_decimal(column: Column, value: Decimal) -> bool:
    assert column.precision is not None
    assert column.scale is not None
    bound = 10 ** (column.precision - column.scale)
    return bool(-bound < value < bound)


def fits_array(column: Column, value: list[Any]) -> bool:
    assert column.items is not None
    items = column.items
    return all(fits(items, item) for item in value)


def fits_object(column: Column, value: dict[str, Any]) -> bool:
    return list(value) == [field.name for field in column.fields] and all(
        fits(field, value[field.name]) for field in column.fields
    )


CHECKS: dict[Kind, Callable[[Column, Any], bool]] = {
    **{kind: lambda c, v: isinstance(v, int) and -(1 << BITS[c.kind]) <= v < 1 << BITS[c.kind] for kind in BITS},
    **dict.fromkeys((Kind.FLOAT32, Kind.FLOAT64, Kind.NUMBER), lambda _c, v: isinstance(v, float)),
    **dict.fromkeys((Kind.STRING, Kind.TRUNCATABLE), fits_text),
    Kind.DECIMAL: lambda c, v: isinstance(v, Decimal) and fits_decimal(c, v),
    Kind.BOOLEAN: lambda _c, v: isinstance(v, bool),
    Kind.ENUM: lambda c, v: v in (*c.values, UNSPECIFIED),
    Kind.OPEN_ENUM: fits_text,
    Kind.INTEGER_ENUM: lambda c, v: v in c.values,
    Kind.DATETIME: lambda _c, v: isinstance(v, datetime.datetime) and v.tzinfo is None,
    Kind.DATE: lambda _c, v: type(v) is datetime.date,
    Kind.TIME: lambda _c, v: isinstance(v, datetime.time),
    Kind.UUID: lambda _c, v: str(uuid.UUID(v)) == v,
    Kind.IPV4: lambda _c, v: is_address(v, 4),
    Kind.IPV6: lambda _c, v: is_address(v, 6),
    Kind.IP: lambda _c, v: is_address(v, 4, 6),
    Kind.JSON: lambda _c, v: is_json(v),
    Kind.FREE_OBJECT: lambda _c, v: is_json(v) and v.startswith("{"),
    Kind.ANY: lambda _c, v: is_json(v),
    Kind.ARRAY: fits_array,
    Kind.OBJECT: fits_object,
}


def fits(column: Column, value: Any) -> bool:
    return column.nullable if value is None else CHECKS[column.kind](column, value)


@pytest.mark.parametrize(
    "pattern",
    ["canvas*.*", "catalog.*", "new_quizzes.*", "edge.[!w]*", pytest.param("edge.wide", marks=pytest.mark.slow)],
)
def test_every_value_fits_its_column(pattern: str, rows: Rows, now: int) -> None:
    for table in TABLES:
        if fnmatchcase(table.qualified, pattern) and table.name != "far_years":
            for position, column in enumerate(table.columns, start=2):
                # Equal values are checked only once.
                values = {repr(row[position]): row[position] for row in rows(table, None, now)}
                for value in values.values():
                    assert fits(column, value), (table.qualified, column, value)


def test_there_are_years_that_python_cannot_represent() -> None:
    assert "12024" in edge_cases.VALUES["edge.far_years.a_date_time"]
    assert "-43" in edge_cases.VALUES["edge.far_years.a_date_time"]


def column_values(rows: Rows, now: int, kind: Kind, *, nullable: bool | None = None) -> list[Any]:
    found = []
    for table in TABLES:
        if table.namespace != "edge":
            for place, column in enumerate(table.columns, start=2):
                if column.kind is kind and nullable in (None, column.nullable):
                    found += [row[place] for row in rows(table, None, now)]
    return found


def test_known_tables_have_difficult_values_at_low_rates(rows: Rows, now: int) -> None:
    texts = column_values(rows, now, Kind.STRING) + column_values(rows, now, Kind.TRUNCATABLE)
    shares = {text: texts.count(text) / len(texts) for text in ("", "NULL", "\\N", TRUNCATED)}
    assert all(0 < share < 0.01 for share in shares.values()), shares
    for character in "\t\n\r\"'\\😀":
        assert any(character in text for text in texts if text)
    markers = [value == UNSPECIFIED for value in column_values(rows, now, Kind.ENUM)]
    assert 0 < sum(markers) < len(markers) / 20
    nulls = [value is None for value in column_values(rows, now, Kind.DATETIME, nullable=True)]
    assert 0.05 < sum(nulls) / len(nulls) < 0.6


def test_open_enums_have_other_values_too(rows: Rows, now: int) -> None:
    catalogue = Catalogue((*spec_tables(), *edge_cases.TABLES))
    for namespace, name, column in (
        ("edge", "enumerations", "open"),
        ("canvas_logs", "web_logs", "web_application_controller"),
    ):
        table = catalogue.table(namespace, name)
        names = [each.name for each in table.columns]
        known = table.columns[names.index(column)].values
        values = {row[2 + names.index(column)] for row in rows(table, None, now)} - {None}
        assert values & set(known)
        assert values - set(known)


def test_tab_configurations_are_lists_of_tabs(rows: Rows, now: int) -> None:
    table = Catalogue(spec_tables()).table("canvas", "courses")
    place = 2 + [column.name for column in table.columns].index("tab_configuration")
    found = [row[place] for row in rows(table, None, now)]
    assert None in found
    tabs = [tab for text in found if text for tab in json.loads(text)]
    assert {frozenset(tab) for tab in tabs} == {frozenset({"id"}), frozenset({"id", "hidden"})}


def test_nested_values_are_sometimes_null_as_a_whole(rows: Rows, now: int) -> None:
    table = Catalogue(edge_cases.TABLES).table("edge", "nested")
    settings = [row[3] for row in rows(table, None, now)]
    assert None in settings
    assert any(value and not all(value.values()) for value in settings)


def test_class_names_and_table_names() -> None:
    for name in ("WikiPage", "DiscussionTopic", "Quiz", "CourseSection", "Category"):
        assert class_name(f"canvas.{table_name(name)}") in (name, f"{name}ze")
    assert table_name("QuizSubmission") == "quiz_submissions"
    assert table_name("Quiz") == "quizzes"
    assert class_name("catalog.categories") == "Category"


def test_physical_types_follow_the_kinds() -> None:
    items = Column(name="", kind=Kind.INT32)
    fields = (Column(name="a b", kind=Kind.DECIMAL, precision=5, scale=2), Column(name="c", kind=Kind.JSON))
    assert physical_type(Column(name="x", kind=Kind.ARRAY, items=items)) == "INTEGER[]"
    nested = Column(name="x", kind=Kind.OBJECT, fields=fields)
    assert physical_type(nested) == 'STRUCT("a b" DECIMAL(5, 2), "c" VARCHAR)'
