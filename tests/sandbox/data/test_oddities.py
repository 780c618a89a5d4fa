"""Each oddity changes the text of an object as its name says, and nothing else."""

import csv
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.data.oddities import ODDITIES, TextColumns, rewrite

COLUMNS = TextColumns(texts=["value.name"], json=["value.more"])
TSV = b'meta.ts\tkey.id\tvalue.name\tvalue.more\nT\t1\t\\N\t\\N\nT\t2\tab\t{"a":1,"b":"x"}\n'
CSV = b'meta.ts,meta.action,key.id,value.name,value.more\nT,U,1,"a\nb","{""b"":""x""}"\nT,D,2,,\n'
JSONL = (
    b'{"key":{"id":1},"value":{"name":"a"},"meta":{"ts":"T","action":"U"}}\n'
    b'{"key":{"id":2},"value":{"more":{"b":["x"]}},"meta":{"ts":"T"}}\n'
)
TEXTS = {"tsv": TSV, "csv": CSV, "jsonl": JSONL}


@pytest.mark.parametrize(
    ("oddity", "kind", "old", "new"),
    [
        ("no-ts", "csv", b"meta.ts,", b""),
        ("no-ts", "jsonl", b'"ts":"T","action":"U"', b'"action":"U"'),
        ("explicit-nulls", "jsonl", b'"value":{"name":"a"}', b'"value": {"name": "a", "more": null}'),
        ("explicit-nulls", "tsv", b"", b""),
        ("not-utf8", "tsv", b"ab", b"ab\xff"),
        ("not-utf8", "csv", b"a\nb", b"a\nb\xff"),
        ("not-utf8", "jsonl", b'"name":"a"', b'"name":"a\xff"'),
        ("nul", "tsv", b"ab", rb"ab\0"),
        ("nul", "csv", b"a\nb", b"a\nb\0"),
        ("nul", "jsonl", b'"name":"a"', rb'"name":"a\u0000"'),
        ("half-surrogate", "tsv", b'"x"', rb'"x\\ud83d"'),
        ("half-surrogate", "csv", b'""x""', rb'""x\ud83d""'),
        ("half-surrogate", "jsonl", b'"name":"a"', rb'"name":"a\ud83d"'),
        ("short-line", "tsv", b'\t{"a":1,"b":"x"}', b""),
        ("short-line", "csv", b"T,D,2,,", b"T,D,2,"),
        ("unknown-column", "csv", b"value.more", b"value.more,value.x_unknown"),
        ("unknown-column", "jsonl", b'"value":{"name"', b'"value":{"x_unknown":1,"name"'),
        ("repeated-column", "tsv", b"value.more", b"value.more\tvalue.more"),
        ("repeated-column", "jsonl", b"", b""),
        ("column-order", "tsv", b"meta.ts\tkey.id\tvalue.name\tvalue.more", b"value.more\tvalue.name\tkey.id\tmeta.ts"),
        ("bom", "csv", b"meta.ts", b"\xef\xbb\xbfmeta.ts"),
        ("crlf", "csv", b"T,U,1", b"T,U,1"),
        ("no-newline", "tsv", b"}\n", b"}"),
    ],
)
def test_what_becomes_of_a_text(oddity: str, kind: str, old: bytes, new: bytes) -> None:
    changed = rewrite(TEXTS[kind], oddity, kind, COLUMNS)
    if old == new == b"":
        assert changed == TEXTS[kind]
    else:
        assert old in TEXTS[kind]
        assert new in changed
        assert new == old or changed != TEXTS[kind]


def test_line_breaks() -> None:
    assert rewrite(TSV, "crlf", "tsv", COLUMNS) == TSV.replace(b"\n", b"\r\n")
    assert rewrite(CSV, "crlf", "csv", COLUMNS) == CSV.replace(b"\n", b"\r\n").replace(b"a\r\nb", b"a\nb")
    assert rewrite(JSONL, "blank-lines", "jsonl", COLUMNS) == JSONL.replace(b"\n", b"\n\n")


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_text_without_rows_stays_valid(oddity: str, kind: str) -> None:
    rewrite(b"", oddity, kind, COLUMNS)
    rewrite(TEXTS[kind].split(b"\n")[0] + b"\n", oddity, kind, COLUMNS)


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet"])
def test_metadata_is_left_out_of_objects(college: Dataset, now: int, tmp_path: Path, kind: str) -> None:
    query = DataQuery(namespace="canvas", table="courses", format=kind, mode="condensed", until_ms=now)
    (part,) = college.parts(query)

    def read(oddity: str | None) -> Any:
        path = tmp_path / "object"
        assert college.write(replace(part, oddity=oddity), path) > 1
        if kind == "parquet":
            return path.read_bytes()
        text = gzip.decompress(path.read_bytes()).decode()
        if kind == "jsonl":
            return [json.loads(line) for line in text.splitlines()]
        separator = {"tsv": "\t", "csv": ","}[kind]
        return list(csv.reader(io.StringIO(text), delimiter=separator, quoting=csv.QUOTE_MINIMAL))

    usual, odd = read(None), read("no-meta")
    if kind == "jsonl":
        usual = [{name: value for name, value in row.items() if name != "meta"} for row in usual]
    elif kind != "parquet":
        assert usual[0][0] == "meta.ts"
        usual = [row[1:] for row in usual]
    assert odd == usual


def test_zero_bytes(college: Dataset, now: int, tmp_path: Path) -> None:
    query = DataQuery(namespace="canvas", table="courses", format="tsv", until_ms=now)
    (part,) = college.parts(query)
    college.write(replace(part, oddity="zero-bytes"), tmp_path / "object")
    assert (tmp_path / "object").read_bytes() == b""


def test_the_documentation_lists_every_oddity() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind, effect in ODDITIES.items() if f"| `{kind}` | {effect} |" not in page] == []
