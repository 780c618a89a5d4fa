"""All formats have the same content, for the tables that together have all kinds of columns."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.data.edge_cases import TABLES

SINCE, UNTIL = 1_704_067_200_000, 1_735_689_600_000
UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


LARGE = ("wide", "many_parts", "evolving")

Written = Callable[[str, str], list[bytes]]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(scale=0.02)


@pytest.fixture
def written(dataset: Dataset, tmp_path: Path) -> Written:
    """Write the first parts of an increment; texts are decompressed."""

    def written(table: str, form: str) -> list[bytes]:
        query = DataQuery(namespace="edge", table=table, format=form, mode="condensed", since_ms=SINCE, until_ms=UNTIL)
        contents = []
        for part in dataset.parts(query)[: 1 if table == "long_rows" else 3]:
            dataset.write(part, tmp_path / "object")
            contents.append((tmp_path / "object").read_bytes())
        return contents if form == "parquet" else [gzip.decompress(content) for content in contents]

    return written


def unescape(field: str) -> str | None:
    return None if field == "\\N" else re.sub(r"\\(.)", lambda match: UNESCAPED[match[1]], field)


def flat_rows(parts: list[bytes]) -> Iterator[dict[str, str | None]]:
    for part in parts:
        header, *lines = part.decode().removesuffix("\n").split("\n")
        for line in lines:
            yield dict(zip(header.split("\t"), map(unescape, line.split("\t")), strict=True))


def parsed(text: str) -> Any:
    """Parse JSON, with numbers as texts."""
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


@pytest.mark.parametrize(
    "table",
    [pytest.param(table.name, marks=pytest.mark.slow if table.name in LARGE else ()) for table in TABLES],
)
def test_all_formats_have_the_same_content(table: str, written: Written) -> None:
    rows = list(flat_rows(written(table, "tsv")))

    readers = (csv.DictReader(io.StringIO(part.decode(), newline=""), strict=True) for part in written(table, "csv"))
    assert list(chain.from_iterable(readers)) == [{name: text or "" for name, text in row.items()} for row in rows]

    lines = [parsed(line) for part in written(table, "jsonl") for line in part.decode().split("\n") if line]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for name, text in row.items():
            group, _, column = name.partition(".")
            assert same(text, line.get(group, {}).get(column)), name
        assert ("value" in line) == (row["meta.action"] == "U")

    tables = [pq.read_table(io.BytesIO(part)) for part in written(table, "parquet")]
    keys = [key for part in tables for key in part["key"].to_pylist()]
    assert [{f"key.{name}": str(value) for name, value in key.items()} for key in keys] == [
        {name: text for name, text in row.items() if name.startswith("key.")} for row in rows
    ]
