"""Conversions are exact or fail with an error that names the column."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.contract.flat.flattening import flat_rows, flatten, plan_for
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.errors import BadValueError
from dapkit.model import Format, Table
from dapkit.tables.engine import Engine, EngineOptions

DECIMAL: Node = {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
LARGE: Node = {"type": "number", "multipleOf": 1e-10, "exclusiveMinimum": -(10**20), "exclusiveMaximum": 10**20}
OBJECT: Node = {
    "type": "object",
    "properties": {"n": INT32, "b": {"type": "boolean"}, "d": DECIMAL, "t": TEXT},
    "additionalProperties": False,
}
COLUMNS: Mapping[str, Node] = {
    "int16": {"type": "integer", "format": "int16"},
    "int32": INT32,
    "int64": INT64,
    "float32": {"type": "number", "format": "float32"},
    "float64": {"type": "number", "format": "float64"},
    "decimal": DECIMAL,
    "large": LARGE,
    "boolean": {"type": "boolean"},
    "moment": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "integers": {"type": "array", "items": INT32},
    "moments": {"type": "array", "items": {"type": "string", "format": "date-time"}},
    "object": OBJECT,
    "objects": {"type": "array", "items": OBJECT},
    "any": {},
    "text": TEXT,
}
TS = "2024-01-01T00:00:00.000Z"
BAD_TEXTS = {
    "int16": ["1.7", "0x10", "1e3", " 1", "1 ", "", "+1", "01", "-0", "1_000", "true", "32768", "NaN"],
    "int32": ["1.0", "2147483648", "one"],
    "int64": ["1.0", "9223372036854775808", "-9223372036854775809"],
    "float32": ["1e39", "", "x", "1_0", "0x10", "inf", "nan", "true", "1,5"],
    "float64": ["1e400", "-1e400", "infinity", "1e"],
    "decimal": ["1.005", "1000", "999.999", "", "NaN", "1_0", " 1", "1e2"],
    "large": ["0.00000000001", "100000000000000000000"],
    "boolean": ["yes", "1", "0", "t", "True", "TRUE", "", " true"],
    "moment": [
        "2024-02-30T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T00:00:00.1234567Z",
        "2024-01-01",
        "2024-1-1T0:0:0Z",
        "2024-01-01T00:00:00 Europe/Paris",
        "2024-01-01 (BC) 00:00:00Z",
        "+300000-01-01T00:00:00Z",
        "++2024-01-01T00:00:00Z",
        "infinity",
        "epoch",
        "",
    ],
    "day": ["2024-02-30", "2024-01-01T23:00:00Z", "2024/01/01", "2024-1-1", "epoch", "infinity", "-infinity", ""],
}
BAD_JSON = {
    "int16": ["32768", "1.5"],
    "int32": ["1.7", '"1"', "true", "1e3", "1.0", "2147483648", "{}", "[1]", '""'],
    "int64": ["9223372036854775808", '"9007199254740993"', "1e30"],
    "float32": ["1e39", '"1.5"', "true", '"x"', "[]"],
    "float64": ["1e400", '"inf"', "false", "{}"],
    "decimal": ["1.005", '"1.5"', "1000", "true"],
    "large": ["0.00000000001"],
    "boolean": ['"true"', "1", "0", '"yes"', "[]"],
    "moment": ["1", "true", "{}", '"2024-02-30T00:00:00Z"', '"epoch"'],
    "day": ["1", '"x"', '"infinity"'],
    "integers": ['["1"]', "[1.7]", "[true]", "{}", '"x"', "1", "[2147483648]", "[[1]]", '"[1]"'],
    "moments": ['["x"]', "[1]", '["2024-02-30T00:00:00Z"]'],
    "object": [
        *('{"n": "1"}', '{"n": 1.7}', '{"n": true}', '{"b": "true"}', '{"b": 1}', '{"d": 1.005}', '{"d": 1000}'),
        *('{"x": 1}', '{"n": 1, "x": null}', "[]", '"x"', "1", '"{}"'),
    ],
    "objects": ['[{"x": 1}]', "[1]", '{"n": 1}', '[{"n": "1"}]', '[["n"]]'],
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all tests."""
    with Engine(EngineOptions(threads=1)) as engine:
        yield engine


