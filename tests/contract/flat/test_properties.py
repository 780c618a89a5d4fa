"""Contract: random rows, written as files of the service by the test, are the same in a flat file."""

import gzip
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.flat.flattening import flat_rows, flatten, plan_for
from tests.contract.flat.reference import ordered, read_rows
from tests.support.table_schemas import INT64, TEXT, table_of

from dapkit.model import Format
from dapkit.tables.engine import Engine, EngineOptions

TABLE = table_of(
    {
        "text": TEXT,
        "number": INT64,
        "ratio": {"type": "number", "format": "float64"},
        "moment": {"type": "string", "format": "date-time"},
        "texts": {"type": "array", "items": TEXT},
    }
)
TS = "2024-03-01T12:00:00.000Z"
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\0": r"\0"}
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\\n\r\t\0",Nbu'), max_size=12)
MOMENTS = st.datetimes().map(lambda time: time.isoformat(timespec="microseconds") + "Z")
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "text": TEXTS,
            "number": st.integers(-(2**63), 2**63 - 1),
            "ratio": st.floats(allow_nan=False, allow_infinity=False),
            "moment": MOMENTS,
            "texts": st.lists(st.none() | TEXTS, max_size=3),
        },
    ),
    min_size=1,
    max_size=5,
)
ENGINE = EngineOptions(threads=1)


def written(format_: Format, rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as a file of the service; the position of a row is its key."""
    if format_ is Format.JSONL:
        records = ({"key": {"id": key}, "value": row, "meta": {"ts": TS}} for key, row in enumerate(rows))
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    names = [column.name for column in TABLE.value]
    lines = [["meta.ts", "key.id", *(f"value.{name}" for name in names)]]
    for key, row in enumerate(rows):
        lines.append([TS, str(key), *(_field(format_, row.get(name)) for name in names)])
    separator = "\t" if format_ is Format.TSV else ","
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def _field(format_: Format, value: object) -> str:
    if value is None:
        return r"\N" if format_ is Format.TSV else ""
    text = json.dumps(value) if isinstance(value, list) else value if isinstance(value, str) else repr(value)
    return text.translate(_ESCAPES) if format_ is Format.TSV else '"' + text.replace('"', '""') + '"'


@settings(max_examples=25)
@given(ROWS)
def test_random_rows(rows: list[dict[str, Any]]) -> None:
    """The same from each format, and as the reference reads them."""
    with tempfile.TemporaryDirectory() as name, Engine(ENGINE) as engine:
        found = []
        for format_ in (Format.TSV, Format.CSV, Format.JSONL):
            path = Path(name) / "part"
            path.write_bytes(gzip.compress(written(format_, rows)))
            plan = plan_for(TABLE, format_)
            flat = flat_rows(flatten(engine, plan, [path], Path(name)), plan)
            assert flat == ordered(read_rows(path, format_, TABLE, action=False), TABLE), format_
            found.append(flat)
        assert found == [found[0]] * 3
