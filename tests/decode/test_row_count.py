import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.decode.row_count import CsvCounter, LineCounter, RowCounter, row_counter
from dapkit.model import Format


def counted(counter: RowCounter, text: bytes, cuts: list[int]) -> int | None:
    resources = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in pairwise(resources):
        counter.update(text[start:end])
    return counter.rows()


FIELDS = st.text(st.sampled_from('ab",\n\ré 0'), max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@given(rows=st.lists(st.lists(FIELDS, min_size=2, max_size=3), max_size=6), crlf=st.booleans(), cuts=CUTS)
def test_csv_is_counted_as_a_csv_reader_does(rows: list[list[str]], crlf: bool, cuts: list[int]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n" if crlf else "\n").writerows([["meta.ts", "key.id"], *rows])
    text = out.getvalue().encode()
    assert counted(CsvCounter(), text, cuts) == len(rows)
    assert counted(CsvCounter(), text.rstrip(b"\r\n"), cuts) == len(rows)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"", 0),
        (b"a,b\n", 0),
        (b"a,b", 0),
        (b"a,b\n1,2", 1),
        (b'a,b\n1,"x\ny"', 1),
        (b'a,b\n1,"x""\n""y"\n', 1),
        (b'a,b\n"",""\n"",""\n', 2),
        (b'"a"\n"\n\n"\n', 1),
        (b'a\n"open\n', None),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_csv_examples(text: bytes, rows: int | None, step: int) -> None:
    assert counted(CsvCounter(), text, list(range(0, len(text), step))) == rows


@given(lines=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9), cuts=CUTS)
def test_lines(lines: list[bytes], cuts: list[int]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    assert counted(LineCounter(header=False), text, cuts) == len(lines)
    assert counted(LineCounter(header=True), text, cuts) == max(0, len(lines) - 1)
    assert counted(LineCounter(header=False), text + b"{}", cuts) == len(lines) + 1


def test_each_text_format_has_a_counter() -> None:
    text = b'"a\nb"\nc\n'
    assert counted(row_counter(Format.JSONL), text, []) == 3
    assert counted(row_counter(Format.TSV), text, []) == 2
    assert counted(row_counter(Format.CSV), text, []) == 1
    with pytest.raises(ValueError, match="Parquet"):
        row_counter(Format.PARQUET)