def in_text(format_: Format, column: str, text: str) -> str:
    """Return a file of CSV or TSV with a value."""
    if format_ is Format.TSV:
        escaped = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        return f"meta.ts\tkey.id\tvalue.{column}\n{TS}\t1\t{escaped}\n"
    quoted = text.replace('"', '""')
    return f'meta.ts,key.id,value.{column}\n{TS},1,"{quoted}"\n'


def in_json(column: str, text: str) -> str:
    """Return a file of JSONL with a value."""
    return f'{{"key":{{"id":1}},"value":{{"{column}":{text}}},"meta":{{"ts":"{TS}"}}}}\n'


def table_with(column: str) -> Table:
    """Return a table with one column."""
    return table_of({column: COLUMNS[column]})


def value_of(engine: Engine, format_: Format, column: str, file: str, folder: Path) -> Any:
    """Return the value of a file's only row."""
    path = folder / "part"
    path.write_bytes(gzip.compress(file.encode(), 1))
    plan = plan_for(table_with(column), format_)
    (row,) = flat_rows(flatten(engine, plan, [path], folder), plan)
    return row[column]


@pytest.mark.parametrize("format_", [Format.CSV, Format.TSV])
@pytest.mark.parametrize("column", BAD_TEXTS)
def test_a_bad_text_is_an_error(column: str, format_: Format, engine: Engine, tmp_path: Path) -> None:
    """DuckDB would take many of these texts for other values."""
    for text in BAD_TEXTS[column]:
        with pytest.raises(BadValueError, match=f"^A value of column {column} cannot be converted to its type$"):
            pytest.fail(
                f"{text!r} became {value_of(engine, format_, column, in_text(format_, column, text), tmp_path)}"
            )


@pytest.mark.parametrize("format_", [Format.CSV, Format.TSV, Format.JSONL])
@pytest.mark.parametrize("column", BAD_JSON)
def test_bad_json_is_an_error(column: str, format_: Format, engine: Engine, tmp_path: Path) -> None:
    """Arrays and objects are JSON in CSV and TSV too; of the others, only those that are bad as texts."""
    is_nested = COLUMNS[column].get("type") in ("array", "object")
    for text in BAD_JSON[column]:
        if format_ is not Format.JSONL and not is_nested:
            continue
        file = in_json(column, text) if format_ is Format.JSONL else in_text(format_, column, text)
        with pytest.raises(BadValueError, match=f"^A value of column {column} cannot be converted to its type$"):
            pytest.fail(f"{text!r} became {value_of(engine, format_, column, file, tmp_path)}")


@pytest.mark.parametrize("format_", [Format.CSV, Format.TSV])
@pytest.mark.parametrize(("column", "text"), [("integers", "[1"), ("object", '{"n":'), ("any", "{n"), ("any", "")])
def test_text_that_is_not_json_is_an_error(
    column: str, text: str, format_: Format, engine: Engine, tmp_path: Path
) -> None:
    """DuckDB's own error would quote the value and not name the column."""
    with pytest.raises(BadValueError, match=f"^A value of column {column} cannot be converted to its type$"):
        value_of(engine, format_, column, in_text(format_, column, text), tmp_path)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("int64", "-9223372036854775808", -(2**63)),
        ("float64", "1e-400", "0x0.0p+0"),
        ("float64", "-0.0", "-0x0.0p+0"),
        ("decimal", "1.5", "1.50"),
        ("decimal", "-1.500", "-1.50"),
        ("large", "99999999999999999999.9999999999", "99999999999999999999.9999999999"),
    ],
)
def test_unusual_numbers_are_exact(column: str, text: str, value: object, engine: Engine, tmp_path: Path) -> None:
    """From each format, also with fewer or more digits than the type has."""
    for format_ in (Format.CSV, Format.TSV, Format.JSONL):
        file = in_json(column, text) if format_ is Format.JSONL else in_text(format_, column, text)
        found = value_of(engine, format_, column, file, tmp_path)
        assert (str(found) if isinstance(value, str) else found) == value, format_


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01 02:00:00+02:00", 0),
        ("1970-01-01T00:00:00.500000000Z", 0.5),
        ("0000-01-01T00:00:00Z", -62167219200),
        ("+12024-02-29T00:00:00Z", 317278684800),
    ],
)
def test_unusual_times_are_exact(text: str, seconds: float, engine: Engine, tmp_path: Path) -> None:
    """Zones, other digits, and years without four digits."""
    for format_ in (Format.CSV, Format.TSV, Format.JSONL):
        file = in_json("moment", json.dumps(text)) if format_ is Format.JSONL else in_text(format_, "moment", text)
        assert value_of(engine, format_, "moment", file, tmp_path) == seconds * 1_000_000, format_


