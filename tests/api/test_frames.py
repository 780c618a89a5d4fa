"""Tables in Python."""

from pathlib import Path

import pyarrow as pa
import pytest

import dapkit
from dapkit import Client, ClientOptions, ExportOptions, Frame
from dapkit.errors import MissingDriverError, UsageError

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the flat table `users` and the raw results of `courses` and `terms`, with a schema of `courses`."""
    output = tmp_path_factory.mktemp("data")
    with Client(SMALL) as client:
        client.snapshot("canvas", "users", ExportOptions(flat="parquet", output=output)).raise_for_failed()
        for table, wire in (("courses", "csv"), ("roles", "jsonl")):
            client.snapshot("canvas", table, ExportOptions(format=wire, output=output)).raise_for_failed()
        client.download_schema("canvas", "courses", output).raise_for_failed()
    return output


def test_a_flat_table_is_read_as_often_as_needed(folder: Path) -> None:
    users = dapkit.read("canvas", "users", folder=folder)
    assert isinstance(users, Frame)
    assert next(iter(users.columns)) == "id"
    assert users.columns["created_at"] == "TIMESTAMP WITH TIME ZONE"
    first, second = users.to_arrow(), users.to_arrow()
    assert first.num_rows == users.rows > 0
    assert first.equals(second)
    assert first.schema.field("created_at").type == pa.timestamp("us", "UTC")
    assert pa.table(users).equals(first)
    assert users.to_duckdb().aggregate("count(*)").fetchall() == [(users.rows,)]
    assert f"{users.rows:,} rows" in users._repr_html_()


def test_streams_do_not_disturb_each_other(folder: Path) -> None:
    users = dapkit.read("canvas", "users", folder=folder)
    one = pa.RecordBatchReader.from_stream(users)
    two = pa.RecordBatchReader.from_stream(users)
    assert next(iter(two)).num_rows
    assert sum(batch.num_rows for batch in one) == users.rows
    assert sum(batch.num_rows for batch in dapkit.scan("canvas", "users", folder=folder)) == users.rows


def test_a_raw_result_gives_the_same_as_the_service(folder: Path) -> None:
    raw = dapkit.read("canvas", "courses", folder=folder).to_arrow().sort_by("id")
    with Client(SMALL) as client:
        downloaded = dapkit.read("canvas", "courses", client=client)
        assert downloaded.to_arrow().sort_by("id").equals(raw)
    assert downloaded.rows == raw.num_rows, "its files live as long as it does"


def test_a_missing_table_is_explained(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        dapkit.read("canvas", "usrs", folder=folder)
    assert caught.value.hint.startswith("Did you mean users")
    with pytest.raises(UsageError):
        dapkit.read("canvas", "roles", folder=folder)  # its schema is not there
    with pytest.raises(UsageError):
        dapkit.read("canvas", "users", folder=folder / "nothing")


def test_a_library_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingDriverError, match="polars"):
        dapkit.read("canvas", "users", folder=folder).to_polars()
