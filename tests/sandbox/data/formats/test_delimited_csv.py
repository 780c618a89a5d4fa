"""CSV, read by the standard library and by a strict parser that distinguishes null from empty."""

import csv
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples

HEADER = ["meta.ts", "key.id", "value.specimen"]


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def test_every_kind(specimen: Any, write: Any) -> None:
    header, *rows = read(write(specimen, "csv"))
    assert header == HEADER
    assert [row[2] for row in rows] == [*(cell.text for cell in specimen.cells), "", ""]
    assert {row[0] for row in rows} == {"2024-02-29T23:59:59.123Z"}
    assert [row[1] for row in rows] == [str(i) for i in range(len(rows))]


def test_only_the_empty_string_is_an_empty_pair_of_quotes(specimen: Any, write: Any) -> None:
    content = write(specimen, "csv").decode()
    empty = [i for i, cell in enumerate(specimen.cells) if cell.text == ""]
    null = [len(specimen.cells), len(specimen.cells) + 1]
    for i in range(len(specimen.cells) + 2):
        row = f"\n2024-02-29T23:59:59.123Z,{i},"
        assert (f'{row}""\n' in content) == (i in empty)
        assert (f"{row}\n" in content) == (i in null)


def test_deleted_rows_have_a_key_and_no_value(nested: Any, write: Any) -> None:
    content = write(nested, "csv", "condensed", incremental=True)
    header, *updated, deleted = read(content)
    assert header == ["meta.ts", "meta.action", "key.id", "value.settings"]
    assert deleted == ["2024-02-29T23:59:59.123Z", "D", str(len(updated)), ""]
    assert {row[1] for row in updated} == {"U"}
    assert content.endswith(f",D,{len(updated)},\n".encode())


def test_expanded_lays_nested_columns_out(nested: Any, write: Any) -> None:
    header, *rows = read(write(nested, "csv", "expanded"))
    assert header[2:] == ["value.settings.theme", "value.settings.deep.at", "value.settings.deep.list"]
    assert [row[2:] for row in rows] == [
        ['a"b\t', "2024-01-01T00:00:00.000Z", '["\\\\"]'],
        ["", "", ""],
        ["", "", "[]"],
        *[["", "", ""]] * 3,
    ]


def test_condensed_keeps_each_nested_column_as_json(nested: Any, write: Any) -> None:
    header, *rows = read(write(nested, "csv", "condensed"))
    assert header[2:] == ["value.settings"]
    assert [row[2] for row in rows] == [
        '{"theme":"a\\"b\\t","deep":{"at":"2024-01-01T00:00:00.000Z","list":["\\\\"]}}',
        '{"theme":""}',
        '{"deep":{"list":[]}}',
        *[""] * 3,
    ]


@few_examples(15)
@given(data=st.data())
def test_any_text(values: Any, texts: Any, quote: Any, write: Any, data: st.DataObject) -> None:
    drawn = data.draw(texts)
    _header, *rows = read(write(values("string", map(quote, drawn)), "csv"))
    assert [row[2] for row in rows] == [*drawn, "", ""]
