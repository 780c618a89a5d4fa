"""Contract: files that are not as the service documents them, as the page "Malformed files" says."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.flat.flattening import flat_rows, plan_for, state_of
from tests.contract.flat.reference import Row
from tests.support.table_schemas import INT32, TEXT, table_of

from dapkit.errors import BadValueError, DapError, IntegrityError, MalformedFileError
from dapkit.model import Format, Table
from dapkit.tables.engine import Engine, EngineOptions
from dapkit.tables.flat_files import flat_path
from dapkit.tables.flat_writer import FlatWriter

MORE = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
TABLE = table_of({"name": TEXT, "size": INT32, "more": MORE, "tags": {"type": "array", "items": TEXT}, "any": {}})
TEXT_KEY = table_of({"name": TEXT}, key={"id": TEXT})
TEXTS = (Format.TSV, Format.CSV, Format.JSONL)
GOOD = {
    Format.TSV: b"meta.ts\tkey.id\tvalue.name\tvalue.size\n2024-03-01T12:00:00.000Z\t1\tn\t2\n",
    Format.CSV: b"meta.ts,key.id,value.name,value.size\n2024-03-01T12:00:00.000Z,1,n,2\n",
    Format.JSONL: b'{"key":{"id":1},"value":{"name":"n","size":2},"meta":{"ts":"2024-03-01T12:00:00.000Z"}}\n',
}
ROW = {"id": 1, "name": "n", "size": 2, "_ts": 1709294400000000}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all tests."""
    with Engine(EngineOptions(threads=1)) as engine:
        yield engine


