"""One flat file from several downloaded files."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.contract.flat.flattening import flat_rows, flatten, plan_for
from tests.support.table_schemas import INT32, TEXT, table_of

from dapkit.model import Format
from dapkit.tables.engine import Engine, EngineOptions

TABLE = table_of({"size": INT32, "name": TEXT})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all tests."""
    with Engine(EngineOptions(threads=1)) as engine:
        yield engine


def test_a_column_can_have_nulls_in_one_file_only(engine: Engine, tmp_path: Path) -> None:
    """DuckDB knows from a Parquet file's statistics that a column has no nulls, and would require values then."""
    paths = []
    for number, name in enumerate(["one", None]):
        row = {"key": {"id": number}, "value": {"size": 1, "name": name}, "meta": {"ts": "2024-01-01T00:00:00Z"}}
        schema = pa.schema(
            {
                "key": pa.struct({"id": pa.int64()}),
                "value": pa.struct({"size": pa.int32(), "name": pa.string()}),
                "meta": pa.struct({"ts": pa.string()}),
            }
        )
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist([row], schema), path)
        paths.append(path)
    plan = plan_for(TABLE, Format.PARQUET)
    flat = flatten(engine, plan, paths, tmp_path)
    assert [row["name"] for row in flat_rows(flat, plan)] == ["one", None]
    assert all(field.nullable for field in pq.read_schema(flat))


def test_other_programs_read_the_largest_differences_of_32_bit_integers(engine: Engine, tmp_path: Path) -> None:
    """DuckDB writes them with more than 32 bits in version 2 of Parquet, which Arrow refuses to read."""
    sizes = [number - 2**31 if number % 2 else 2**31 - 1 - number for number in range(999)]
    lines = (f"2024-01-01T00:00:00.000Z\t{number:03}\t{size}\tx\n" for number, size in enumerate(sizes))
    text = "meta.ts\tkey.id\tvalue.size\tvalue.name\n" + "".join(lines)
    path = tmp_path / "part"
    path.write_bytes(gzip.compress(text.encode()))
    table = table_of({"size": INT32, "name": TEXT}, key={"id": TEXT})
    plan = plan_for(table, Format.TSV)
    assert [row["size"] for row in flat_rows(flatten(engine, plan, [path], tmp_path), plan)] == sizes
