"""Repaired values are counted, their originals are kept for the owner, or the load is rejected."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, DataFiles, Load, LoadOptions
from dapkit.targets.sql import value_repairs
from dapkit.targets.sql.value_repairs import ValueRepairs

TABLE = table_of({"a": TEXT, "b": TEXT})
ODD = [
    json.dumps({"key": {"id": "1"}, "values": {"a": "x\0", "b": None}}),
    json.dumps({"key": {"id": "2"}, "values": {"a": "é", "b": "secret"}}),
]


def repairs(options: LoadOptions) -> ValueRepairs:
    parts = DataFiles(paths=(), rows=0)
    load = Load(table=TABLE, files=parts, watermark=datetime(2024, 3, 1, tzinfo=UTC), options=options)
    return ValueRepairs(load, "A database")


def test_originals_are_counted_by_column_and_kept_for_their_owner(tmp_path: Path) -> None:
    side = tmp_path / "new" / "side.jsonl"
    for _ in range(2):
        noted = repairs(LoadOptions(side_file=side))
        noted.note_originals(ODD)
        noted.save()
        noted.save()
        assert noted.counts == {"a": 2, "b": 1}
    lines = [json.loads(line) for line in side.read_text(encoding="utf-8").splitlines()]
    table = {"namespace": "canvas", "table": "things"}
    assert lines[:3] == [
        table | {"key": {"id": "1"}, "column": "a", "value": "x\0"},
        table | {"key": {"id": "2"}, "column": "a", "value": "é"},
        table | {"key": {"id": "2"}, "column": "b", "value": "secret"},
    ]
    assert lines[3:] == lines[:3]
    assert stat.S_IMODE(side.stat().st_mode) == 0o600


@pytest.mark.parametrize("options", [LoadOptions(bad_values=BadValues.FAIL), LoadOptions()])
def test_values_that_cannot_be_repaired_are_named(options: LoadOptions, tmp_path: Path) -> None:
    with pytest.raises(BadValueError) as caught:
        repairs(options).note("b", {"id": "2", "k": "x"}, "odd\n", repairable=options.bad_values is BadValues.FAIL)
    assert caught.value.message == r"A database cannot store the value 'odd\n' of column b (id 2, k x)"
    with pytest.raises(BadValueError, match=rf"value '{'x' * 100}…' of column b"):
        repairs(options).note("b", {"id": "2"}, "x" * 101, repairable=options.bad_values is BadValues.FAIL)
    with pytest.raises(BadValueError, match=r"column b"):
        repairs(LoadOptions()).note_originals(ODD, required=frozenset({"b"}))
    assert list(tmp_path.iterdir()) == []


def test_many_originals_are_written_in_batches_and_none_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_repairs, "_MAX_BUFFERED_LINES", 2)
    side = tmp_path / "side.jsonl"
    noted = repairs(LoadOptions(side_file=side))
    for number in range(3):
        noted.note("a", {"id": str(number)}, "v")
    assert len(side.read_text().splitlines()) == 2
    alone = repairs(LoadOptions())
    alone.note_originals(ODD)
    alone.save()
    assert alone.counts == {"a": 2, "b": 1}
