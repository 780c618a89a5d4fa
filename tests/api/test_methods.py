"""The commands as methods, with the built-in sandbox."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored_results import write_flat, write_raw

from dapkit import AsyncClient, Client, ClientOptions, ExportOptions, Format, JobStatus, Query, SyncOptions
from dapkit.errors import DiagnosisError, ExpiredError, NotFoundError, NotReplicatedError, UsageError, VerificationError
from dapkit.events import Event, Notice
from dapkit.results import SyncAction

SMALL = ClientOptions(sandbox=True, sandbox_scale=0.05)
METHODS = sorted(name for name in vars(AsyncClient) if not name.startswith("_") and name != "session")


@pytest.fixture(scope="module")
def dap() -> Iterator[Client]:
    with Client(SMALL) as client:
        yield client


@pytest.fixture
def to(tmp_path: Path) -> str:
    return f"duckdb:{tmp_path / 'college.duckdb'}"


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_have_the_same_methods_with_the_same_description(name: str) -> None:
    theirs, ours = getattr(AsyncClient, name), getattr(Client, name)
    assert list(inspect.signature(theirs).parameters.values()) == list(inspect.signature(ours).parameters.values())
    assert inspect.getdoc(ours)
    if name not in ("open", "close"):
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)


def test_a_database_is_loaded_updated_listed_and_dropped(dap: Client, to: str, tmp_path: Path) -> None:
    options = SyncOptions(stage=tmp_path / "stage")
    loaded = dap.initdb("catalog", ["users", "accounts"], to, options)
    assert [table.action for table in loaded.done] == [SyncAction.INITIAL_LOAD] * 2
    again = dap.initdb("catalog", "users", to, options)
    assert [failure.error.code for failure in again.failed] == ["already-replicated"]
    updated = dap.syncdb("catalog", "users, applicants", to, options)
    assert [table.table for table in updated.done] == ["users"]
    assert [failure.error.code for failure in updated.failed] == ["not-replicated"]

    listing = dap.listdb("catalog", to)
    users = next(table for table in listing.tables if table.table == "users")
    assert {table.table for table in listing.tables} == {"users", "accounts"}
    assert "applicants" in listing.not_loaded
    assert users.rows == loaded.done[0].counts.written
    assert users.watermark == loaded.done[0].watermark
    assert listing.age(users) < timedelta(days=1), "by the clock of the sandbox"
    assert "not loaded" in listing._repr_html_()

    with pytest.raises(NotReplicatedError):
        dap.dropdb("catalog", ["users", "applicants"], to)
    assert dap.dropdb("catalog", "users", to).done == ("users",)
    assert [table.table for table in dap.listdb("catalog", to, omit_not_replicated=True).tables] == ["accounts"]


def test_a_database_is_listed_and_dropped_by_a_client_that_is_not_open(dap: Client, to: str, tmp_path: Path) -> None:
    dap.sync("catalog", "users", to, SyncOptions(stage=tmp_path / "stage"))
    closed = Client(SMALL)
    with pytest.raises(UsageError, match="not open"):
        closed.listdb("catalog", to)
    listing = closed.listdb("catalog", to, omit_not_replicated=True, omit_record_count=True)
    assert [(table.table, table.rows) for table in listing.tables] == [("users", None)]
    assert listing.not_loaded == ()
    assert closed.dropdb("catalog", "all", to).done == ("users",)


def test_files_are_verified(dap: Client, tmp_path: Path) -> None:
    result = dap.snapshot("catalog", "users", ExportOptions(output=tmp_path))
    verified = Client(SMALL).verify(tmp_path)
    verified.raise_for_failed()
    (users,) = result.done
    assert (verified.files, verified.bytes) == (len(users.files), users.bytes)
    users.files[0].write_bytes(b"")
    damaged = dap.verify(str(tmp_path))
    assert [problem.path for problem in damaged.problems] == [users.files[0]]
    assert str(users.files[0]) in damaged._repr_html_()
    with pytest.raises(VerificationError, match="1 problem"):
        damaged.raise_for_failed()


def test_results_are_listed_and_pruned(tmp_path: Path) -> None:
    old, new, flat = write_raw(tmp_path, "a", at=1), write_raw(tmp_path, "b", at=2), write_flat(tmp_path, at=1)
    closed = Client(SMALL)
    assert closed.results(str(tmp_path)).results == (flat, old, new)
    assert closed.prune(tmp_path, older_than=timedelta(days=100_000)).removed == ()
    assert closed.prune(tmp_path, keep=1, dry_run=True).removed == (old,)
    assert closed.prune(str(tmp_path), keep=1, tables="users").removed == (old,)
    assert closed.prune(tmp_path, older_than=timedelta(0)).kept == 2


@pytest.mark.parametrize(
    "given", [{}, {"keep": 1, "older_than": timedelta(1)}, {"keep": 0}, {"keep": 1.5}, {"older_than": "30d"}]
)
def test_what_to_prune_is_given_once(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Client(SMALL).prune(tmp_path, **given)


def test_a_result_names_its_files_and_its_watermark_is_the_next_start(dap: Client, tmp_path: Path) -> None:
    options = ExportOptions(output=tmp_path)
    (users,) = dap.snapshot("catalog", "users", options).done
    assert all(path.is_file() and path.parent == users.folder for path in users.files)
    assert users.at is not None
    assert users.at.utcoffset() == timedelta(0)
    for start in (users.watermark, users.at):
        result = dap.incremental("catalog", "users", start, options=options)
        assert result.done[0].since == users.at
    assert dap.incremental("catalog", "users", users.watermark, options=options).query.since == users.watermark


def test_doctor_reports_what_is_wrong_even_if_no_client_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAP_CLIENT_ID", raising=False)
    found = Client(ClientOptions(base_url="nonsense")).doctor(tmp_path)
    assert not found.healthy
    with pytest.raises(DiagnosisError, match="credentials, address"):
        found.raise_for_failed()
    assert "DAP_CLIENT_ID" in found._repr_html_()


def test_doctor_finds_nothing_wrong_with_the_sandbox(dap: Client, tmp_path: Path) -> None:
    found = dap.doctor(tmp_path)
    assert found.healthy
    found.raise_for_failed()


def test_schemas_are_saved(tmp_path: Path) -> None:
    heard: list[Event] = []
    with Client(replace(SMALL, on_event=heard.append)) as dap:
        result = dap.download_schema("catalog", ["users", "nothing"], tmp_path)
        assert [saved.path.name for saved in result.done] == ["users_schema_version_1.json"]
        with pytest.raises(NotFoundError):
            dap.download_schema("catalog", "nothing", tmp_path).raise_for_failed()
        dap.download_schema("catalog", ["users", "accounts"], tmp_path, exclude="acc*")
        dap.download_schema("canvas_log", "all", tmp_path)
    assert any(isinstance(event, Notice) and "canvas_logs" in event.message for event in heard)


def test_tables_are_described(dap: Client) -> None:
    result = dap.describe("canvas_log", "all")
    assert [table.qualified for table in result.done] == ["canvas_logs.web_logs"]
    assert "canvas_logs" in result.notices[0]
    assert "users" not in [table.name for table in dap.describe("catalog", "all", exclude=["users"]).done]
    with pytest.raises(NotFoundError):
        dap.describe("catalog", "nothing").raise_for_failed()


@pytest.mark.parametrize("given", [lambda job: job, lambda job: job.id], ids=["job", "id"])
def test_a_job_is_awaited(given: Callable[[object], object]) -> None:
    with Client(replace(SMALL, sandbox_job_seconds=0.3)) as dap:
        job = dap.submit("catalog", "users", Query(format=Format.JSONL))
        assert not job.status.terminal
        done = dap.await_job(given(job))  # type: ignore[arg-type]
        assert done.status is JobStatus.COMPLETE
        assert done.at is not None
        assert dap.await_job(done) == done
        with pytest.raises((ExpiredError, NotFoundError)):
            dap.await_job("nothing")


def test_a_client_works_without_with(tmp_path: Path) -> None:
    dap = Client(SMALL)
    with pytest.raises(UsageError, match="not open") as caught:
        dap.tables("catalog")
    assert "open()" in caught.value.hint
    dap.close()
    assert dap.open() is dap.open() is dap
    assert "users" in dap.tables("catalog")
    dap.close()
    dap.close()
    with pytest.raises(UsageError, match="not open"):
        dap.tables("catalog")
    with dap.open() as again:
        assert "users" in again.tables("catalog")
