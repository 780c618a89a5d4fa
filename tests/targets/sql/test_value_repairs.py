import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, DataFiles, Load, LoadOptions
from dapkit.targets.sql.value_repairs import Repair, append, settle

TABLE = table_of({"a": TEXT, "b": TEXT})
ODD = [
    json.dumps({"key": {"id": "1"}, "values": {"a": "x\0", "b": None}}),
    json.dumps({"key": {"id": "2"}, "values": {"a": "é", "b": "secret"}}),
]


def load(options: LoadOptions) -> Load:
    return Load(
        table=TABLE, parts=DataFiles(paths=(), rows=0), watermark=datetime(2024, 3, 1, tzinfo=UTC), options=options
    )


def test_originals_are_counted_by_column_and_kept_for_their_owner(tmp_path: Path) -> None:
    side = tmp_path / "side.jsonl"
    options = LoadOptions(side_file=side)
    for _ in range(2):
        assert settle(load(options), ODD) == {"a": 2, "b": 1}
    lines = [json.loads(line) for line in side.read_text(encoding="utf-8").splitlines()]
    place = {"namespace": "canvas", "table": "things"}
    assert lines[:3] == [
        place | {"key": {"id": "1"}, "column": "a", "value": "x\0"},
        place | {"key": {"id": "2"}, "column": "a", "value": "é"},
        place | {"key": {"id": "2"}, "column": "b", "value": "secret"},
    ]
    assert lines[3:] == lines[:3]
    assert stat.S_IMODE(side.stat().st_mode) == 0o600


def test_a_load_that_wants_none_is_refused_without_naming_values(tmp_path: Path) -> None:
    options = LoadOptions(bad_values=BadValues.FAIL, side_file=tmp_path / "side.jsonl")
    with pytest.raises(BadValueError, match=r"a \(2\), b \(1\)") as caught:
        settle(load(options), ODD)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert settle(load(replace(options)), []) == {}


def test_without_a_side_file_they_are_counted(tmp_path: Path) -> None:
    assert settle(load(LoadOptions()), ODD) == {"a": 2, "b": 1}
    append(tmp_path / "empty.jsonl", TABLE, [])
    append(tmp_path / "one.jsonl", TABLE, [Repair({"id": None}, "a", "v")])
    assert json.loads((tmp_path / "one.jsonl").read_text())["key"] == {"id": None}
