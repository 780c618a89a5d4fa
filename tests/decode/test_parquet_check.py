import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dapkit.decode.parquet_check import check_parquet
from dapkit.decode.thrift import CompactReader
from dapkit.errors import IntegrityError


def sample(rows: int) -> pa.Table:
    return pa.table(
        {
            "key": pa.array([{"id": i} for i in range(rows)], pa.struct([("id", pa.int64())])),
            "name": pa.array([None if i % 7 == 0 else f"name {i % 50} é" for i in range(rows)], pa.string()),
            "tags": pa.array([[str(k) for k in range(i % 4)] for i in range(rows)], pa.list_(pa.string())),
            "map": pa.array([[("a", i)] for i in range(rows)], pa.map_(pa.string(), pa.int32())),
            "score": pa.array([i / 3 for i in range(rows)], pa.float64()),
        }
    )


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no compression": {"compression": "none"},
    "zstd, no dictionary": {"compression": "zstd", "use_dictionary": False},
    "gzip, version 2 pages": {"compression": "gzip", "data_page_version": "2.0"},
    "small pages and groups": {"data_page_size": 100, "row_group_size": 70, "write_batch_size": 10},
    "page checksums": {"write_page_checksum": True},
    "page index": {"write_page_index": True, "data_page_size": 200},
    "no statistics": {"write_statistics": False},
}


@pytest.mark.parametrize("rows", [0, 1, 500])
@pytest.mark.parametrize("way", WAYS)
def test_what_arrow_writes_is_whole(tmp_path: Path, way: str, rows: int) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(sample(rows), path, **WAYS[way])
    structure = check_parquet(path)
    assert structure.rows == rows
    assert structure.judged
    assert structure.pages_proven == (way == "page checksums")


@pytest.mark.parametrize(
    "options",
    ["", "COMPRESSION zstd", "COMPRESSION gzip, ROW_GROUP_SIZE 2048", "PARQUET_VERSION v2", "COMPRESSION uncompressed"],
)
@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_what_duckdb_writes_is_whole(tmp_path: Path, options: str, rows: int) -> None:
    path = tmp_path / "part.parquet"
    extra = f", {options}" if options else ""
    duckdb.connect().execute(
        "COPY (SELECT {'id': i} AS key, {'name': 'n' || i % 9, 'list': [i, i + 1], 'none': NULL::INT} AS value,"
        f" {{'ts': TIMESTAMP '2025-01-01'}} AS meta FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet{extra})"
    )
    assert check_parquet(path).rows == rows


def test_long_statistics_are_read_in_a_second_look(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"text": ["x" * 3000, "y" * 3000]}), path, use_dictionary=False)
    assert check_parquet(path).rows == 2


def test_an_encrypted_footer_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(b"PARE" + b"secret" * 9 + (54).to_bytes(4, "little") + b"PARE")
    structure = check_parquet(path)
    assert (structure.rows, structure.judged, structure.pages_proven) == (None, False, False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("written") / "part.parquet"
    files = {}
    for way, options in WAYS.items():
        pq.write_table(sample(200), path, **options)
        files[way] = path.read_bytes()
    return files


def refused(tmp_path: Path, data: bytes) -> bool:
    path = tmp_path / "part.parquet"
    path.write_bytes(data)
    try:
        check_parquet(path)
    except IntegrityError:
        return True
    return False


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(list(WAYS)), kept=st.integers(0, 100_000))
def test_every_truncation_is_found(tmp_path: Path, written: dict[str, bytes], way: str, kept: int) -> None:
    whole = written[way]
    assert refused(tmp_path, whole[: kept % len(whole)])


@given(way=st.sampled_from(list(WAYS)), place=st.floats(0, 1), count=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lost_or_added_bytes_are_found(
    tmp_path: Path, written: dict[str, bytes], way: str, place: float, count: int
) -> None:
    whole = written[way]
    start, end = page_data(whole)[0]
    cut = start + int(place * (end - start - count)) if end - start > count else start
    assert refused(tmp_path, whole[:cut] + whole[cut + count :])
    assert refused(tmp_path, whole[:cut] + b"\0" * count + whole[cut:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(list(WAYS)),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_any_harm_ends_in_a_verdict(
    tmp_path: Path, written: dict[str, bytes], way: str, changes: list[tuple[int, int]]
) -> None:
    harmed = bytearray(written[way])
    for place, byte in changes:
        harmed[-1 - place % len(harmed)] = byte
    assert refused(tmp_path, bytes(harmed)) in (True, False), "never another error, never no end"


def test_any_byte_of_a_footer_changed_to_any_other_ends_in_a_verdict(tmp_path: Path, written: dict[str, bytes]) -> None:
    whole = written["no statistics"]
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    end = whole.find(b"ARROW:schema", footer)
    chosen = random.Random(7)
    for place in range(footer, end):
        for byte in chosen.sample(range(256), 3):
            assert refused(tmp_path, whole[:place] + bytes([byte]) + whole[place + 1 :]) in (True, False)


def page_data(whole: bytes) -> list[tuple[int, int]]:
    """Return where the data of the first page of each column lies, behind its header."""
    group = pq.ParquetFile(pa.BufferReader(whole)).metadata.row_group(0)
    resources = []
    for column in map(group.column, range(group.num_columns)):
        reader = CompactReader(whole, column.dictionary_page_offset or column.data_page_offset)
        size = reader.read({3: None})[3]
        resources.append((reader.position, reader.position + size))
    return resources


def test_page_data_with_checksums_is_proven_byte_by_byte(tmp_path: Path, written: dict[str, bytes]) -> None:
    whole = written["page checksums"]
    chosen = random.Random(5)
    for start, end in page_data(whole):
        for place in {start, end - 1, chosen.randrange(start, end)}:
            assert refused(tmp_path, flipped(whole, place))


def test_most_single_changes_of_the_metadata_are_found(tmp_path: Path, written: dict[str, bytes]) -> None:
    """Names for people and statistics are free to change; sizes, counts, offsets and the tree are not."""
    whole = written["no statistics"]
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    schema_note = whole.find(b"ARROW:schema", footer)
    resources = [*range(footer, schema_note - 6), *range(len(whole) - 8, len(whole))]
    missed = [place for place in resources if not refused(tmp_path, flipped(whole, place))]
    assert len(missed) < len(resources) * 0.3


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 3, b"<html>" * 9, b"PAR1" + b"\0" * 9 + b"PARE"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data)
