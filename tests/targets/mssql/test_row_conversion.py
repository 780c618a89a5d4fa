"""Lines of TSV become values that the driver copies; what SQL Server cannot store is repaired and noted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.contract.values import FAMILIES
from tests.support.table_schemas import TEXT, Node, table_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.decode.tsv import Header, common_header, row_blocks
from dapkit.errors import BadValueError, MalformedFileError
from dapkit.targets.base import BadValues, DataFiles, Load, LoadOptions
from dapkit.targets.mssql.row_conversion import UTF8, RowConverter, codec_of, text_codecs
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable
from dapkit.targets.sql.value_repairs import ValueRepairs

MOMENT = datetime(2024, 3, 1, 12)


def read(
    node: Node,
    values: Sequence[object],
    folder: Path,
    *,
    codecs: Mapping[str, str] | None = None,
    required: bool = False,
    options: LoadOptions = LoadOptions(),  # noqa: B008, frozen
) -> tuple[list[Any], dict[str, int]]:
    """Return the converted values of rows as the service writes them, and the repairs."""
    table = table_of({"v": node}, required=["v"] if required else [])
    rows = [Row({"id": number, "v": value}) for number, value in enumerate(values)]
    parts = write_parts(folder, table, rows, Layout(action=True))
    load = Load(table=table, files=parts, watermark=MOMENT.replace(tzinfo=UTC), options=options)
    header = common_header(parts.paths, table, action=True)
    repairs = ValueRepairs(load, "SQL Server")
    converter = RowConverter(table, header, codecs or {}, repairs)
    made = [row for path in parts.paths for row in converter.rows(row_blocks(path))]
    repairs.save()
    assert [row[:3] for row in made] == [(MOMENT, "U", number) for number in range(len(values))]
    return [row[3] for row in made], dict(repairs.counts)


PLAIN = (
    "int16", "int32", "int64", "integer", "int-enum", "float32", "float64", "number", "decimal", "decimal-large",
    "boolean", "text", "text-bounded", "text-marker", "text-json", "enum", "date-time", "date", "time",
)  # fmt: skip


@pytest.mark.parametrize("family", PLAIN)
def test_values_are_those_that_the_service_wrote(family: str, tmp_path: Path) -> None:
    node, values = FAMILIES[family]
    found, repaired = read(node, [*values, None], tmp_path)
    assert found == [*values, None]
    assert [type(value) for value in found] == [type(value) for value in [*values, None]]
    assert not repaired


def test_decimals_of_many_digits(tmp_path: Path) -> None:
    bound = 10**28
    node: Node = {"type": "number", "multipleOf": 1e-10, "exclusiveMinimum": -bound, "exclusiveMaximum": bound}
    values = [Decimal(f"{sign}{'9' * 28}.{'9' * 10}") for sign in ("", "-")]
    assert read(node, values, tmp_path) == (values, {})


@pytest.mark.parametrize(
    ("family", "text", "value"),
    [
        ("uuid", "550e8400-e29b-41d4-a716-446655440000", bytes.fromhex("550e8400e29b41d4a716446655440000")),
        ("ipv4", "192.0.2.1", b"\xc0\0\2\1"),
        ("ipv6", "::1", bytes(15) + b"\1"),
        ("ip", "192.0.2.1", b"\xc0\0\2\1" + bytes(12)),
        ("ip", "::ffff:192.0.2.1", bytes(10) + b"\xff\xff\xc0\0\2\1"),
        ("date-time", "2024-03-01T14:00:00.5+02:00", datetime(2024, 3, 1, 12, 0, 0, 500_000)),
        ("time", "23:59:59Z", time(23, 59, 59)),
        ("object", '{"theme": "dé\\u00e9",  "size": 1}', '{"theme":"déé","size":1}'),
        ("array-int", "[1, 9223372036854775807, null]", "[1,9223372036854775807,null]"),
    ],
)
def test_values_that_are_kept_in_another_form(family: str, text: str, value: object, tmp_path: Path) -> None:
    assert read(FAMILIES[family][0], [text], tmp_path) == ([value], {})


@pytest.mark.parametrize(
    ("family", "text", "instead"),
    [
        ("float64", "Infinity", None),
        ("float32", "-Infinity", None),
        ("float64", "NaN", None),
        ("float32", "3.5e38", None),
        ("date-time", "+12024-01-01T00:00:00Z", datetime.max),
        ("date-time", "-0044-03-15T00:00:00Z", datetime.min),
        ("date", "+12024-01-01", date.max),
        ("date", "0000-01-01", date.min),
        ("enum", "two words ", "two words"),
        ("open-enum", "never seen  ", "never seen"),
    ],
)
def test_values_that_cannot_be_stored(family: str, text: str, instead: object, tmp_path: Path) -> None:
    node = FAMILIES[family][0]
    assert read(node, [text], tmp_path) == ([instead], {"v": 1})
    with pytest.raises(BadValueError, match=r"SQL Server cannot store the value '.*' of column v \(id 0\)"):
        read(node, [text], tmp_path, options=LoadOptions(bad_values=BadValues.FAIL))
    if instead is None:
        with pytest.raises(BadValueError):
            read(node, [text], tmp_path, required=True)


def test_originals_are_kept_in_the_side_file(tmp_path: Path) -> None:
    side = tmp_path / "side.jsonl"
    read(FAMILIES["float64"][0], [0.5, "Infinity"], tmp_path, options=LoadOptions(side_file=side))
    saved = '{"namespace": "canvas", "table": "things", "key": {"id": "1"}, "column": "v", "value": "Infinity"}\n'
    assert side.read_text() == saved


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("int16", "32768"), ("int32", "-2147483649"), ("int64", "9223372036854775808"), ("int64", "one"),
        ("boolean", "maybe"), ("decimal", "0.001"), ("decimal", "1000"), ("decimal", "x"), ("date", "2024-02-30"),
        ("date-time", "yesterday"), ("time", "25:00:00"), ("uuid", "x"), ("ipv4", "::1"), ("ip", "x"),
        ("object", "not { json"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_rejected_without_being_quoted(family: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="Column v has a value of another type") as caught:
        read(FAMILIES[family][0], [text], tmp_path)
    assert text not in caught.value.message


def test_a_too_long_enum_value_is_rejected(tmp_path: Path) -> None:
    assert read(FAMILIES["open-enum"][0], ["é" * 128], tmp_path) == (["é" * 128], {})
    with pytest.raises(BadValueError):
        read(FAMILIES["open-enum"][0], ["é" * 129], tmp_path)


# Databases whose collation is not UTF-8


def test_a_text_beyond_the_code_page_is_repaired_never_silently(tmp_path: Path) -> None:
    codecs = {"v": "cp1252"}
    assert read(TEXT, ["plain", "é €", "Ž中a", None], tmp_path, codecs=codecs) == (
        ["plain", "é €", "Ž?a", None],
        {"v": 1},
    )
    with pytest.raises(BadValueError):
        read(TEXT, ["中"], tmp_path, codecs=codecs, options=LoadOptions(bad_values=BadValues.FAIL))


def test_json_escapes_characters_that_the_code_page_lacks(tmp_path: Path) -> None:
    found = read(FAMILIES["object"][0], ['{"theme": "中👩"}'], tmp_path, codecs={"v": "cp1252"})
    assert found == (['{"theme":"\\u4e2d\\ud83d\\udc69"}'], {})


def test_a_key_beyond_the_code_page_is_rejected(tmp_path: Path) -> None:
    table = table_of({}, key={"k": TEXT | {"maxLength": 20}})
    load = Load(table=table, files=DataFiles(paths=(), rows=0), watermark=MOMENT.replace(tzinfo=UTC))
    converter = RowConverter(table, Header(("meta.ts", "key.k")), {"k": "cp1252"}, ValueRepairs(load, "SQL Server"))
    line = "2024-03-01T12:00:00Z\t中\n".encode()
    with pytest.raises(BadValueError):
        list(converter.rows([line]))


@pytest.mark.parametrize(
    ("page", "codec"), [(UTF8, None), (1252, "cp1252"), (932, "cp932"), (936, "gbk"), (0, "ascii"), (None, "ascii")]
)
def test_code_pages(page: int | None, codec: str | None) -> None:
    assert codec_of(page) == codec
    if codec is not None:
        assert "a".encode(codec) == b"a"


def test_each_column_has_the_code_page_of_its_collation() -> None:
    table = table_of({"a": TEXT, "b": TEXT, "open": FAMILIES["open-enum"][0]}, key={"k": TEXT | {"maxLength": 5}})
    own = ExistingColumn(name="b", type="varchar(max)", code_page=UTF8)
    codecs = text_codecs(table, ExistingTable(columns={"b": own}), usual=1252, exact=UTF8)
    assert codecs == {"a": "cp1252"}
    assert text_codecs(table, ExistingTable(), usual=UTF8, exact=1252) == {"k": "cp1252", "open": "cp1252"}


# Lines


def converter_of(*names: str) -> RowConverter:
    table = table_of({"v": FAMILIES["decimal"][0], "w": TEXT})
    load = Load(table=table, files=DataFiles(paths=(), rows=0), watermark=MOMENT.replace(tzinfo=UTC))
    return RowConverter(table, Header(names), {}, ValueRepairs(load, "SQL Server"))


def test_columns_may_have_another_order_or_be_absent() -> None:
    converter = converter_of("value.v", "key.id", "meta.ts")
    assert list(converter.rows([b"1.5\t7\t2024-03-01T12:00:00.25Z\n"])) == [
        (datetime(2024, 3, 1, 12, 0, 0, 250_000), None, 7, Decimal("1.50"), None)
    ]


@pytest.mark.parametrize("line", [b"2024-03-01T12:00:00Z\t1\n", b"\n", b"2024-03-01T12:00:00Z\t1\tx\ty\tz\n"])
def test_a_malformed_line(line: bytes) -> None:
    with pytest.raises(MalformedFileError, match="fields"):
        list(converter_of("meta.ts", "key.id", "value.v", "value.w").rows([line]))


@pytest.mark.parametrize("moment", [b"never", b"", b"+12024-01-01T00:00:00Z"])
def test_a_row_with_an_invalid_time(moment: bytes) -> None:
    with pytest.raises(MalformedFileError, match=r"meta\.ts"):
        list(converter_of("meta.ts", "key.id").rows([moment + b"\t1\n"]))


def test_a_row_without_a_time() -> None:
    ((time, *_),) = converter_of("meta.ts", "key.id").rows([b"\\N\t1\n"])
    assert time is None


def test_an_unknown_action() -> None:
    with pytest.raises(MalformedFileError, match="'d'"):
        list(converter_of("meta.ts", "meta.action", "key.id").rows([b"\\N\td\t1\n"]))