def test_a_number_too_large_for_any_decimal_is_an_error(engine: Engine, tmp_path: Path) -> None:
    """DuckDB itself refuses it. Its message quotes the value, which may be private."""
    with pytest.raises(BadValueError, match=r"^A value cannot be converted to its type$"):
        value_of(engine, Format.JSONL, "large", in_json("large", "100000000000000000000"), tmp_path)


@pytest.mark.parametrize("text", ["1", "true", '{"a":1}', "[1,2]"])
def test_json_in_a_text_is_kept_as_text(text: str, engine: Engine, tmp_path: Path) -> None:
    """CSV and TSV do not know the difference either."""
    assert value_of(engine, Format.JSONL, "text", in_json("text", text), tmp_path) == text


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("int32", pa.array([1.7])),
        ("int32", pa.array([2**31])),
        ("int32", pa.array([float("nan")])),
        ("decimal", pa.array([1.005])),
        ("decimal", pa.array(["1.005"])),
        ("float32", pa.array([0.1], pa.float64())),
        ("moment", pa.array([1], pa.timestamp("ns"))),
        ("integers", pa.array([[1.7]])),
        ("object", pa.array([{"n": 2**31}])),
        ("text", pa.array([b"\xff"])),
    ],
)
def test_a_parquet_value_that_does_not_fit_is_an_error(
    column: str, array: pa.Array, engine: Engine, tmp_path: Path
) -> None:
    """It has another type in the file, and is not the same when it is converted back."""
    plan = plan_for(table_with(column), Format.PARQUET)
    with pytest.raises(BadValueError, match=f"^A value of column {column} cannot be converted to its type$"):
        flatten(engine, plan, [parquet(column, array, tmp_path)], tmp_path)


@pytest.mark.parametrize(
    ("column", "array", "value"),
    [
        ("int32", pa.array([2.0]), 2),
        ("int16", pa.array([-5], pa.int64()), -5),
        ("float64", pa.array([0.5], pa.float32()), "0x1.0000000000000p-1"),
        ("moment", pa.array([1_000], pa.timestamp("ns")), 1),
        ("moment", pa.array(["1970-01-01T00:00:00Z"]), 0),
        ("text", pa.array(["é\\".encode()]), "é\\"),
        ("object", pa.array(['{"n": 1}']), {"n": 1, "b": None, "d": None, "t": None}),
    ],
)
def test_other_parquet_types_are_converted_if_that_is_exact(
    column: str, array: pa.Array, value: object, engine: Engine, tmp_path: Path
) -> None:
    """As another version of the service may write them."""
    plan = plan_for(table_with(column), Format.PARQUET)
    (row,) = flat_rows(flatten(engine, plan, [parquet(column, array, tmp_path)], tmp_path), plan)
    assert row[column] == value


def parquet(column: str, array: pa.Array, folder: Path) -> Path:
    """Return a downloaded Parquet file with a column."""
    table = pa.table(
        {
            "key": pa.StructArray.from_arrays([pa.array([1])], names=["id"]),
            "value": pa.StructArray.from_arrays([array], names=[column]),
            "meta": pa.StructArray.from_arrays([pa.array([TS])], names=["ts"]),
        }
    )
    pq.write_table(table, folder / "part.parquet")
    return folder / "part.parquet"
