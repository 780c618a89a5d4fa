"""Flat tables of a run, with the built-in sandbox."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from dapkit import Client, ClientOptions, ExportOptions
from dapkit.errors import NoBaselineError, SandboxMismatchError, UsageError
from dapkit.export import flat_table
from dapkit.export.options import FlatOptions
from dapkit.model import FlatFormat
from dapkit.tables import flat_writer
from dapkit.tables.flat_files import read_state
from dapkit.tables.wire_files import FlatSelect

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)


@pytest.fixture(scope="module")
def dap() -> Iterator[Client]:
    with Client(SMALL) as client:
        yield client


def visible(folder: Path) -> list[str]:
    """Return the files in an output folder, without hidden ones."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]


@pytest.mark.parametrize("wire", ["jsonl", "csv", "tsv", "parquet"])
def test_each_table_is_one_typed_file_and_the_raw_files_are_removed(dap: Client, tmp_path: Path, wire: str) -> None:
    result = dap.snapshot("canvas", ["users", "courses"], ExportOptions(format=wire, flat="parquet", output=tmp_path))
    assert result.failed == ()
    assert visible(tmp_path) == ["canvas/courses.parquet", "canvas/users.parquet"]
    assert list((tmp_path / ".dap").glob("raw/job_*")) == []
    users = next(table for table in result.done if table.table == "users")
    assert users.files == (tmp_path / "canvas" / "users.parquet",)
    table = pq.read_table(users.files[0])
    assert table.num_rows == users.rows
    assert str(table.schema.field("id").type) == "int64"
    assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
    assert "_ts" not in table.column_names


def test_the_state_is_in_the_file(dap: Client, tmp_path: Path) -> None:
    (table,) = dap.snapshot("canvas", "users", ExportOptions(flat="parquet", output=tmp_path)).done
    state = read_state(table.files[0])
    assert state is not None
    assert (state.watermark, state.job_id, state.rows) == (table.watermark, table.job_id, table.rows)
    assert (state.table, state.format, state.schema_version) == ("users", FlatFormat.PARQUET, table.schema_version)


def test_descriptions_are_in_the_metadata_that_spark_reads(dap: Client, tmp_path: Path) -> None:
    (table,) = dap.snapshot("canvas", "users", ExportOptions(flat="parquet", output=tmp_path)).done
    metadata = pq.read_schema(table.files[0]).metadata
    assert b'"comment":"Sortable name."' in metadata[flat_writer.SPARK_SCHEMA.encode()]


def test_the_same_job_leaves_the_file_as_it_is(dap: Client, tmp_path: Path) -> None:
    options = ExportOptions(flat="parquet", output=tmp_path)
    (first,) = dap.snapshot("canvas", "users", options).done
    before = first.files[0].stat()
    (again,) = dap.snapshot("canvas", "users", options).done
    after = first.files[0].stat()
    assert (again.reused, again.job_id) == (True, first.job_id)
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    (other,) = dap.snapshot("canvas", "users", ExportOptions(flat=FlatOptions(with_ts=True), output=tmp_path)).done
    assert not other.reused, "it has another column"
    assert "_ts" in pq.read_schema(other.files[0]).names


