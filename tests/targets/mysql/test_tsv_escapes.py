r"""What goes to LOAD DATA, byte for byte, and what is repaired on the way."""

import pytest
from tests.support.table_schemas import TEXT, Node, table_of

from dapkit.decode.tsv import Header
from dapkit.errors import BadValueError
from dapkit.targets.mysql.tsv_escapes import Repairs, native, text_of


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


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (rb"\N", None),
        (rb"\\N", r"\N"),
        (rb"a\tb\n\\c\0", "a\tb\n\\c\0"),
        (rb"\q", r"\q"),
        ("é".encode(), "é"),
        (b"", ""),
    ],
)
def test_what_a_field_says(field: bytes, text: str | None) -> None:
    assert text_of(field) == text


def repaired(node: Node, *fields: bytes, required: bool = False) -> tuple[list[bytes], list[str]]:
    table = table_of({"name": TEXT, "v": node}, required=["v"] if required else [])
    repairs = Repairs(table, Header(("meta.ts", "key.id", "value.name", "value.v")))
    block = b"".join(b"t\t%d\tx\t%s\n" % (number, field) for number, field in enumerate(fields))
    lines = b"".join(repairs.lines(iter([block]))).splitlines()
    assert {repair.column for repair in repairs.found} <= {"v"}
    assert all(repair.key["id"] is not None for repair in repairs.found)
    return [line.rpartition(b"\t")[2] for line in lines], [repair.value for repair in repairs.found]


def test_far_years_are_clamped() -> None:
    values = (b"+12024-01-01T00:00:00Z", b"-0044-03-15T00:00:00Z", b"0000-05-05T00:00:00Z", b"2024-01-01T00:00:00Z")
    clamped, found = repaired({"type": "string", "format": "date-time"}, *values, rb"\N")
    first = b"0001-01-01T00:00:00Z"
    assert clamped == [b"9999-12-31T23:59:59Z", first, first, values[3], rb"\N"]
    assert found == [value.decode() for value in values[:3]]
    days = (b"+12024-01-01", b"-0044-03-15")
    assert repaired({"type": "string", "format": "date"}, *days)[0] == [b"9999-12-31", b"0001-01-01"]


def test_what_is_no_number_becomes_null_where_null_may_stand() -> None:
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
    assert repaired(without, b"1", b"a", b"") == ([rb"\N", b"a", rb"\N"], ["1", ""])
    with pytest.raises(BadValueError):
        repaired(without, b"1", required=True)


def test_a_line_that_is_none_passes_on_to_the_server() -> None:
    repairs = Repairs(table_of({"v": {"type": "number"}}), Header(("meta.ts", "key.id", "value.v")))
    assert b"".join(repairs.lines(iter([b"t\t1\n"]))) == b"t\t1\n"


def test_what_is_no_text_is_left_for_the_server_to_refuse() -> None:
    assert native(b"a\xff\tb\\f\n") == b"a\xff\tb\\f\n"