class Flattener:
    """Makes one downloaded file into a flat file."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.repaired = 0

    def rows(
        self, format_: Format, content: bytes, rows: int | None = None, *, action: bool = False, table: Table = TABLE
    ) -> list[Row]:
        """Return the rows, without nulls. `content` is not compressed, unless it is empty."""
        path = self._folder / "part"
        path.write_bytes(gzip.compress(content, 1) if content else b"")
        plan = plan_for(table, format_, action=action)
        writer = FlatWriter(self._engine, plan, self._folder / "pieces")
        try:
            writer.add(0, path, rows)
            self.repaired = writer.repaired
            target = flat_path(self._folder, state_of(plan))
            writer.finish(target, state_of(plan))
        finally:
            writer.discard()
        found = flat_rows(target, plan)
        return [{name: value for name, value in row.items() if value is not None} for row in found]


@pytest.fixture
def flattener(engine: Engine, tmp_path: Path) -> Flattener:
    """Makes files of the test."""
    return Flattener(engine, tmp_path)


@pytest.mark.parametrize("format_", TEXTS)
@pytest.mark.parametrize("rows", [0, None])
def test_an_empty_file_has_no_rows(format_: Format, rows: int | None, flattener: Flattener, tmp_path: Path) -> None:
    """Zero bytes, or a gzip file of nothing."""
    assert flattener.rows(format_, b"", rows) == []
    path = tmp_path / "empty"
    path.write_bytes(gzip.compress(b""))
    with Engine(EngineOptions()) as engine:
        FlatWriter(engine, plan_for(TABLE, format_), tmp_path / "other").add(0, path, rows)


@pytest.mark.parametrize("format_", TEXTS)
@pytest.mark.parametrize("known", [True, False])
def test_unusual_lines_are_accepted(format_: Format, known: bool, flattener: Flattener) -> None:
    """A byte order mark, CR LF, empty lines, which the download has counted, and no line break at the end."""
    good = GOOD[format_]
    header = format_ is not Format.JSONL
    for content, rows in (
        (good, 1),
        (b"\xef\xbb\xbf" + good, 1),
        (good.replace(b"\n", b"\r\n"), 1),
        (good.replace(b"\n", b"\n\n"), 3 if header else 2),
        (good.rstrip(b"\n"), 1),
    ):
        assert flattener.rows(format_, content, rows if known else None) == [ROW], content
        assert flattener.repaired == 0


@pytest.mark.parametrize("format_", TEXTS)
def test_bytes_that_are_not_utf8_are_replaced(format_: Format, flattener: Flattener) -> None:
    """And counted."""
    content = GOOD[format_].replace(b"n\t2", b"n\xff\t2").replace(b",n,", b",n\xff,").replace(b'"n"', b'"n\xff"')
    assert flattener.rows(format_, content, 1) == [ROW | {"name": "n�"}]
    assert flattener.repaired == 1


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (Format.TSV, b"key.id\tvalue.name\n\xff\tx\n"),
        (Format.CSV, b"key.id,value.name\n\xff,x\n"),
        (Format.JSONL, b'{"key":{"id":"\xff"},"value":{"name":"x"}}\n'),
    ],
)
def test_a_key_is_not_repaired(format_: Format, content: bytes, flattener: Flattener) -> None:
    """It could become equal to another one."""
    with pytest.raises(BadValueError, match="key column id"):
        flattener.rows(format_, content, 1, table=TEXT_KEY)


@pytest.mark.parametrize("format_", TEXTS)
@pytest.mark.parametrize(
    ("column", "json", "value"),
    [
        ("more", rb'{"a":"x\ud83d"}', {"a": "x�"}),
        ("tags", rb'["\ude00","\ud83d\ude00"]', ["�", "😀"]),
        ("any", rb'{"b":["\ud83d"]}', {"b": ["�"]}),
    ],
)
def test_half_surrogate_pairs_in_json_are_replaced(
    format_: Format, column: str, json: bytes, value: object, flattener: Flattener
) -> None:
    """DuckDB itself refuses them in a way that names no row."""
    name = column.encode()
    content = {
        Format.TSV: b"key.id\tvalue." + name + b"\n1\t" + json.replace(b"\\", b"\\\\") + b"\n",
        Format.CSV: b"key.id,value." + name + b'\n1,"' + json.replace(b'"', b'""') + b'"\n',
        Format.JSONL: b'{"key":{"id":1},"value":{"' + name + b'":' + json + b"}}\n",
    }
    assert flattener.rows(format_, content[format_], 1) == [{"id": 1, column: value}]
    assert flattener.repaired == 1


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (Format.TSV, b"key.id\tvalue.name\n1\tn\n2\t\\N\n"),
        (Format.CSV, b"key.id,value.name\n1,n\n2,\n"),
        (Format.JSONL, b'{"key":{"id":1},"value":{"name":"n"}}\n{"key":{"id":2}}\n'),
    ],
)
def test_missing_meta_and_columns(format_: Format, content: bytes, flattener: Flattener) -> None:
    """Columns that the files lack are null. A row without values was deleted."""
    assert flattener.rows(format_, content, 2) == [{"id": 1, "name": "n"}, {"id": 2}]
    changes = [{"id": 1, "name": "n", "_action": "U"}, {"id": 2, "_action": "D"}]
    assert flattener.rows(format_, content, 2, action=True) == changes


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (Format.TSV, b"meta.action\tkey.id\tvalue.size\nD\t1\tx\nU\t2\t5\n"),
        (Format.CSV, b"meta.action,key.id,value.size\nD,1,x\nU,2,5\n"),
        (
            Format.JSONL,
            (
                b'{"key":{"id":1},"value":{"size":"x"},"meta":{"action":"D"}}\n'
                b'{"key":{"id":2},"value":{"size":5},"meta":{"action":"U"}}\n'
            ),
        ),
    ],
)
def test_deleted_rows(format_: Format, content: bytes, flattener: Flattener) -> None:
    """Their values need not follow the schema; a snapshot does not have them."""
    assert flattener.rows(format_, content, 2, action=True) == [
        {"id": 1, "_action": "D"},
        {"id": 2, "size": 5, "_action": "U"},
    ]
    valid = content.replace(b"x", b"3").replace(b'"3"', b"3")
    assert flattener.rows(format_, valid, 2) == [{"id": 2, "size": 5}]


def test_a_bare_null_in_csv(flattener: Flattener) -> None:
    """It is null, except in texts: there it may be the text itself."""
    header = b"meta.ts,key.id,value.name,value.size,value.more,value.tags,value.any\n"
    for text in (b"NULL", b'"NULL"'):
        content = header + b"NULL,1," + text + b",NULL,NULL,NULL,NULL\n"
        assert flattener.rows(Format.CSV, content, 1) == [{"id": 1, "name": "NULL"}]


@pytest.mark.parametrize(
    ("format_", "content", "error", "message"),
    [
        (Format.TSV, b"key.id\tvalue.extra\n1\tx\n", IntegrityError, "extra"),
        (Format.CSV, b"key.id,value.extra\n1,x\n", IntegrityError, "extra"),
        (Format.TSV, b"key.id\textra\n1\tx\n", MalformedFileError, "neither meta, key nor value: extra"),
        (Format.CSV, b"key.id,extra\n1,x\n", MalformedFileError, "neither meta, key nor value: extra"),
        (Format.TSV, b"key.id\tkey.id\n1\t1\n", MalformedFileError, "several columns of the name key.id"),
        (Format.CSV, b"key.id,key.id\n1,1\n", MalformedFileError, "several columns of the name key.id"),
        (Format.TSV, b"value.name\nx\n", MalformedFileError, "no column"),
        (Format.CSV, b"value.name\nx\n", MalformedFileError, "no column"),
        (Format.JSONL, b'{"value":{"name":"x"}}\n', BadValueError, "column id"),
        (Format.CSV, b"key.id,value.name\n,x\n", BadValueError, "column id"),
        (Format.TSV, b"1\tx\n", MalformedFileError, "does not begin with a header"),
        (Format.CSV, b"1,x\n", MalformedFileError, "does not begin with a header"),
        (Format.TSV, b"key.id\tvalue.name\n1\n", MalformedFileError, "1 fields instead of 2"),
        (Format.CSV, b"key.id,value.name\n1\n", MalformedFileError, "cannot be read"),
        (Format.CSV, b"key.id,value.name\n1,x,y\n", MalformedFileError, "cannot be read"),
        (Format.JSONL, b"{bad\n", MalformedFileError, "cannot be read"),
        (Format.JSONL, b"[1]\n", MalformedFileError, "cannot be read"),
        (Format.JSONL, b'{"key":{"id":1},"va', MalformedFileError, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_rejected(
    format_: Format, content: bytes, error: type[DapError], message: str, flattener: Flattener
) -> None:
    """Rather than that values are lost."""
    with pytest.raises(error, match=message):
        flattener.rows(format_, content)


@pytest.mark.parametrize("format_", TEXTS)
def test_an_unknown_action_is_rejected(format_: Format, flattener: Flattener) -> None:
    """As long as it means something, its rows cannot be written."""
    content = {
        Format.TSV: b"meta.action\tkey.id\nX\t1\n",
        Format.CSV: b"meta.action,key.id\nX,1\n",
        Format.JSONL: b'{"key":{"id":1},"meta":{"action":"X"}}\n',
    }
    with pytest.raises((BadValueError, MalformedFileError), match="action"):
        flattener.rows(format_, content[format_], 1, action=True)


@pytest.mark.parametrize("format_", TEXTS)
def test_rows_that_were_lost_are_noticed(format_: Format, flattener: Flattener) -> None:
    """The download has counted more."""
    with pytest.raises(IntegrityError, match="has 2 rows"):
        flattener.rows(format_, GOOD[format_], 2)


@pytest.mark.parametrize("format_", TEXTS)
@pytest.mark.parametrize("size", [3 << 20, 20 << 20])
def test_rows_longer_than_any_buffer(format_: Format, size: int, flattener: Flattener) -> None:
    """More than 2 MB and 16 MB; whether the number of rows is known or not."""
    text = b"x" * size
    content = {
        Format.TSV: b"key.id\tvalue.name\n1\t" + text + b"\n2\tn\n",
        Format.CSV: b"key.id,value.name\n1," + text + b"\n2,n\n",
        Format.JSONL: b'{"key":{"id":1},"value":{"name":"' + text + b'"}}\n{"key":{"id":2},"value":{"name":"n"}}\n',
    }
    for rows in (2, None):
        found = flattener.rows(format_, content[format_], rows)
        assert [len(row["name"]) for row in found] == [size, 1]
