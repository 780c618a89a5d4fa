"""Every damage of the structure is found, and hostile metadata never causes another error."""

import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dapkit.decode.parquet_check import CompactReader, FieldTypes, ParquetStructure, ThriftError, check_parquet
from dapkit.errors import IntegrityError


def check(path: Path) -> ParquetStructure:
    with path.open("rb", buffering=0) as file:
        return check_parquet(file)


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
def test_files_of_arrow_are_valid(tmp_path: Path, way: str, rows: int) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(sample(rows), path, **WAYS[way])
    structure = check(path)
    assert structure.rows == rows
    assert structure.readable
    assert structure.all_pages_verified == (way == "page checksums")


@pytest.mark.parametrize(
    "options",
    ["", "COMPRESSION zstd", "COMPRESSION gzip, ROW_GROUP_SIZE 2048", "PARQUET_VERSION v2", "COMPRESSION uncompressed"],
)
@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_files_of_duckdb_are_valid(tmp_path: Path, options: str, rows: int) -> None:
    path = tmp_path / "part.parquet"
    extra = f", {options}" if options else ""
    duckdb.connect().execute(
        "COPY (SELECT {'id': i} AS key, {'name': 'n' || i % 9, 'list': [i, i + 1], 'none': NULL::INT} AS value,"
        f" {{'ts': TIMESTAMP '2025-01-01'}} AS meta FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet{extra})"
    )
    assert check(path).rows == rows


def test_long_statistics_need_a_second_read(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"text": ["x" * 3000, "y" * 3000]}), path, use_dictionary=False)
    assert check(path).rows == 2


def test_an_encrypted_footer_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(b"PARE" + b"secret" * 9 + (54).to_bytes(4, "little") + b"PARE")
    structure = check(path)
    assert (structure.rows, structure.readable, structure.all_pages_verified) == (None, False, False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("written") / "part.parquet"
    files = {}
    for way, options in WAYS.items():
        pq.write_table(sample(200), path, **options)
        files[way] = path.read_bytes()
    return files


def is_rejected(tmp_path: Path, data: bytes) -> bool:
    path = tmp_path / "part.parquet"
    path.write_bytes(data)
    try:
        check(path)
    except IntegrityError:
        return True
    return False


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(list(WAYS)), kept=st.integers(0, 100_000))
def test_every_truncation_is_found(tmp_path: Path, written: dict[str, bytes], way: str, kept: int) -> None:
    content = written[way]
    assert is_rejected(tmp_path, content[: kept % len(content)])


