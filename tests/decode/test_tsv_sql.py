"""The generated SQL reads TSV files exactly, and returns the original texts of repaired values."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.table_schemas import TEXT, table_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.decode.tsv import decode_field, read_header
from dapkit.decode.tsv_sql import (
    has_unusual_year,
    original_values,
    quote_identifier,
    read_tsv,
    text_literal,
    unescape_sql,
)


def rows(sql: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(sql).fetchall()


FIELDS = st.text(alphabet=["\\", "b", "t", "n", "0", "N", "x", "é", "\ue000", '"', "'", ",", " "], max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(FIELDS, min_size=1, max_size=40))
def test_sql_decodes_texts_as_python_does(tmp_path: Path, fields: list[str]) -> None:
    path = tmp_path / "part.tsv.gz"
    lines = "".join(f"{field}\t{number}\n" for number, field in enumerate(fields))
    path.write_bytes(gzip.compress(f"meta.ts\tkey.id\n{lines}".encode(), 1))
    table = read_tsv([str(path)], read_header(path))
    sql = f'SELECT {unescape_sql(quote_identifier("meta.ts"))} FROM {table} ORDER BY "key.id"::INT'
    assert [text for (text,) in rows(sql)] == [decode_field(field.encode()) for field in fields]


@pytest.mark.parametrize(
    ("text", "far"),
    [
        ("2024-01-01", False), ("0001-01-01T00:00:00Z", False), ("9999-12-31", False), ("+12024-01-01", True),
        ("-0044-03-15", True), ("0000-01-01", True), ("0000", False),
    ],
)  # fmt: skip
def test_unusual_years(text: str, far: bool) -> None:
    assert rows(f"SELECT {has_unusual_year(text_literal(text))}") == [(far,)]


def test_original_values_of_repaired_ones(tmp_path: Path) -> None:
    table = table_of({"a b": TEXT, "it's": TEXT}, key={"id": TEXT})
    written = [Row({"id": "k\t1", "a b": "odd\n", "it's": "odd"}), Row({"id": "2", "a b": "even"}), Row({"id": "3"})]
    parts = write_parts(tmp_path, table, written, Layout(action=False))
    names = read_header(parts.paths[0])
    odd = {name: f"starts_with({quote_identifier(f'value.{name}')}, 'odd')" for name in ("a b", "it's")}
    read = read_tsv([str(parts.paths[0])], names)
    sql = f'SELECT {original_values(table, names, odd)} FROM {read} ORDER BY "key.id" DESC'
    first, *others = [text for (text,) in rows(sql)]
    assert json.loads(first) == {"key": {"id": "k\t1"}, "values": {"a b": "odd\n", "it's": "odd"}}
    assert others == [None, None]


def test_without_conditions_there_are_no_original_values(tmp_path: Path) -> None:
    table = table_of({"a": TEXT})
    parts = write_parts(tmp_path, table, [Row({"id": 1, "a": "x"})], Layout(action=False))
    names = read_header(parts.paths[0])
    sql = f"SELECT {original_values(table, names, {})} FROM {read_tsv([str(parts.paths[0])], names)}"
    assert rows(sql) == [(None,)]
