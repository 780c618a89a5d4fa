"""dapkit as a library, against the sandbox inside the process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dapkit import AsyncClient, Client, ClientOptions, Delivery, Format, JobStatus, Query
from dapkit.errors import MissingCredentialsError, TableNotFoundError, UsageError

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
