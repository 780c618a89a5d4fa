"""The same rows in every format say the same, for every table of the namespace that has all kinds of columns."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dapkit.sandbox.data.dataset import DataQuery, Dataset

DATASET = Dataset(scale=0.02)
SINCE, UNTIL = 1_704_067_200_000, 1_735_689_600_000
UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def write(table: str, form: str, since: int | None, path: Path) -> Iterator[bytes]:
    query = DataQuery(namespace="edge", table=table, format=form, mode="condensed", since_ms=since, until_ms=UNTIL)
    for part in DATASET.parts(query):
        DATASET.write(part, path)
        content = path.read_bytes()
        yield content if form == "parquet" else gzip.decompress(content)


def unescape(field: str) -> str | None:
    return None if field == "\\N" else re.sub(r"\\(.)", lambda match: UNESCAPED[match[1]], field)


def flat_rows(parts: Iterator[bytes]) -> Iterator[dict[str, str | None]]:
    for part in parts:
        header, *lines = part.decode().removesuffix("\n").split("\n")
        for line in lines:
            yield dict(zip(header.split("\t"), map(unescape, line.split("\t")), strict=True))


def parsed(text: str) -> Any:
    """JSON whose numbers stay the text they are."""
    return json.loads(text, parse_int=str, parse_float=str)


def same(flat: str | None, nested: Any) -> bool:
    if nested is None:  # left out, or the JSON value null in a column of any type
        return flat in (None, "null")
    if flat is None:
        return False
    if isinstance(nested, str):
        return flat in (nested, json.dumps(nested, ensure_ascii=False))
    return bool(parsed(flat) == nested)


@pytest.fixture(autouse=True)
def _long_fields() -> Iterator[None]:
    limit = csv.field_size_limit(1 << 24)
    yield
    csv.field_size_limit(limit)


@pytest.mark.parametrize("since", [None, SINCE], ids=["snapshot", "increment"])
@pytest.mark.parametrize("table", DATASET.tables("edge"))
def test_all_formats_say_the_same(table: str, since: int | None, tmp_path: Path) -> None:
    path = tmp_path / "object"
    rows = list(flat_rows(write(table, "tsv", since, path)))

    readers = (
        csv.DictReader(io.StringIO(part.decode(), newline=""), strict=True) for part in write(table, "csv", since, path)
    )
    assert list(chain.from_iterable(readers)) == [{name: text or "" for name, text in row.items()} for row in rows]

    lines = [parsed(line) for part in write(table, "jsonl", since, path) for line in part.decode().split("\n") if line]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for name, text in row.items():
            group, _, column = name.partition(".")
            assert same(text, line.get(group, {}).get(column)), name
        assert ("value" in line) == (row.get("meta.action") != "D")

    tables = [pq.read_table(io.BytesIO(part)) for part in write(table, "parquet", since, path)]
    keys = [key for table_ in tables for key in table_["key"].to_pylist()]
    assert [{f"key.{k}": str(v) for k, v in key.items()} for key in keys] == [
        {name: text for name, text in row.items() if name.startswith("key.")} for row in rows
    ]
