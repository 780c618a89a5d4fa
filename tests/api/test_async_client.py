"""dapkit as a library, against the sandbox inside the process."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dapkit import AsyncClient, Client, ClientOptions, Delivery, Format, JobStatus, Query, SyncOptions, sync
from dapkit.api.async_client import _settings
from dapkit.errors import MissingCredentialsError, TableNotFoundError, UsageError
from dapkit.events import Event, Notice
from dapkit.protocol.budget import NO_RATE_LIMIT, RateLimit
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
    result = dap.snapshot("canvas", ["users", "course*"], Delivery(output=tmp_path, format="jsonl"))
    assert result.failed == ()
    users = next(table for table in result.done if table.table == "users")
    rows = list(dap.records("canvas", "users"))
    assert users.rows == len(rows) > 0
    assert all(record.value is not None and "id" in record.key for record in rows)


def test_an_increment_from_a_folder(dap: Client, tmp_path: Path) -> None:
    dap.snapshot("canvas", ["users"], Delivery(output=tmp_path))
    result = dap.incremental("canvas", ["users"], tmp_path, delivery=Delivery(output=tmp_path))
    assert result.done[0].since == result.done[0].until


def test_the_lower_calls(dap: Client) -> None:
    job = dap.submit("canvas", "wikis", Query(format=Format.TSV))
    while not job.status.terminal:
        job = dap.poll(job.id)
    assert job.status is JobStatus.COMPLETE
    urls = dap.sign(job.objects)
    assert b"".join(dap.open(urls[job.objects[0]])).startswith(b"\x1f\x8b")


def test_a_database_is_kept_equal_in_one_call(tmp_path: Path) -> None:
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


def test_errors_arrive_as_they_are(dap: Client) -> None:
    with pytest.raises(TableNotFoundError):
        list(dap.records("canvas", "user"))


def test_the_asynchronous_client_is_the_same() -> None:
    async def first() -> str:
        async with AsyncClient(SMALL) as dap:
            async for record in dap.records("canvas", "accounts"):
                return record.ts
        raise AssertionError("no record")

    assert asyncio.run(first()).endswith("Z")


def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(UsageError, match="not open"):
        Client(SMALL).tables("canvas")
    with pytest.raises(UsageError, match="not open"):
        asyncio.run(AsyncClient(SMALL).tables("canvas"))


def test_credentials_are_read_from_the_environment_only_when_needed() -> None:
    with pytest.raises(MissingCredentialsError), Client(ClientOptions(environ={})):
        pass


@pytest.mark.parametrize("spelling", ["CSV", "csv", Format.CSV])
def test_formats_may_be_written_in_any_case(spelling: str, dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", "wikis", Delivery(output=tmp_path, format=spelling, mode="Condensed"))
    assert (result.query.format, result.failed) == (Format.CSV, ())


@pytest.mark.parametrize(("delivery", "word"), [({"format": "xml"}, "parquet"), ({"mode": "flat"}, "condensed")])
def test_what_is_no_format_or_mode_is_a_usage_error(delivery: dict[str, str], word: str, dap: Client) -> None:
    with pytest.raises(UsageError) as caught:
        dap.snapshot("canvas", ["wikis"], Delivery(**delivery))  # type: ignore[arg-type]
    assert word in caught.value.hint


def test_tables_may_be_written_as_the_command_takes_them(dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("canvas", "wikis, courses", Delivery(output=tmp_path))
    assert {table.table for table in result.done} == {"wikis", "courses"}


def test_notices_are_told_and_kept(dap: Client, tmp_path: Path) -> None:
    heard: list[Event] = []
    result = dap.snapshot("canvas_log", ["web_logs"], Delivery(output=tmp_path, on_event=heard.append))
    assert result.notices == tuple(event.message for event in heard if isinstance(event, Notice))
    assert any("canvas_logs" in notice for notice in result.notices)


def test_pace_and_patience_are_read_from_the_environment_as_the_command_does() -> None:
    environ = {"DAP_PACE": "7", "DAP_RETRY_TIMEOUT": "5", "DAP_READ_TIMEOUT": "6", "DAP_SCOPE": "root"}
    read = _settings(ClientOptions(environ=environ))
    assert (read.pace, read.retry_timeout, read.read_timeout, read.scope) == (RateLimit(7), 5.0, 6.0, "root")
    given = _settings(ClientOptions(environ=environ, pace="none", retry_timeout=1, read_timeout=2.5))
    assert (given.pace, given.retry_timeout, given.read_timeout) == (NO_RATE_LIMIT, 1, 2.5)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"environ": {"DAP_RETRY_TIMEOUT": "long"}}, "DAP_RETRY_TIMEOUT"),
        ({"environ": {"DAP_READ_TIMEOUT": "0"}}, "DAP_READ_TIMEOUT"),
        ({"environ": {}, "retry_timeout": -1.0}, "retry_timeout"),
        ({"environ": {}, "read_timeout": math.inf}, "read_timeout"),
        ({"environ": {}, "sandbox": True, "sandbox_scale": math.nan}, "sandbox_scale"),
    ],
)
def test_numbers_that_cannot_be_meant_are_usage_errors(options: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=name):
        _settings(ClientOptions(**options))


def test_a_table_that_is_not_on_the_books_is_filled_anew_when_that_is_asked_for(dap: Client, tmp_path: Path) -> None:
    path = tmp_path / "college.duckdb"
    options = SyncOptions(stage=tmp_path / "stage")
    assert dap.sync("canvas", "wikis", f"duckdb:{path}?threads=1", options).failed == ()
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM instructure_dap.table_sync")
    refused = dap.sync("canvas", "wikis", f"duckdb:{path}", options)
    assert [failure.error.code for failure in refused.failed] == ["incompatible-layout"]
    repaired = dap.sync("canvas", "wikis", f"duckdb:{path}", replace(options, repair=True))
    assert [table.action for table in repaired.done] == [SyncAction.REPAIR]
