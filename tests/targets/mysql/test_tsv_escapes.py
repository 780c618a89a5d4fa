r"""The bytes that are sent to LOAD DATA, and the repairs of values."""

from datetime import UTC, datetime

import pytest
from tests.support.table_schemas import TEXT, Node, table_of

from dapkit.decode.tsv import Header
from dapkit.errors import BadValueError
from dapkit.model import Table
from dapkit.targets.base import DataFiles, Load
from dapkit.targets.mysql.tsv_escapes import LineRepairs, native
from dapkit.targets.sql.value_repairs import ValueRepairs


@pytest.mark.parametrize(
    ("service", "server"),
    [
        (b"plain\ttext\n", b"plain\ttext\n"),
        (rb"\b\n\r\t\0\N\\", rb"\b\n\r\t\0\N\\"),
        (rb"a\fb\vc", b"a\fb\vc"),
        (rb"\f\f\v\v", b"\f\f\v\v"),
        (rb"\\f \\v \\\f \\\\f", b"\\\\f \\\\v \\\\\f \\\\\\\\f"),
        (rb"\Z \q \x41 \\Z", rb"\\Z \\q \\x41 \\Z"),
    ],
)
@pytest.mark.parametrize("before", [b"", rb"C:\\temp\\x\\f ", rb"\\q " * 600], ids=["alone", "few", "many"])
def test_escapes_as_the_server_reads_them(service: bytes, server: bytes, before: bytes) -> None:
    assert native(before + service) == before + server


def repairing(table: Table, columns: tuple[str, ...]) -> tuple[LineRepairs, ValueRepairs]:
    load = Load(table=table, files=DataFiles(paths=(), rows=0), watermark=datetime(2024, 3, 1, tzinfo=UTC))
    repairs = ValueRepairs(load, "MySQL")
    return LineRepairs(table, Header(("meta.ts", "key.id", *columns)), repairs), repairs


def repaired(node: Node, *fields: bytes, required: bool = False) -> tuple[list[bytes], int]:
    """Return the values as they are loaded, and how many of them were repaired."""
    table = table_of({"name": TEXT, "v": node}, required=["v"] if required else [])
    lines, repairs = repairing(table, ("value.name", "value.v"))
    block = b"".join(b"t\t%d\tx\t%s\n" % (number, field) for number, field in enumerate(fields))
    loaded = b"".join(lines.lines(iter([block]))).splitlines()
    assert set(repairs.counts) <= {"v"}
    return [line.rpartition(b"\t")[2] for line in loaded], repairs.counts["v"]


def test_years_out_of_range_are_clamped() -> None:
    values = (b"+12024-01-01T00:00:00Z", b"-0044-03-15T00:00:00Z", b"0000-05-05T00:00:00Z", b"2024-01-01T00:00:00Z")
    clamped, found = repaired({"type": "string", "format": "date-time"}, *values, rb"\N")
    first = b"0001-01-01T00:00:00Z"
    assert clamped == [b"9999-12-31T23:59:59Z", first, first, values[3], rb"\N"]
    assert found == 3
    days = (b"+12024-01-01", b"-0044-03-15")
    assert repaired({"type": "string", "format": "date"}, *days)[0] == [b"9999-12-31", b"0001-01-01"]


def test_infinity_and_nan_become_null_in_nullable_columns() -> None:
    number: Node = {"type": "number"}
    assert repaired(number, b"Infinity", b"-Infinity", b"NaN", b"1.5", b"x")[0] == [
        rb"\N",
        rb"\N",
        rb"\N",
        b"1.5",
        b"x",
    ]
    with pytest.raises(BadValueError, match="column v"):
        repaired(number, b"NaN", required=True)


def test_unknown_values_of_enums() -> None:
    known: Node = {"type": "string", "enum": ["a", "b\\c", "__dap_unspecified__"]}
    assert repaired(known, b"a", rb"b\\c", b"new")[0] == [b"a", rb"b\\c", b"__dap_unspecified__"]
    without: Node = {"type": "string", "enum": ["a"]}
    assert repaired(without, b"1", b"a", b"") == ([rb"\N", b"a", rb"\N"], 2)
    with pytest.raises(BadValueError):
        repaired(without, b"1", required=True)


def test_a_malformed_line_is_passed_to_the_server() -> None:
    lines, _ = repairing(table_of({"v": {"type": "number"}}), ("value.v",))
    assert b"".join(lines.lines(iter([b"t\t1\n"]))) == b"t\t1\n"


def test_invalid_utf8_is_passed_to_the_server() -> None:
    assert native(b"a\xff\tb\\f\n") == b"a\xff\tb\\f\n"
