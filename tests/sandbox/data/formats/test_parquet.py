"""Parquet, read back by pyarrow."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples

# How other readers see the types that Spark writes.
EXPECTED_TYPES = {
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "integer-enum": pa.int32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "number": pa.float64(),
    "decimal": pa.decimal128(5, 2),
    "boolean": pa.bool_(),
    "date-time": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}


def read(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content))


def same(found: Any, expected: Any) -> bool:
    return bool(found == expected) or (repr(found) == repr(expected) == "nan")


def test_every_kind(specimen: Any, write: Any) -> None:
    table = read(write(specimen, "parquet"))
    assert table.column_names == ["key", "value", "meta"]
    value = table["value"].combine_chunks().field("specimen")
    if specimen.column.kind == "array":
        assert pa.types.is_list(value.type)
    else:
        assert value.type == EXPECTED_TYPES.get(specimen.column.kind, pa.string())
    if specimen.column.kind == "date-time":
        value = value.cast(pa.int64())
    expected = [*(cell.parquet for cell in specimen.cells), None, None]
    assert [found for found in zip(value.to_pylist(), expected, strict=True) if not same(*found)] == []
    assert table["key"].to_pylist() == [{"id": i} for i in range(len(expected))]


def test_meta_is_in_utc_whatever_the_session_s_zone(specimen: Any, write: Any) -> None:
    meta = read(write(specimen, "parquet"))["meta"].combine_chunks()
    assert meta.type.names == ["ts"]
    assert {str(ts) for ts in meta.field("ts").to_pylist()} == {"2024-02-29 23:59:59.123000+00:00"}


def test_deleted_rows_have_no_value(nested: Any, write: Any) -> None:
    table = read(write(nested, "parquet", incremental=True))
    *updated, deleted = table["value"].to_pylist()
    assert deleted is None
    assert all(value is not None for value in updated)
    assert table["meta"].combine_chunks().field("action").to_pylist() == ["U"] * len(updated) + ["D"]


@pytest.mark.parametrize("mode", ["expanded", "condensed"])
def test_nested_columns_are_structs_in_both_modes(nested: Any, write: Any, mode: str) -> None:
    value = read(write(nested, "parquet", mode))["value"].combine_chunks()
    settings = value.field("settings").to_pylist()
    assert settings[0]["deep"]["list"] == ["\\"]
    assert settings[0]["deep"]["at"].isoformat() == "2024-01-01T00:00:00+00:00"
    assert settings[1:] == [
        {"theme": "", "deep": None},
        {"theme": None, "deep": {"at": None, "list": []}},
        None,
        None,
        None,
    ]


def test_is_compressed_as_spark_does(nested: Any, write: Any) -> None:
    metadata = pq.ParquetFile(pa.BufferReader(write(nested, "parquet"))).metadata
    columns = [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {"SNAPPY"}
    assert columns[0].path_in_schema == "key.id"


@few_examples(15)
@given(data=st.data())
def test_any_text(values: Any, texts: Any, quote: Any, write: Any, data: st.DataObject) -> None:
    drawn = data.draw(texts)
    value = read(write(values("string", map(quote, drawn)), "parquet"))["value"].combine_chunks()
    assert value.field("specimen").to_pylist() == [*drawn, None, None]
