import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dapkit.decode.jsonl import Record, records
from dapkit.errors import IntegrityError, MalformedFileError


def written(folder: Path, text: str) -> Path:
    path = folder / "part-0.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def line(**parts: Any) -> str:
    return json.dumps(parts, ensure_ascii=False)


def test_all_kinds_of_rows(tmp_path: Path) -> None:
    rows = [
        line(key={"id": 1}, value={"name": 'tab\t"quote"\n😀', "n": 1.5, "deep": {"a": [1]}}, meta={"ts": "T1"}),
        line(key={"id": 2}, value={}, meta={"ts": "T2", "action": "U"}),
        line(key={"id": 3}, meta={"action": "D", "ts": "T3"}, future=[{}]),
        "",
        line(key={"id": 2**60}, value=None, meta={"ts": "T4"}),
    ]
    assert list(records(written(tmp_path, "\n".join(rows)))) == [
        Record({"id": 1}, {"name": 'tab\t"quote"\n😀', "n": 1.5, "deep": {"a": [1]}}, "T1", None),
        Record({"id": 2}, {}, "T2", "U"),
        Record({"id": 3}, None, "T3", "D"),
        Record({"id": 2**60}, None, "T4", None),
    ]


def test_rows_longer_and_shorter_than_a_block(tmp_path: Path) -> None:
    sizes = [10, 200_000, 0, 65_000, 64 * 1024, 1_000_000, 3]
    text = "".join(line(key={"id": size}, value={"x": "x" * size}, meta={"ts": "T"}) + "\n" for size in sizes)
    rows = list(records(written(tmp_path, text)))
    assert [(row.key["id"], len((row.value or {})["x"])) for row in rows] == [(size, size) for size in sizes]


def test_no_rows(tmp_path: Path) -> None:
    assert list(records(written(tmp_path, ""))) == []


@pytest.mark.parametrize("text", ["<html>", '{"key": 1}', '{"meta": {}}', '{"key": {}, "meta": {"ts"', "null", "[]"])
def test_a_malformed_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(MalformedFileError, match=r"Record 3 of part-0\.jsonl\.gz"):
        list(records(written(tmp_path, f'{{"key": {{}}}}\n\n{{"key": {{}}}}\n{text}\n')))


def test_metadata_may_be_missing_and_nulls_may_be_explicit(tmp_path: Path) -> None:
    rows = [
        line(key={"id": 1}),
        line(key={"id": 2}, value={"a": None, "b": 1, "c": {"d": None}}, meta=None),
        line(key={"id": 3}, value=None, meta={"ts": None, "action": "D"}),
        line(key={"id": 4}, value={"a": "null"}, meta={"action": None}),
    ]
    assert list(records(written(tmp_path, "\n".join(rows)))) == [
        Record({"id": 1}, None, None, None),
        Record({"id": 2}, {"b": 1, "c": {"d": None}}, None, None),
        Record({"id": 3}, None, None, "D"),
        Record({"id": 4}, {"a": "null"}, None, None),
    ]


@pytest.mark.parametrize("value", [{}, {"id": "x"}, {"name": None}, [], "x", 5])
def test_a_deleted_row_has_no_value_whatever_its_line_says(tmp_path: Path, value: object) -> None:
    text = "\n".join(line(key={"id": key}, value=value, meta={"ts": "T", "action": "D"}) for key in (1, 2))
    assert list(records(written(tmp_path, text))) == [Record({"id": key}, None, "T", "D") for key in (1, 2)]


@pytest.mark.parametrize("value", [[], "x", 5])
def test_the_value_of_another_row_is_an_object(tmp_path: Path, value: object) -> None:
    with pytest.raises(MalformedFileError, match=r"Record 1 .*\$\.value"):
        list(records(written(tmp_path, line(key={"id": 1}, value=value, meta={"ts": "T", "action": "U"}))))


def test_unusual_text(tmp_path: Path) -> None:
    rows = [
        b'\xef\xbb\xbf{"key": {"id": 1}, "value": {"a": "\xff"}}\r',
        rb'{"key": {"id": 2}, "value": {"a": ["\ud83d", "\uDE00", "\ud83d\ude00", "\\ud83d"], "b": null}}',
        rb'{"key": {"id": 3}, "value": {"a": "\u0000"}}',
    ]
    path = tmp_path / "part-0.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(rows)))
    assert [record.value for record in records(path)] == [
        {"a": "\ufffd"},
        {"a": ["\ufffd", "\ufffd", "\U0001f600", "\\ud83d"]},
        {"a": "\0"},
    ]


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "part-0.jsonl.gz"
    path.write_bytes(b"")
    assert list(records(path)) == []


def test_a_truncated_file(tmp_path: Path) -> None:
    path = written(tmp_path, line(key={}, value={}, meta={"ts": "T"}) + "\n")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        list(records(path))