@given(way=st.sampled_from(list(WAYS)), place=st.floats(0, 1), count=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lost_or_added_bytes_are_found(
    tmp_path: Path, written: dict[str, bytes], way: str, place: float, count: int
) -> None:
    content = written[way]
    start, end = page_data(content)[0]
    cut = start + int(place * (end - start - count)) if end - start > count else start
    assert is_rejected(tmp_path, content[:cut] + content[cut + count :])
    assert is_rejected(tmp_path, content[:cut] + b"\0" * count + content[cut:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(list(WAYS)),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_any_damage_ends_in_a_result(
    tmp_path: Path, written: dict[str, bytes], way: str, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(written[way])
    for place, byte in changes:
        damaged[-1 - place % len(damaged)] = byte
    assert is_rejected(tmp_path, bytes(damaged)) in (True, False), "no other error, and it ends"


def test_any_changed_byte_of_a_footer_ends_in_a_result(tmp_path: Path, written: dict[str, bytes]) -> None:
    content = written["no statistics"]
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    end = content.find(b"ARROW:schema", footer)
    chosen = random.Random(7)
    for place in range(footer, end):
        for byte in chosen.sample(range(256), 3):
            assert is_rejected(tmp_path, content[:place] + bytes([byte]) + content[place + 1 :]) in (True, False)


def page_data(content: bytes) -> list[tuple[int, int]]:
    """Return the position of the data of each column's first page, after its header."""
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    resources = []
    for column in map(group.column, range(group.num_columns)):
        reader = CompactReader(content, column.dictionary_page_offset or column.data_page_offset)
        size = reader.read({3: None})[3]
        resources.append((reader.position, reader.position + size))
    return resources


def test_pages_with_crcs_are_verified_byte_by_byte(tmp_path: Path, written: dict[str, bytes]) -> None:
    content = written["page checksums"]
    chosen = random.Random(5)
    for start, end in page_data(content):
        for place in {start, end - 1, chosen.randrange(start, end)}:
            assert is_rejected(tmp_path, flipped(content, place))


def test_most_single_changes_of_the_metadata_are_found(tmp_path: Path, written: dict[str, bytes]) -> None:
    """Names for people and statistics are free to change; sizes, counts, offsets and the tree are not."""
    content = written["no statistics"]
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    schema_note = content.find(b"ARROW:schema", footer)
    resources = [*range(footer, schema_note - 6), *range(len(content) - 8, len(content))]
    missed = [place for place in resources if not is_rejected(tmp_path, flipped(content, place))]
    assert len(missed) < len(resources) * 0.3


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 3, b"<html>" * 9, b"PAR1" + b"\0" * 9 + b"PARE"])
def test_other_content_is_an_error(tmp_path: Path, data: bytes) -> None:
    assert is_rejected(tmp_path, data)


# Field 1: i32 150; 2: true; 3: binary "hi"; 4: list of two i64 (1, -1); 5: struct {1: i16 7};
# 6: double; 7: map of binary "k" to i32 3; 8: set of bytes; 9: list of bools; 10: byte; then the end.
STRUCT = bytes.fromhex(
    "15 ac02  11  18 02 6869  19 26 02 01  1c 14 0e 00  17 0000000000000000"
    "1b 01 85 01 6b 06  1a 23 01 02  19 21 01 02  13 05  00"
)


def test_requested_fields_are_read_and_the_rest_is_skipped() -> None:
    reader = CompactReader(STRUCT + b"rest")
    found = reader.read({1: None, 2: None, 3: None, 4: None, 5: {1: None}, 10: None, 99: None})
    assert found == {1: 150, 2: True, 3: b"hi", 4: [1, -1], 5: {1: 7}, 10: 5}
    assert reader.position == len(STRUCT)


def test_a_struct_can_be_skipped() -> None:
    reader = CompactReader(STRUCT, 0)
    assert reader.read({}) == {}
    assert reader.position == len(STRUCT)


def test_long_form_of_field_numbers_and_list_sizes() -> None:
    data = bytes.fromhex("05 c801 02  09 c801") + b"\xf5\x10" + b"\x02" * 16 + b"\0"
    assert CompactReader(data).read({100: None}) == {100: [1] * 16}


@pytest.mark.parametrize("count", range(len(STRUCT)))
@pytest.mark.parametrize("wanted", [{}, {1: None, 3: None, 4: None, 5: {1: None}, 8: None}])
def test_every_truncation_of_thrift_is_found(count: int, wanted: FieldTypes) -> None:
    with pytest.raises(ThriftError):
        CompactReader(STRUCT[:count]).read(wanted)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1d\0",  # a type that does not exist
        b"\x15" + b"\xff" * 12 + b"\0\0",  # a number without end
        b"\x1c" * 100,  # structs in structs
        b"\x19\xfc\xff\xff\xff\xff\x0f" + b"\0" * 4,  # a list longer than the data
        b"\x18\xff\xff\xff\xff\x0f\0",  # a text longer than the data
        b"\xbb" + b"\xff" * 8 + b"\x3f\x11" + b"\0" * 9,  # a map longer than the data, of booleans
        b"\xbb" + b"\xff" * 8 + b"\x3f\x33" + b"\0" * 9,  # the same, of bytes
        b"\x19" * 5000,  # lists in lists
        b"\x1b" + b"\x01\xbb" * 5000,  # maps in maps
    ],
)
@pytest.mark.parametrize("wanted", [{}, {1: None}])
def test_hostile_thrift_is_an_error(data: bytes, wanted: FieldTypes) -> None:
    with pytest.raises(ThriftError):
        CompactReader(data).read(wanted)


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        ({1: int}, 150),
        ({3: bytes}, b"hi"),
        ({4: [int]}, [1, -1]),
        ({5: {1: int}}, {1: 7}),
        ({5: {}}, {}),
    ],
)
def test_a_field_of_another_type_is_an_error(wanted: FieldTypes, held: object) -> None:
    assert list(CompactReader(STRUCT).read(wanted).values()) == [held]
    ((field, form),) = wanted.items()
    for other in {1, 2, 3, 4, 5, 10} - {field}:
        with pytest.raises(ThriftError, match="instead of"):
            CompactReader(STRUCT).read({other: form})


@given(
    data=st.binary(max_size=60),
    wanted=st.sampled_from([{}, {1: None, 2: {1: None}, 3: None}, {1: int, 2: [bytes], 3: {1: [{1: int}]}}]),
)
def test_any_bytes_are_read_or_rejected(data: bytes, wanted: FieldTypes) -> None:
    reader = CompactReader(data)
    try:
        reader.read(wanted)
    except ThriftError:
        return
    assert 0 < reader.position <= len(data)