def test_the_file_of_another_service_is_not_replaced(
    dap: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ExportOptions(flat="parquet", output=tmp_path)
    (table,) = dap.snapshot("canvas", "users", options).done
    state = read_state(table.files[0])
    assert state is not None
    real = replace(state, sandbox=False, service="https://dap.example.edu", job_id="another")
    monkeypatch.setattr(flat_table, "read_state", lambda _: real)
    before = table.files[0].read_bytes()
    (failed,) = dap.snapshot("canvas", "users", options).failed
    assert isinstance(failed.error, SandboxMismatchError)
    assert table.files[0].read_bytes() == before


def test_changes_go_to_new_files_and_continue_from_flat_files(dap: Client, tmp_path: Path) -> None:
    options = ExportOptions(flat="parquet", output=tmp_path)
    with pytest.raises(NoBaselineError):
        dap.incremental("canvas", "users", tmp_path, options=options).raise_for_failed()
    (snapshot,) = dap.snapshot("canvas", "users", options).done
    (changes,) = dap.incremental("canvas", "users", "2026-08-20T00:00:00Z", options=options).done
    (path,) = changes.files
    assert path.parent == tmp_path / "canvas" / "users.changes"
    assert path.name.startswith("20260820T000000Z--")
    assert pq.read_schema(path).names[-2:] == ["_action", "_ts"]
    continued = dap.incremental("canvas", "users", tmp_path, options=options)
    assert [table.since for table in continued.done] == [snapshot.at]
    assert snapshot.files[0].exists()
    assert read_state(snapshot.files[0]) is not None


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_text_files_have_their_state_next_to_them(dap: Client, tmp_path: Path, name: str) -> None:
    (table,) = dap.snapshot("canvas", "users", ExportOptions(flat=name, output=tmp_path)).done
    (path,) = table.files
    assert visible(tmp_path) == [f"canvas/users.{name}", f"canvas/users.{name}.state.json"]
    read = duckdb.read_csv if name == "csv" else duckdb.read_json
    assert read(str(path)).aggregate("count(*), max(id)").fetchall()[0][0] == table.rows
    state = read_state(path)
    assert state is not None
    assert state.size == path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\n")
    assert read_state(path) is None, "data and state must not disagree"


def test_raw_files_are_kept_on_request_where_a_raw_snapshot_has_them(dap: Client, tmp_path: Path) -> None:
    options = ExportOptions(flat=FlatOptions(keep_raw=True), output=tmp_path)
    dap.snapshot("canvas", "users", options).raise_for_failed()
    raw = dap.snapshot("canvas", "users", ExportOptions(output=tmp_path))
    assert [table.reused for table in raw.done] == [True]


def test_a_raw_snapshot_in_the_same_folder_is_not_touched(dap: Client, tmp_path: Path) -> None:
    (raw,) = dap.snapshot("canvas", "users", ExportOptions(output=tmp_path)).done
    dap.snapshot("canvas", "users", ExportOptions(flat="parquet", output=tmp_path)).raise_for_failed()
    assert all(path.exists() for path in raw.files)
    assert dap.verify(tmp_path).problems == ()


def test_a_failure_leaves_the_earlier_file_and_the_next_run_needs_no_download(
    dap: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ExportOptions(flat="parquet", output=tmp_path)
    (first,) = dap.snapshot("canvas", "users", options).done
    content = first.files[0].read_bytes()
    other = ExportOptions(flat=FlatOptions(with_ts=True), output=tmp_path)
    sql = FlatSelect.sql
    with monkeypatch.context() as patch:
        patch.setattr(FlatSelect, "sql", lambda *_: "SELECT nonsense")
        (failure,) = dap.snapshot("canvas", "users", other).failed
    assert failure.error.code == "malformed-file"
    assert FlatSelect.sql is sql
    assert first.files[0].read_bytes() == content
    again = dap.snapshot("canvas", "users", other)
    assert [table.reused for table in again.done] == [False]
    assert again.fetched == 0, "the raw files of the failed run are still there"
    assert list((tmp_path / ".dap" / "flat").iterdir()) == []


@pytest.mark.parametrize("name", list(FlatFormat))
def test_the_tables_of_a_result_can_be_loaded(dap: Client, tmp_path: Path, name: FlatFormat) -> None:
    result = dap.snapshot("canvas", ["users", "courses"], ExportOptions(flat=name, output=tmp_path))
    assert sorted(result.tables) == ["courses", "users"]
    rows = {table.table: table.rows for table in result.done}
    assert {name: frame.to_arrow().num_rows for name, frame in result.tables.items()} == rows


def test_a_raw_table_of_a_result_needs_its_schema(dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", "users", ExportOptions(output=tmp_path))
    with pytest.raises(UsageError):
        _ = result.tables["users"]
    with pytest.raises(KeyError):
        _ = result.tables["courses"]
    dap.download_schema("canvas", "users", tmp_path).raise_for_failed()
    assert result.tables["users"].to_arrow().schema.field("id").type == "int64"


@pytest.mark.parametrize("wire", ["jsonl", "csv", "tsv", "parquet"])
def test_a_folder_may_have_a_name_that_looks_like_a_pattern(dap: Client, tmp_path: Path, wire: str) -> None:
    output = tmp_path / "a [1-2] or *"
    (tmp_path / "a 1 or x").mkdir()
    result = dap.snapshot("canvas", "users", ExportOptions(format=wire, flat="parquet", output=output))
    assert result.failed == ()
    assert result.tables["users"].rows == result.done[0].rows
