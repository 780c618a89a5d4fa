"""TSV, read back by the rules of PostgreSQL's COPY."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples

UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def unescape(field: str) -> str | None:
    if field == "\\N":
        return None
    assert not re.search(r"[\x08-\x0d]", field)
    return re.sub(r"\\(.)", lambda match: UNESCAPED[match[1]], field)


def read(content: bytes) -> list[list[str | None]]:
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    return [[unescape(field) for field in line.split("\t")] for line in lines]


def test_every_kind(specimen: Any, write: Any) -> None:
    header, *rows = read(write(specimen, "tsv"))
    assert header == ["meta.ts", "key.id", "value.specimen"]
    assert [row[2] for row in rows] == [*(cell.text for cell in specimen.cells), None, None]
    assert {row[0] for row in rows} == {"2024-02-29T23:59:59.123Z"}
    assert [row[1] for row in rows] == [str(i) for i in range(len(rows))]


def test_deleted_rows_have_a_key_and_no_value(nested: Any, write: Any) -> None:
    header, *updated, deleted = read(write(nested, "tsv", "condensed", incremental=True))
    assert header == ["meta.ts", "meta.action", "key.id", "value.settings"]
    assert deleted == ["2024-02-29T23:59:59.123Z", "D", str(len(updated)), None]
    assert {row[1] for row in updated} == {"U"}


def test_expanded_lays_nested_columns_out(nested: Any, write: Any) -> None:
    header, *rows = read(write(nested, "tsv", "expanded"))
    assert header[2:] == ["value.settings.theme", "value.settings.deep.at", "value.settings.deep.list"]
    assert [row[2:] for row in rows] == [
        ['a"b\t', "2024-01-01T00:00:00.000Z", '["\\\\"]'],
        ["", None, None],
        [None, None, "[]"],
        *[[None, None, None]] * 3,
    ]


def test_condensed_escapes_json_twice(nested: Any, write: Any) -> None:
    content = write(nested, "tsv", "condensed")
    assert rb'{"theme":"a\\"b\\t","deep":{"at":"2024-01-01T00:00:00.000Z","list":["\\\\"]}}' in content
    _header, *rows = read(content)
    assert [row[2] for row in rows[1:]] == ['{"theme":""}', '{"deep":{"list":[]}}', None, None, None]


@few_examples(15)
@given(data=st.data())
def test_any_text(values: Any, texts: Any, quote: Any, write: Any, data: st.DataObject) -> None:
    drawn = data.draw(texts)
    _header, *rows = read(write(values("string", map(quote, drawn)), "tsv"))
    assert [row[2] for row in rows] == [*drawn, None, None]
