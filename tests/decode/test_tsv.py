"""Escapes that COPY reads differently are found and converted; everything else stays as it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.decode.tsv import copy_field, decode_field, has_non_copy_escape

ESCAPED = [
    (rb"plain", "plain"), (rb"", ""), (rb"\N", None), (rb"\\N", r"\N"), (rb"a\Nb", r"a\Nb"),
    (rb"\b\f\n\r\t\v", "\b\f\n\r\t\v"), (rb"C:\\temp", r"C:\temp"), (rb"\\\\", r"\\"), (rb"a\0b", "a\0b"),
    (rb"\\0", r"\0"), (rb"\\\0", "\\\0"), (rb"\q\x41", r"\q\x41"), ("é😀".encode(), "é😀"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), ESCAPED)
def test_decode_field(field: bytes, text: str | None) -> None:
    assert decode_field(field) == text


@pytest.mark.parametrize(
    ("field", "foreign"),
    [
        (rb"", False), (rb"\N", False), (rb"\b\f\n\r\t\v\\", False), (rb"\\q", False), (rb"\\\\0", False),
        (rb"\0", True), (rb"\q", True), (rb"\x41", True), (rb"\\\0", True), (rb"\\\\\q", True), (b"\\\n", True),
        (rb"\\\n\\\\t\\0 \\\\\\q", False),
    ],
)  # fmt: skip
def test_escapes_that_copy_does_not_know(field: bytes, foreign: bool) -> None:
    assert has_non_copy_escape(b"1\t" + field + b"\n") is foreign
    assert has_non_copy_escape(field) is foreign


@pytest.mark.parametrize(
    ("field", "copied"),
    [
        (rb"a\0b\0", rb"ab"), (rb"\0", rb""), (rb"\\0", rb"\\0"), (rb"\\\0", rb"\\"), (rb"\q", rb"\\q"),
        (rb"\N", rb"\N"),        (rb"\x41\101", rb"\\x41\\101"), (rb"\t\\\n", rb"\t\\\n"),
    ],
)  # fmt: skip
def test_copy_field(field: bytes, copied: bytes) -> None:
    assert copy_field(field) == copied
    assert not has_non_copy_escape(copied)


@given(st.binary(max_size=20).map(lambda data: re.sub(rb"[^\\bNq0\n]", rb"\\", data)))
def test_doubled_backslashes_are_not_escapes(data: bytes) -> None:
    expected = re.search(rb"\\[^bfnrtvN]", data.replace(rb"\\", b"")) is not None
    assert has_non_copy_escape(data) is expected
