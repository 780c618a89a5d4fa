"""DuckDB keeps its memory limit, and loads larger than that succeed."""

import gzip
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from tests.support.table_schemas import INT32, TEXT, table_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.errors import TargetError
from dapkit.targets.base import DataFiles, Load
from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.duckdb.url import bytes_of
from dapkit.targets.sql.target import FileTarget

TABLE = table_of({"name": TEXT, "size": INT32, "body": TEXT})
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
LIMIT = "100MB"
PIECES = 15


def target(tmp_path: Path, **settings: str) -> FileTarget:
    return duckdb_file(tmp_path / "college.duckdb", settings)


def write_with_duckdb(path: Path, rows: int) -> DataFiles:
    """Write a file of many rows with incompressible texts, faster than Python could."""
    text = " || ".join(f"lpad(hash(i * 20 + {number})::VARCHAR, 20, '0')" for number in range(PIECES))
    columns = (
        f'\'2024-03-01T12:00:00.000Z\' AS "meta.ts", \'U\' AS "meta.action", i AS "key.id", {text} AS "value.body"'
    )
    plain = path.with_suffix("")
    with duckdb.connect() as connection:
        form = "FORMAT csv, DELIMITER '\t', HEADER, QUOTE '', ESCAPE ''"
        connection.execute(f"COPY (SELECT {columns} FROM range({rows}) AS numbers(i)) TO '{plain}' ({form})")
    with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)
    plain.unlink()
    return DataFiles(paths=(path,), rows=rows)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_load_larger_than_the_memory_succeeds(tmp_path: Path) -> None:
    rows = 400_000
    parts = write_with_duckdb(tmp_path / "rows.tsv.gz", rows)
    assert rows * PIECES * 20 > (bytes_of(LIMIT) or 0), "the texts alone are more than the limit"
    scratch = tmp_path / "scratch"
    session = target(tmp_path, memory_limit=LIMIT, threads="2", temp_directory=str(scratch)).open()
    try:
        session.prepare("canvas", sandbox=False)
        load = Load(table=TABLE, files=parts, watermark=AT)
        assert session.initial_load(load).written == rows
        later = replace(load, watermark=AT + timedelta(hours=1))
        assert session.apply_increment(later, session.sync_states("canvas")["things"]).written == rows
        again = replace(load, watermark=AT + timedelta(hours=2))
        counts = session.full_refresh(again, session.sync_states("canvas")["things"])
        assert (counts.written, counts.deleted) == (rows, 0)
        sql = "SELECT count(DISTINCT id), min(length(body)), max(length(body)) FROM canvas.things"
        assert session.driver.query(sql) == [(rows, PIECES * 20, PIECES * 20)]
    finally:
        session.close()
    assert not list(scratch.glob("*")), "nothing is left of what did not fit into memory"


def test_settings_of_the_url_are_applied(tmp_path: Path) -> None:
    folder = str(tmp_path / "scratch")
    session = target(tmp_path, memory_limit="512MiB", threads="3", temp_directory=folder).open()
    sql = "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
    assert session.driver.query(sql) == [("512.0 MiB", 3, folder)]
    session.close()


@pytest.mark.parametrize("length", [3_000_000, 6_500_000])
def test_too_little_memory_has_a_hint(tmp_path: Path, length: int) -> None:
    session = target(tmp_path, memory_limit="20MB", threads="1").open()
    session.prepare("canvas", sandbox=False)
    rows = [Row({"id": 1, "body": "x" * length}), Row({"id": 2, "body": "short"})]
    parts = write_parts(tmp_path, TABLE, rows, Layout(action=False))
    with pytest.raises(TargetError) as caught:
        session.initial_load(Load(table=TABLE, files=parts, watermark=AT))
    assert "longer" in caught.value.message
    assert "memory_limit" in caught.value.hint
    session.close()


def test_long_lines_are_read_if_there_is_memory(tmp_path: Path) -> None:
    session = target(tmp_path, memory_limit="400MB").open()
    session.prepare("canvas", sandbox=False)
    parts = write_parts(tmp_path, TABLE, [Row({"id": 1, "body": "x" * 8_000_000})], Layout(action=False))
    session.initial_load(Load(table=TABLE, files=parts, watermark=AT))
    assert session.driver.query("SELECT length(body) FROM canvas.things") == [(8_000_000,)]
    session.close()


@pytest.mark.parametrize(
    ("size", "count"),
    [("190.7 MiB", 199_963_443), ("4.0 GiB", 4 << 30), ("2GB", 2_000_000_000), ("1.5kb", 1500), ("0 bytes", None)],
)
def test_sizes_as_duckdb_writes_them(size: str, count: int | None) -> None:
    assert bytes_of(size) == count
