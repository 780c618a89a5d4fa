"""Joined Parquet files hold what their parts hold, for every reader."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dapkit.decode.parquet_check import check_parquet
from dapkit.errors import IntegrityError
from dapkit.tables.output import COPY_OPTIONS, PARQUET_V1_OPTIONS
from dapkit.tables.parquet_merge import merge_parquet, read_metadata

V2, V1 = COPY_OPTIONS["parquet"], PARQUET_V1_OPTIONS  # type: ignore[index]
ROWS = (
    "SELECT i AS id, 'name ' || (i % 7) AS name, 'unique ' || i AS unique_name, i / 8.0 AS ratio, i % 2 = 0 AS even,"
    " [i, NULL, i + 1] AS numbers, {{'a': i, 'b': ['x', 'y']}} AS more, CASE WHEN i % 3 = 0 THEN i END AS maybe,"
    " TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL (i) DAY AS moment, CAST(i AS DECIMAL(38,10)) AS amount"
    " FROM range({}, {}) numbers(i)"
)


def part(folder: Path, start: int, end: int, options: str = V2) -> Path:
    """Return a file that DuckDB wrote."""
    path = folder / f"{start}-{end}-{len(list(folder.iterdir()))}.parquet"
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        connection.execute(f"COPY ({ROWS.format(start, end)}) TO '{path}' ({options})")
    return path


def merged(parts: Sequence[Path], folder: Path) -> Path:
    """Return the file that the parts were joined to."""
    path = folder / "merged.parquet"
    with path.open("wb") as file:
        merge_parquet(parts, file, {"dapkit": "é", "other": ""})
    return path


def test_all_rows_are_read_in_order(tmp_path: Path) -> None:
    """Also from parts of different sizes and versions of the format, and from one without rows."""
    groups = V2 + ", ROW_GROUP_SIZE 2048"
    parts = [
        part(tmp_path, 0, 5000, groups),
        part(tmp_path, 5000, 5000),
        part(tmp_path, 5000, 5001),
        part(tmp_path, 5001, 9000, V1),
        part(tmp_path, 9000, 9100),
    ]
    path = merged(parts, tmp_path)
    expected = pa.concat_tables([pq.read_table(each) for each in parts])
    assert pq.read_table(path).equals(expected)
    with duckdb.connect() as connection:
        rows = connection.sql(f"SELECT * FROM '{path}'").to_arrow_table()
        assert rows["id"].to_pylist() == list(range(9100))
        assert rows["more"].to_pylist() == expected["more"].to_pylist()
    with path.open("rb", buffering=0) as file:
        assert check_parquet(file).rows == 9100
    assert pq.ParquetFile(path).metadata.num_row_groups == sum(
        pq.ParquetFile(each).metadata.num_row_groups for each in parts
    )
    assert read_metadata(path) == {"dapkit": "é", "other": ""}


def test_a_hundred_parts(tmp_path: Path) -> None:
    """More row groups than fit into the short form of a list."""
    (tmp_path / "parts").mkdir()
    parts = [part(tmp_path / "parts", number * 10, number * 10 + 10) for number in range(100)]
    path = merged(parts, tmp_path)
    assert pq.read_table(path, columns=["id"])["id"].to_pylist() == list(range(1000))
    with path.open("rb", buffering=0) as file:
        assert check_parquet(file).rows == 1000


def test_parts_without_any_rows(tmp_path: Path) -> None:
    """The columns remain."""
    path = merged([part(tmp_path, 0, 0), part(tmp_path, 0, 0)], tmp_path)
    assert pq.read_table(path).num_rows == 0
    assert pq.read_schema(path).names[:2] == ["id", "name"]


def test_filters_find_the_rows_of_each_part(tmp_path: Path) -> None:
    """Statistics, indexes and Bloom filters were moved together with the pages that they describe."""
    parts = [part(tmp_path, start, start + 1000) for start in (0, 1000, 2000)]
    path = merged(parts, tmp_path)
    with duckdb.connect() as connection:
        for number in (0, 999, 1000, 1500, 2999):
            for condition in (f"id = {number}", f"unique_name = 'unique {number}'", f"ratio = {number / 8}"):
                found = connection.execute(f"SELECT id FROM '{path}' WHERE {condition}").fetchall()
                assert found == [(number,)], condition
        assert connection.execute(f"SELECT count(*) FROM '{path}' WHERE name = 'name 3'").fetchall() == [(429,)]
        assert connection.execute(f"SELECT count(*) FROM '{path}' WHERE maybe IS NULL").fetchall() == [(2000,)]
        ranges = f"SELECT stats_min_value, stats_max_value FROM parquet_metadata('{path}') WHERE path_in_schema = 'id'"
        assert connection.execute(ranges).fetchall() == [("0", "999"), ("1000", "1999"), ("2000", "2999")]
    assert pq.read_table(path, filters=[("id", ">=", 1998), ("id", "<", 2002)])["id"].to_pylist() == [
        1998,
        1999,
        2000,
        2001,
    ]


def test_bloom_filters_rule_out_the_parts_without_a_value(tmp_path: Path) -> None:
    """A probe reads the filter at its offset: it must be that of the same part."""
    repeated = "SELECT 'value ' || (i % 10 * 3 + {}) AS name FROM range(3000) numbers(i)"
    parts = []
    with duckdb.connect() as connection:
        for number in range(3):
            parts.append(tmp_path / f"{number}.parquet")
            connection.execute(f"COPY ({repeated.format(number)}) TO '{parts[-1]}' ({V2})")
        path = merged(parts, tmp_path)
        offsets = f"SELECT bloom_filter_offset FROM parquet_metadata('{path}')"
        assert all(offset is not None for (offset,) in connection.execute(offsets).fetchall())
        for number in range(3):
            probe = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'name', 'value {number + 12}')"
            assert connection.execute(probe).fetchall() == [(each != number,) for each in range(3)]


def test_different_schemas_are_refused(tmp_path: Path) -> None:
    """Another type, or a column that is required."""
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    pq.write_table(pa.table({"a": pa.array([1])}), first)
    for other in (
        pa.table({"a": pa.array(["1"])}),
        pa.table({"b": pa.array([1])}),
        pa.table({"a": pa.array([1]), "b": pa.array([1])}),
        pa.table([pa.array([1])], schema=pa.schema([pa.field("a", pa.int64(), nullable=False)])),
    ):
        pq.write_table(other, second)
        with pytest.raises(IntegrityError, match="different schemas"):
            merge_parquet([first, second], io.BytesIO(), {})


def test_files_that_are_not_parquet(tmp_path: Path) -> None:
    """They have no metadata; as parts they are an error."""
    path = tmp_path / "other.parquet"
    for content in (b"", b"PAR1", b"PAR1" + b"\xff" * 4 + b"PAR1", b"a" * 100):
        path.write_bytes(content)
        assert read_metadata(path) == {}


def test_several_threads_may_join_at_once(tmp_path: Path) -> None:
    """Nothing is shared."""
    parts = [part(tmp_path, 0, 100), part(tmp_path, 100, 200)]
    results: list[bytes] = []

    def join() -> None:
        file = io.BytesIO()
        merge_parquet(parts, file, {})
        results.append(file.getvalue())

    threads = [threading.Thread(target=join) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1
