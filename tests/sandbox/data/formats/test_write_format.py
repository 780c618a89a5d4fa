"""What all formats share: equal bytes for equal rows, order, empty results, errors, no leftover files."""

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from dapkit.sandbox.data.catalogue import Column, Kind, Table
from dapkit.sandbox.data.formats import FORMATS, output, write_format

TABLE = Table(
    namespace="edge",
    name="small",
    key=(Column(name="id", kind=Kind.INT64), Column(name="Ünïcode, \"quoted\" 'key'", kind=Kind.STRING)),
    value=(Column(name="order", kind=Kind.BOOLEAN, nullable=True),),
)
ROWS = """SELECT TIMESTAMP '2024-01-01' + to_seconds(i) AS ts, 'U' AS action, 1000 - i AS k0, 'k' AS k1, NULL AS v0
    FROM range({count}) AS r(i) ORDER BY i"""

Written = Callable[..., tuple[int, bytes]]


@pytest.fixture
def written(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Written:
    def written(form: str, table: Table = TABLE, rows: str = ROWS, count: int = 5000) -> tuple[int, bytes]:
        path = tmp_path / "it's an object"
        number = write_format(
            connection,
            rows.format(count=count),
            table,
            format=form,
            mode="expanded",
            incremental=False,
            path=path,
        )
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        return number, path.read_bytes()

    return written


@pytest.mark.parametrize("form", FORMATS)
def test_equal_rows_give_equal_bytes(form: str, written: Written) -> None:
    number, content = written(form)
    assert number == 5000
    assert written(form) == (number, content)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "parquet"])
def test_gzip_has_one_member_without_name_and_time(form: str, written: Written) -> None:
    _, content = written(form)
    assert content[:4] == b"\x1f\x8b\x08\x00"
    assert content[4:8] == b"\0\0\0\0"
    member = zlib.decompressobj(wbits=31)
    member.decompress(content)
    assert member.eof
    assert member.unused_data == b""


def test_rows_keep_the_query_s_order(written: Written) -> None:
    lines = gzip.decompress(written("tsv")[1]).decode().splitlines()[1:]
    assert [int(line.split("\t")[1]) for line in lines] == list(range(1000, -4000, -1))
    table = pq.read_table(io.BytesIO(written("parquet")[1]))
    assert table["key"].combine_chunks().field("id").to_pylist() == list(range(1000, -4000, -1))


def test_no_rows_leave_the_header(written: Written) -> None:
    assert gzip.decompress(written("jsonl", count=0)[1]) == b""
    name = "key.Ünïcode, \"quoted\" 'key'"
    tsv = gzip.decompress(written("tsv", count=0)[1]).decode()
    assert tsv == f"meta.ts\tkey.id\t{name}\tvalue.order\n"
    csv = gzip.decompress(written("csv", count=0)[1]).decode()
    assert csv == 'meta.ts,key.id,"key.Ünïcode, ""quoted"" \'key\'",value.order\n'
    assert pq.read_metadata(io.BytesIO(written("parquet", count=0)[1])).num_rows == 0


def test_names_of_columns_are_quoted_in_json(written: Written) -> None:
    line = gzip.decompress(written("jsonl", count=1)[1]).decode()
    name = r"Ünïcode, \"quoted\" 'key'"
    expected = f'{{"key":{{"id":1000,"{name}":"k"}},"value":{{}},"meta":{{"ts":"2024-01-01T00:00:00.000Z"}}}}\n'
    assert line == expected


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_may_have_nothing_but_its_key(form: str, written: Written) -> None:
    table = Table(namespace="edge", name="key_only", key=TABLE.key, value=())
    assert written(form, table=table, count=3)[0] == 3


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "parquet"])
def test_the_standard_library_compresses_where_isal_is_missing(
    form: str, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, fast = written(form)
    monkeypatch.setattr(output, "_compressor", zlib.compressobj)
    assert written(form)[0] == number
    assert gzip.decompress(written(form)[1]) == gzip.decompress(fast)


@pytest.mark.parametrize("form", FORMATS)
def test_a_query_that_fails_leaves_no_plain_text(
    form: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = ROWS.replace("NULL", "CASE WHEN i = 4000 THEN error('broken') END").format(count=5000)
    with pytest.raises(duckdb.Error, match="broken"):
        write_format(
            connection,
            rows,
            TABLE,
            format=form,
            mode="expanded",
            incremental=False,
            path=tmp_path / "object",
        )
    assert [file.name for file in tmp_path.iterdir() if file.name != "object"] == []


@pytest.mark.parametrize(("form", "mode"), [("xml", "expanded"), ("csv", "flat")])
def test_unknown_formats_and_modes_are_rejected(
    form: str, mode: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"format": form, "mode": mode, "incremental": False, "path": tmp_path / "object"}
    with pytest.raises(ValueError, match="unknown"):
        write_format(connection, ROWS, TABLE, **arguments)
