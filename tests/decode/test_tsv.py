"""Escapes that COPY reads differently are found and converted; everything else stays as it is."""

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.table_schemas import TEXT, table_of

from dapkit.decode.tsv import common_header, copy_field, decode_field, has_non_copy_escape, read_header, row_blocks
from dapkit.errors import MalformedFileError

ESCAPED = [
    (rb"plain", "plain"), (rb"", ""), (rb"\N", None), (rb"\\N", r"\N"), (rb"a\Nb", r"a\Nb"),
    (rb"\b\f\n\r\t\v", "\b\f\n\r\t\v"), (rb"C:\\temp", r"C:\temp"), (rb"\\\\", r"\\"), (rb"a\0b", "a\0b"),
    (b"a\\", "a\\"), (rb"\\0", r"\0"), (rb"\\\0", "\\\0"), (rb"\q\x41", r"\q\x41"), ("é😀".encode(), "é😀"),
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
        (rb"\N", rb"\N"), (b"a\\", rb"a\\"), (rb"a\\", rb"a\\"),
        (rb"\x41\101", rb"\\x41\\101"), (rb"\t\\\n", rb"\t\\\n"),
    ],
)  # fmt: skip
def test_copy_field(field: bytes, copied: bytes) -> None:
    assert copy_field(field) == copied
    assert not has_non_copy_escape(copied + b"\n")


@given(st.binary(max_size=20).map(lambda data: re.sub(rb"[^\\bNq0\n]", rb"\\", data)))
def test_doubled_backslashes_are_not_escapes(data: bytes) -> None:
    expected = re.search(rb"\\[^bfnrtvN]", data.replace(rb"\\", b"")) is not None
    assert has_non_copy_escape(data) is expected


# Files


TABLE = table_of({"name": TEXT, "more": {}})
HEADER = b"meta.ts\tkey.id\tvalue.name\tvalue.more"


def written(folder: Path, *lines: bytes, name: str = "part.tsv.gz") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    return path


@pytest.mark.parametrize("line", [HEADER, b"\xef\xbb\xbf" + HEADER, HEADER + b"\r"])
def test_the_header_of_a_file(tmp_path: Path, line: bytes) -> None:
    header = read_header(written(tmp_path, line))
    assert header.columns == (None, "id", "name", "more")
    assert header.source("name") == "value.name"
    assert header.source("ts") is None


def test_a_file_without_a_header(tmp_path: Path) -> None:
    assert read_header(written(tmp_path)).names == ()
    (tmp_path / "zero").write_bytes(b"")
    assert read_header(tmp_path / "zero").names == ()
    for line in (b"1\t2", b"", b"<html>", b"key.\xff", b"x" * 5_000_000):
        with pytest.raises(MalformedFileError, match="does not begin with a header"):
            read_header(written(tmp_path, line))


@pytest.mark.parametrize(
    "other",
    [
        b"\xef\xbb\xbf" + HEADER, HEADER + b"\r", b"meta.ts\tvalue.name\tkey.id\tvalue.more", b"key.id\tvalue.name",
        b"meta.ts\tmeta.action\tkey.id\tvalue.name\tvalue.more", b"meta.x\t" + HEADER, b"",
    ],
)  # fmt: skip
def test_only_usual_headers_are_read_without_cleaning(tmp_path: Path, other: bytes) -> None:
    usual = written(tmp_path, HEADER)
    assert common_header([usual, usual], TABLE, action=False).columns == (None, "id", "name", "more")
    odd = written(tmp_path, *([other] if other else []), name="odd.tsv.gz")
    alone = () if other.startswith(b"meta.ts\tvalue") else ([odd],)  # the order matters only next to other files
    for paths in (*alone, [usual, odd], [odd, usual]):
        with pytest.raises(MalformedFileError):
            common_header(paths, TABLE, action=False)


@pytest.mark.parametrize(
    ("field", "usual"),
    [
        ("\ud55c é 😀".encode(), True), (rb"\r", True), (rb"\\ud83d\\ude00", True), (rb'{"a":"\\\\ud83d"}', True),
        (b"a\rb", False), (b"\xed\xa0\xbd", False), (rb'"\\ud83d"', False), (rb'"\\uDE00"', False),
    ],
)  # fmt: skip
def test_blocks_of_rows(tmp_path: Path, field: bytes, usual: bool) -> None:
    path = written(tmp_path, HEADER, b"t\t1\t\\\\ud83d\t1", b"t\t2\t\t" + field)
    if usual:
        assert b"".join(row_blocks(path, [3])) == b"t\t1\t\\\\ud83d\t1" + b"\nt\t2\t\t" + field + b"\n"
        return
    with pytest.raises(MalformedFileError, match=r"part\.tsv\.gz"):
        list(row_blocks(path, [3]))


def test_databases_that_are_sent_texts_cannot_check_utf8(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, b"t\t1\t\xff\t1")
    assert list(row_blocks(path)) == [b"t\t1\t\xff\t1\n"]
    with pytest.raises(MalformedFileError, match="not UTF-8"):
        list(row_blocks(path, check_utf8=True))
