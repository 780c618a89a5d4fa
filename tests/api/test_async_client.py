"""dapkit as a library, with the built-in sandbox."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dapkit import AsyncClient, Client, ClientOptions, ExportOptions, Format, JobStatus, Query, SyncOptions, sync
from dapkit.errors import MissingCredentialsError, TableNotFoundError, UsageError
from dapkit.events import Event, Notice
from dapkit.results import SyncAction

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)


@pytest.fixture(scope="module")
def dap() -> Iterator[Client]:
    with Client(SMALL) as client:
        yield client


def test_tables_and_schemas(dap: Client) -> None:
    assert "users" in dap.tables("canvas")
    schema = dap.schema("canvas", "users")
    assert schema.table == "users"
    assert "id" in schema.document["properties"]["key"]["properties"]


def test_a_snapshot_into_a_folder_and_the_same_rows_as_records(dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", ["users", "course*"], ExportOptions(output=tmp_path, format="jsonl"))
    assert result.failed == ()
    users = next(table for table in result.done if table.table == "users")
    rows = list(dap.records("canvas", "users"))
    assert users.rows == len(rows) > 0
    assert all(record.value is not None and "id" in record.key for record in rows)


def test_an_increment_from_a_folder(dap: Client, tmp_path: Path) -> None:
    dap.snapshot("canvas", ["users"], ExportOptions(output=tmp_path))
    result = dap.incremental("canvas", ["users"], tmp_path, options=ExportOptions(output=tmp_path))
    assert result.done[0].since == result.done[0].until


def test_low_level_calls(dap: Client) -> None:
    job = dap.submit("canvas", "wikis", Query(format=Format.TSV))
    while not job.status.terminal:
        job = dap.poll(job.id)
    assert job.status is JobStatus.COMPLETE
    urls = dap.sign(job.objects)
    assert b"".join(dap.read(urls[job.objects[0]])).startswith(b"\x1f\x8b")


def test_a_database_is_kept_up_to_date_in_one_call(tmp_path: Path) -> None:
    url = f"duckdb:{tmp_path / 'college.duckdb'}"
    options = SyncOptions(stage=tmp_path / "stage")
    first = sync("canvas", ["users", "wik*"], url, options, SMALL)
    assert first.failed == ()
    assert first.done[0].table == "users"
    assert all(table.counts.written for table in first.done)
    again = sync("canvas", ["users"], url, options, SMALL)
    assert again.done[0].counts.written == 0
    with pytest.raises(UsageError):
        sync("canvas", ["users"], "nonsense", options, SMALL)
    with pytest.raises(UsageError, match="canvas_logs"):
        sync("canvas", ["users"], url, replace(options, expire_logs=timedelta(days=400)), SMALL)
    logs = sync("canvas_logs", ["all"], url, replace(options, expire_logs=timedelta(days=400), wait=True), SMALL)
    assert [table.counts.expired for table in logs.done] == [0]


def test_a_database_is_compared_with_the_service(dap: Client, tmp_path: Path) -> None:
    to, options = f"duckdb:{tmp_path / 'college.duckdb'}", SyncOptions(stage=tmp_path / "stage")
    result = dap.reconcile("canvas", ["users", "courses"], to, options)
    assert result.equal
    assert {each.table for each in result.done} == {"users", "courses"}
    with duckdb.connect(str(tmp_path / "college.duckdb")) as connection:
        connection.execute("DELETE FROM canvas.users WHERE id = (SELECT min(id) FROM canvas.users)")
    again = dap.reconcile("canvas", ["users"], to, options, sync=False, sample=5)
    assert not again.equal
    (users,) = again.done
    assert users.comparison.missing == 1
    assert users.comparison.compared < users.comparison.rows
    with pytest.raises(UsageError, match="percentage"):
        dap.reconcile("canvas", ["users"], to, options, sample=0)


def test_errors_are_raised_unchanged(dap: Client) -> None:
    with pytest.raises(TableNotFoundError):
        list(dap.records("canvas", "user"))


def test_the_asynchronous_client_yields_records() -> None:
    async def first() -> str:
        async with AsyncClient(SMALL) as dap:
            async for record in dap.records("canvas", "accounts"):
                return record.ts or ""
        raise AssertionError("no record")

    assert asyncio.run(first()).endswith("Z")


def test_using_a_client_that_is_not_open_is_an_error() -> None:
    with pytest.raises(UsageError, match="not open"):
        Client(SMALL).tables("canvas")
    with pytest.raises(UsageError, match="not open"):
        asyncio.run(AsyncClient(SMALL).tables("canvas"))


def test_credentials_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAP_CLIENT_ID", "DAP_CLIENT_SECRET", "DAP_CLIENT_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingCredentialsError), Client(ClientOptions()):
        pass
    monkeypatch.setenv("DAP_CLIENT_ID", "region#1")
    monkeypatch.setenv("DAP_CLIENT_SECRET", "hush")
    with Client(ClientOptions()) as client:
        assert isinstance(client, Client)


@pytest.mark.parametrize("spelling", ["CSV", "csv", Format.CSV])
def test_formats_are_case_insensitive(spelling: str, dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", "wikis", ExportOptions(output=tmp_path, format=spelling, mode="Condensed"))
    assert (result.query.format, result.failed) == (Format.CSV, ())


@pytest.mark.parametrize(("options", "word"), [({"format": "xml"}, "parquet"), ({"mode": "flat"}, "condensed")])
def test_an_unknown_format_or_mode_is_a_usage_error(options: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        ExportOptions(**options)  # type: ignore[arg-type]
    assert word in caught.value.hint


def test_tables_can_be_lists_and_patterns_as_for_the_command(dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", "wikis, courses", ExportOptions(output=tmp_path))
    assert {table.table for table in result.done} == {"wikis", "courses"}


def test_notices_go_to_the_listener_and_into_the_result(tmp_path: Path) -> None:
    heard: list[Event] = []
    with Client(replace(SMALL, on_event=heard.append)) as dap:
        result = dap.snapshot("canvas_log", ["web_logs"], ExportOptions(output=tmp_path))
    assert result.notices == tuple(event.message for event in heard if isinstance(event, Notice))
    assert any("canvas_logs" in notice for notice in result.notices)


def test_a_half_loaded_table_is_reloaded_with_repair(dap: Client, tmp_path: Path) -> None:
    path = tmp_path / "college.duckdb"
    options = SyncOptions(stage=tmp_path / "stage")
    assert dap.sync("canvas", "wikis", f"duckdb:{path}?threads=1", options).failed == ()
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM instructure_dap.table_sync")
    result = dap.sync("canvas", "wikis", f"duckdb:{path}", options)
    assert [failure.error.code for failure in result.failed] == ["incompatible-layout"]
    repaired = dap.sync("canvas", "wikis", f"duckdb:{path}", replace(options, repair=True))
    assert [table.action for table in repaired.done] == [SyncAction.REPAIR]


def test_the_asynchronous_client_works_without_with() -> None:
    async def call() -> tuple[str, ...]:
        dap = AsyncClient(SMALL)
        await dap.close()
        assert await dap.open() is dap
        assert await dap.open() is dap
        tables = await dap.tables("catalog")
        await dap.close()
        with pytest.raises(UsageError, match="not open"):
            await dap.tables("catalog")
        await dap.open()
        assert await dap.tables("catalog") == tables
        await dap.close()
        return tables

    assert "users" in asyncio.run(call())


def test_a_client_that_is_never_closed_leaves_no_files(tmp_path: Path) -> None:
    program = (
        "from dapkit import Client, ClientOptions\n"
        "dap = Client(ClientOptions(sandbox=True, sandbox_scale=0.05)).open()\n"
        "rows = dap.records('catalog', 'users')\n"
        "next(rows)\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
