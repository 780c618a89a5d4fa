from pathlib import Path

import pytest
from tests.support.table_schemas import TEXT, table_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.decode.tsv import read_header
from dapkit.decode.tsv_rows import read_rows
from dapkit.decode.tsv_sql import read_tsv
from dapkit.errors import BadValueError, IntegrityError


def source(folder: Path, values: list[str]) -> tuple[str, Path]:
    rows = [Row({"id": number, "v": value}) for number, value in enumerate(values)]
    (path,) = write_parts(folder, table_of({"v": TEXT}), rows, Layout(action=False)).paths
    return read_tsv([str(path)], read_header(path)), path


def test_rows_are_read_in_batches(tmp_path: Path) -> None:
    table, _ = source(tmp_path, ["1"] * 10_000)
    batches = list(read_rows(f'SELECT CAST("value.v" AS BIGINT) FROM {table}'))
    assert len(batches) > 1
    assert [row for batch in batches for row in batch] == [(1,)] * 10_000


def test_the_message_does_not_quote_an_invalid_value(tmp_path: Path) -> None:
    table, _ = source(tmp_path, ["1", "precious"])
    with pytest.raises(BadValueError) as caught:
        list(read_rows(f'SELECT CAST("value.v" AS BIGINT) FROM {table}'))
    assert "precious" not in str(caught.value)


def test_a_corrupt_file(tmp_path: Path) -> None:
    table, path = source(tmp_path, ["1", "2"])
    path.write_bytes(b"no gzip at all")
    with pytest.raises(IntegrityError):
        list(read_rows(f"SELECT * FROM {table}"))
