"""Arguments of the library's methods: what is accepted, and that anything else is an error that names the argument."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dapkit
from dapkit import AsyncClient, Client, ClientOptions, ExportOptions, Format, Query, SyncOptions
from dapkit.errors import UsageError
from dapkit.targets.base import BadValues, LoadOptions

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)
SANDBOX_NOW = datetime(2026, 9, 1, tzinfo=UTC)
MONTH_AGO = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def dap() -> Iterator[Client]:
    with Client(SMALL) as client:
        yield client


@pytest.mark.parametrize("since", [MONTH_AGO, "2026-08-01T00:00:00Z", "2026-08-01T02:00:00+02:00"])
def test_changes_since_a_time_are_changes_and_no_snapshot(since: datetime | str, dap: Client, tmp_path: Path) -> None:
    options = ExportOptions(output=tmp_path)
    result = dap.incremental("catalog", ["users"], since, until=SANDBOX_NOW, options=options)
    assert result.incremental
    assert result.query.since == "2026-08-01T00:00:00Z"
    assert {record.action for record in dap.records("catalog", "users", since=since)} <= {"U", "D"}


def test_records_continue_from_a_folder(dap: Client, tmp_path: Path) -> None:
    dap.snapshot("catalog", ["users"], ExportOptions(output=tmp_path))
    assert list(dap.records("catalog", "users", since=tmp_path)) == []


@pytest.mark.parametrize(
    "since", [datetime(2026, 8, 1), date(2026, 8, 1), None, 5, "2026-08-01", "downloads", ""]  # noqa: DTZ001
)  # fmt: skip
def test_a_start_that_is_none_is_an_error(since: Any, dap: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^since "):
        dap.incremental("catalog", ["users"], since, options=ExportOptions(output=tmp_path))
    if since is not None:
        with pytest.raises(UsageError, match=r"^since "):
            next(dap.records("catalog", "users", since=since))
    assert list(tmp_path.iterdir()) == []


def test_an_end_needs_a_start_and_comes_after_it(dap: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="since is later than until"):
        dap.incremental("catalog", "users", SANDBOX_NOW, until=MONTH_AGO, options=ExportOptions(output=tmp_path))
    with pytest.raises(UsageError, match="until is given without since"):
        next(dap.records("catalog", "users", until=SANDBOX_NOW))
    with pytest.raises(UsageError, match=r"^since "):
        dap.submit("catalog", "users", Query(format=Format.JSONL, until="2026-08-01T00:00:00Z"))


def test_a_query_may_be_written_with_texts_and_datetimes(dap: Client) -> None:
    query = Query(format="CSV", since=MONTH_AGO)  # type: ignore[arg-type]
    job = dap.submit("catalog", "users", query)
    while not job.status.terminal:
        job = dap.poll(job.id)
    assert job.until is not None


URL = "duckdb:college.duckdb"
WRONG: dict[str, tuple[str, Callable[[Any], object]]] = {
    "Client(options)": ("options", lambda _: Client("sandbox")),  # type: ignore[arg-type]
    "AsyncClient(options)": ("options", lambda _: AsyncClient(ExportOptions())),  # type: ignore[arg-type]
    "sync(client)": ("client", lambda _: dapkit.sync("canvas", "users", URL, client="sandbox")),  # type: ignore[arg-type]
    "reconcile(to)": ("to", lambda _: dapkit.reconcile("canvas", "users", Path("x"), client=SMALL)),  # type: ignore[arg-type]
    "tables(namespace)": ("namespace", lambda dap: dap.tables(None)),
    "tables('')": ("namespace", lambda dap: dap.tables("")),
    "schema(namespace)": ("namespace", lambda dap: dap.schema(5, "users")),
    "schema(table)": ("table", lambda dap: dap.schema("canvas", ["users"])),
    "snapshot(namespace)": ("namespace", lambda dap: dap.snapshot(["canvas"], "users")),
    "snapshot(tables)": ("tables", lambda dap: dap.snapshot("canvas", None)),
    "snapshot([])": ("tables", lambda dap: dap.snapshot("canvas", [])),
    "snapshot([5])": ("tables", lambda dap: dap.snapshot("canvas", [5])),
    "snapshot(options)": ("options", lambda dap: dap.snapshot("canvas", "users", "csv")),
    "incremental(until)": ("until", lambda dap: dap.incremental("canvas", "users", MONTH_AGO, until="tomorrow")),
    "incremental(options)": ("options", lambda dap: dap.incremental("canvas", "users", MONTH_AGO, options=Path("x"))),
    "sync(to)": ("to", lambda dap: dap.sync("canvas", "users", Path("college.duckdb"))),
    "sync(None)": ("to", lambda dap: dap.sync("canvas", "users", None)),
    "sync(options)": ("options", lambda dap: dap.sync("canvas", "users", URL, ExportOptions())),
    "initdb(to)": ("to", lambda dap: dap.initdb("canvas", "users", 5)),
    "syncdb(tables)": ("tables", lambda dap: dap.syncdb("canvas", None, URL)),
    "listdb(namespace)": ("namespace", lambda dap: dap.listdb(None, URL)),
    "listdb(to)": ("to", lambda dap: dap.listdb("canvas", Path("x"))),
    "listdb(flag)": ("omit_record_count", lambda dap: dap.listdb("canvas", URL, omit_record_count="no")),
    "dropdb(tables)": ("tables", lambda dap: dap.dropdb("canvas", [], URL)),
    "dropdb(to)": ("to", lambda dap: dap.dropdb("canvas", "users", Path("x"))),
    "dropdb(flag)": ("include_unmanaged", lambda dap: dap.dropdb("canvas", "users", URL, include_unmanaged=1)),
    "verify(folder)": ("folder", lambda dap: dap.verify("")),
    "doctor(folder)": ("folder", lambda dap: dap.doctor(None)),
    "download_schema(tables)": ("tables", lambda dap: dap.download_schema("canvas", None)),
    "download_schema(output)": ("output", lambda dap: dap.download_schema("canvas", "users", 5)),
    "download_schema(exclude)": ("exclude", lambda dap: dap.download_schema("canvas", "users", exclude=5)),
    "describe(namespace)": ("namespace", lambda dap: dap.describe("", "users")),
    "describe(tables)": ("tables", lambda dap: dap.describe("canvas", None)),
    "describe(exclude)": ("exclude", lambda dap: dap.describe("canvas", "all", exclude=5)),
    "await_job(job)": ("job", lambda dap: dap.await_job(5)),
    "reconcile(sync)": ("sync", lambda dap: dap.reconcile("canvas", "users", URL, sync="no")),
    "reconcile(sample)": ("sample", lambda dap: dap.reconcile("canvas", "users", URL, sample="5%")),
    "reconcile(0)": ("sample", lambda dap: dap.reconcile("canvas", "users", URL, sample=0)),
    "records(table)": ("table", lambda dap: next(dap.records("canvas", None))),
    "submit(query)": ("query", lambda dap: dap.submit("canvas", "users", "jsonl")),
    "submit(query.format)": ("format", lambda dap: dap.submit("canvas", "users", Query(format=None))),  # type: ignore[arg-type]
    "submit(query.since)": ("since", lambda dap: dap.submit("canvas", "users", Query(format=Format.CSV, since="x"))),
    "poll(job_id)": ("job_id", lambda dap: dap.poll(None)),
    "sign(object_ids)": ("object_ids", lambda dap: dap.sign("abc")),
    "read(url)": ("url", lambda dap: next(dap.read(None))),
}
"""Calls with a wrong argument, and the name of that argument."""


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_argument_is_an_error_that_names_it(
    call: str, dap: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, act = WRONG[call]
    with pytest.raises(UsageError, match=rf"\b{name}\b") as caught:
        act(dap)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ExportOptions, "format", None),
        (ExportOptions, "format", 5),
        (ExportOptions, "mode", ""),
        (ExportOptions, "output", ""),
        (ExportOptions, "output", None),
        (ExportOptions, "exclude", 5),
        (ExportOptions, "concurrency", 0),
        (ExportOptions, "concurrency", "8"),
        (ExportOptions, "new", "yes"),
        (ExportOptions, "wait", None),
        (SyncOptions, "exclude", None),
        (SyncOptions, "stage", ""),
        (SyncOptions, "load", "fail"),
        (SyncOptions, "if_stale", "4h"),
        (SyncOptions, "expire_logs", 400),
        (SyncOptions, "repair", 1),
        (SyncOptions, "wait", "yes"),
        (SyncOptions, "connections", 0),
        (SyncOptions, "concurrency", 100),
        (LoadOptions, "bad_values", "ignore"),
        (LoadOptions, "drop_columns", "no"),
        (ClientOptions, "base_url", 5),
        (ClientOptions, "base_url", ""),
        (ClientOptions, "client_id", b"id"),
        (ClientOptions, "client_secret", 5),
        (ClientOptions, "client_secret_file", 5),
        (ClientOptions, "scope", 5),
        (ClientOptions, "pace", 7),
        (ClientOptions, "retry_timeout", "900"),
        (ClientOptions, "read_timeout", timedelta(seconds=60)),
        (ClientOptions, "ca_file", 5),
        (ClientOptions, "sandbox", "yes"),
        (ClientOptions, "sandbox_home", b"home"),
        (ClientOptions, "sandbox_seed", "1"),
        (ClientOptions, "sandbox_scale", "1"),
        (ClientOptions, "sandbox_job_seconds", "2"),
        (ClientOptions, "state_folder", 5),
        (ClientOptions, "on_event", None),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(kind: Callable[..., object], name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"\b{name}\b") as caught:
        kind(**{name: value})
    assert caught.value.hint


def test_options_accept_what_they_say() -> None:
    assert ExportOptions(exclude="users, quiz*").exclude == ("users", "quiz*")
    assert ExportOptions(output="out").output == Path("out")
    assert LoadOptions(bad_values="fail").bad_values is BadValues.FAIL  # type: ignore[arg-type]
    assert ClientOptions(client_secret_file="secret").client_secret_file == Path("secret")  # type: ignore[arg-type]


def test_the_asynchronous_client_checks_too() -> None:
    async def call() -> None:
        async with AsyncClient(SMALL) as dap:
            await dap.incremental("canvas", "users", None)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match=r"^since "):
        asyncio.run(call())
