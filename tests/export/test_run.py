"""Many tables at once, with many faults: in the end every file is correct, or its table is reported as failed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_service import FakeService, Faults, killed
from tests.support.fake_service import exported as run
from tests.support.fake_service import wanted as options
from tests.support.property_settings import few_examples
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.session import Session
from dapkit.errors import DapError, LockedError, RejectedCredentialsError, TableNotFoundError, UsageError
from dapkit.events import Event, JobsPlanned, Notice, RunStarted
from dapkit.export.run import export, preview
from dapkit.locks import FileLock
from dapkit.model import Format, Query, format_utc, utc_time

TABLES = {"users": 3, "courses": 1, "empty": 0}


def service(**more: Any) -> FakeService:
    return FakeService(clock=VirtualClock(60 * 86_400.0), tables_objects=more.pop("tables", TABLES), **more)


def assert_correct(fake: FakeService, output: Path) -> None:
    """Every visible file has the correct bytes, and every manifest names exactly the files of its folder."""
    for folder in output.glob("job_*"):
        files = {path.name: path for path in folder.iterdir() if not path.name.startswith(".")}
        for name, path in files.items():
            assert path.read_bytes() == fake.content(name.removesuffix(".jsonl.gz")), path
        manifest = folder / ".manifest.json"
        if manifest.exists():
            content = json.loads(manifest.read_bytes())
            assert {item["name"] for item in content["objects"]} == set(files)


def test_all_tables_are_exported_with_manifests(tmp_path: Path) -> None:
    fake = service()
    result = run(fake, options(tmp_path))
    assert [table.table for table in result.done] == ["users", "courses", "empty"]
    assert [table.rows for table in result.done] == [60, 20, 0]
    assert result.failed == ()
    assert result.refetched == 0
    assert_correct(fake, tmp_path)
    assert fake.asked["object"] == 4
    assert fake.asked["data"] == 3


def test_jobs_run_at_the_same_time(tmp_path: Path) -> None:
    fake = service(job_seconds=100.0)
    assert run(fake, options(tmp_path)).seconds < 120


def test_after_a_complete_run_the_same_job_is_only_verified(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    run(fake, options(tmp_path))
    sent = fake.sent.total()
    result = run(fake, options(tmp_path))
    assert all(table.reused for table in result.done)
    assert fake.asked["data"] == 6, "the query was submitted again"
    assert fake.sent.total() == sent, "but nothing was downloaded again"


def test_a_file_that_changed_on_disk_is_downloaded_again(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    run(fake, options(tmp_path))
    victim = next(tmp_path.glob("job_users*/users-0.1.jsonl.gz"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    run(fake, options(tmp_path))
    assert_correct(fake, tmp_path)


def test_files_of_another_program_are_kept_if_they_are_complete(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    folder = tmp_path / "job_users-0"
    folder.mkdir()
    (folder / "users-0.0.jsonl.gz").write_bytes(fake.content("users-0.0"))
    (folder / "users-0.1.jsonl.gz").write_bytes(fake.content("users-0.1")[:50])
    result = run(fake, options(tmp_path, tables=("users",)))
    assert result.done[0].rows == 60
    assert_correct(fake, tmp_path)


def test_an_unknown_table_fails_alone_with_a_similar_name_as_hint(tmp_path: Path) -> None:
    fake = service()
    result = run(fake, options(tmp_path, tables=("user", "courses")))
    assert [table.table for table in result.done] == ["courses"]
    error = result.failed[0].error
    assert isinstance(error, TableNotFoundError)
    assert "users" in error.hint


def test_an_increment_from_a_folder_starts_at_its_watermarks(tmp_path: Path) -> None:
    fake = service()
    run(fake, options(tmp_path, tables=("users",)))
    seen: list[Query] = []
    submit = fake.submit

    async def spy(namespace: str, table: str, query: Query, *, resubmit: bool = False) -> Any:
        seen.append(query)
        return await submit(namespace, table, query, resubmit=resubmit)

    fake.submit = spy  # type: ignore[method-assign] # watched, not replaced
    result = run(fake, options(tmp_path, since_folder=tmp_path, tables=("users", "courses")))
    assert [query.since for query in seen] == ["2024-01-01T00:00:00Z"]
    assert [(each.table, each.error.code) for each in result.failed] == [("courses", "no-baseline")]


def test_after_a_partly_failed_increment_from_a_folder_each_table_starts_at_its_latest_result(
    tmp_path: Path,
) -> None:
    fake = service(job_seconds=0.0)
    changes = options(tmp_path, since_folder=tmp_path, tables=("users", "courses"))
    run(fake, options(tmp_path, tables=("users",)))
    first = run(fake, changes)
    assert [failure.table for failure in first.failed] == ["courses"]
    run(fake, options(tmp_path, tables=("courses",)))
    second = run(fake, changes)
    assert second.failed == (), "the missing snapshot exists now"
    assert [table.since for table in second.done] == [datetime(2024, 1, 1, tzinfo=UTC)] * 2
    assert [table.reused for table in second.done] == [True, False], "a recent result is reused"


def test_a_table_that_keeps_failing_does_not_hold_back_the_others(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    changes = options(tmp_path, since_folder=tmp_path, tables=("users", "courses"))
    run(fake, options(tmp_path, tables=("users",)))
    until = run(fake, changes).done[0].watermark
    run_virtually(fake.clock.sleep(5 * 3600), fake.clock)
    shown = run_virtually(preview(cast(Session, fake), changes), fake.clock)
    again = run(fake, changes)
    assert [table.since for table in again.done] == [utc_time(until)]
    assert dict(shown.since) == {"users": until}
    assert again.incremental
    run_virtually(fake.clock.sleep(5 * 3600), fake.clock)
    assert [table.since for table in run(fake, changes).done] == [again.done[0].until], "also when read from disk"


def test_rejected_credentials_stop_everything(tmp_path: Path) -> None:
    fake = service()

    async def reject(*_: Any, **__: Any) -> Any:
        raise RejectedCredentialsError("no")

    fake.submit = reject  # type: ignore[method-assign] # for this test
    with pytest.raises(RejectedCredentialsError):
        run(fake, options(tmp_path))


def test_the_error_for_a_second_run_names_the_holder_of_the_lock(tmp_path: Path) -> None:
    fake = service()
    run(fake, options(tmp_path))
    lock_path = next((tmp_path / ".dap" / "runs").glob("*.lock"))
    with FileLock(lock_path) as lock:
        assert lock.acquire()
        with pytest.raises(LockedError, match="process"):
            run(fake, options(tmp_path))


def test_a_dry_run_requests_only_the_list_and_writes_nothing(tmp_path: Path) -> None:
    fake = service()
    shown = run_virtually(preview(cast(Session, fake), options(tmp_path / "out")), fake.clock)
    assert shown.tables == tuple(TABLES)
    assert dict(fake.asked) == {"list": 1}
    assert not (tmp_path / "out").exists()


def test_a_partly_failed_run_is_resumed(tmp_path: Path) -> None:
    fake = service(faults=Faults(failed_job=1.0), job_seconds=1.0)
    first = run(fake, options(tmp_path, retry_timeout=20.0))
    assert len(first.failed) == 3
    assert all(each.error.code == "job-failed" for each in first.failed)
    fake.healed = True
    events: list[Event] = []
    result = run(fake, options(tmp_path), events.append)
    assert result.failed == ()
    began = next(event for event in events if isinstance(event, RunStarted))
    assert began.resumed_age is not None
    assert fake.asked["list"] == 1, "the tables of the run are known"


def test_a_relative_time_is_fixed_when_the_run_begins_and_kept_when_it_is_resumed(tmp_path: Path) -> None:
    fake = service(job_seconds=3600.0)
    request = options(tmp_path, since="2d", until="1d", tables=("users",))
    began = fake.data_now()
    killed(fake, request, 100.0)
    events: list[Event] = []
    resumed = run(fake, request, events.append)
    since, until = (utc_time(text) for text in (resumed.query.since or "", resumed.query.until or ""))
    assert [began - since, began - until] == [timedelta(days=2), timedelta(days=1)]
    assert next(event for event in events if isinstance(event, RunStarted)).resumed_age is not None
    assert len(fake.queries) == 1, "the same job"
    later = run(fake, request, events.append)
    assert later.query.since != resumed.query.since, "a new run begins at its own time"
    assert Notice(message=f"since 2d is {later.query.since}") in events


def test_a_start_far_ahead_is_a_usage_error_before_anything_is_requested(tmp_path: Path) -> None:
    fake = service()
    request = options(tmp_path, since=format_utc(fake.data_now() + timedelta(days=1, seconds=1)))
    with pytest.raises(UsageError, match="more than one day ahead"):
        run(fake, request)
    assert fake.asked == {}


def test_a_dry_run_of_an_increment_shows_where_each_table_continues(tmp_path: Path) -> None:
    fake = service()
    run(fake, options(tmp_path, tables=("users",)))
    changes = options(tmp_path, since_folder=tmp_path, tables=("users", "courses"))
    shown = run_virtually(preview(cast(Session, fake), changes), fake.clock)
    assert (shown.since, shown.without_baseline) == ({"users": "2024-01-01T00:00:00Z"}, ("courses",))


def test_only_tables_without_a_job_count_as_jobs_to_request(tmp_path: Path) -> None:
    fake = service(job_seconds=30.0)
    killed(fake, options(tmp_path), 10.0)
    events: list[Event] = []
    run(fake, options(tmp_path), events.append)
    run(fake, options(tmp_path), events.append)
    planned = [event for event in events if isinstance(event, JobsPlanned)]
    assert [event.jobs for event in planned] == [0, 3], "the interrupted run had requested its jobs"


def test_reset_tables_are_requested_even_if_the_resumed_run_is_killed_early(tmp_path: Path) -> None:
    fake = service()
    wanted = options(tmp_path, tables=("users", "nosuch"))
    assert run(fake, wanted).done[0].job_id == "users-0"
    fake.current.clear()  # hours later: the service would give newer data
    killed(fake, wanted, 1.0)
    result = run(fake, wanted)
    assert [(table.job_id, table.reused) for table in result.done] == [("users-1", False)]


def test_a_damaged_manifest_does_not_stop_other_tables(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    run(fake, options(tmp_path))
    (tmp_path / "job_courses-1" / ".manifest.json").write_text("{")
    events: list[Event] = []
    result = run(fake, options(tmp_path, since_folder=tmp_path, tables=("users", "courses")), events.append)
    assert [table.table for table in result.done] == ["users"]
    assert [(each.table, each.error.code) for each in result.failed] == [("courses", "no-baseline")]
    assert any(isinstance(event, Notice) and "job_courses-1" in event.message for event in events)


def test_an_increment_starts_at_results_of_its_own_format(tmp_path: Path) -> None:
    fake = service(tables={"users": 1}, job_seconds=0.0)
    csv = options(tmp_path, query=Query(format=Format.CSV), since_folder=tmp_path)
    run(fake, options(tmp_path))
    first = run(fake, csv)
    assert "csv" in first.failed[0].error.message
    run(fake, options(tmp_path, since_folder=tmp_path))
    run(fake, options(tmp_path, query=Query(format=Format.CSV)))
    assert [table.since for table in run(fake, csv).done] == [datetime(2024, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("namespace", ["../../x", "a/b", "n" * 300])
def test_a_namespace_cannot_lead_outside_the_folder(tmp_path: Path, namespace: str) -> None:
    output = tmp_path / "a" / "b"
    run(service(), options(output, namespace=namespace, tables=("users",)))
    assert {path.parent for path in tmp_path.rglob("*.jsonl")} == {output / ".dap" / "runs"}
    assert {path.parent for path in tmp_path.rglob("*.lock")} <= {output / ".dap" / "runs", output / ".dap" / "locks"}


def test_files_of_abandoned_jobs_are_deleted_when_their_successor_is_complete(tmp_path: Path) -> None:
    fake = service(tables={"users": 40}, faults=Faults(lost=0.5), job_seconds=0.0, seed=3)
    result = run(fake, options(tmp_path))
    while result.failed:
        result = run(fake, options(tmp_path))
    assert len(list(tmp_path.glob("job_*"))) == 1
    assert_correct(fake, tmp_path)


def test_a_damaged_manifest_is_reported_and_written_again(tmp_path: Path) -> None:
    fake = service(job_seconds=0.0)
    run(fake, options(tmp_path, tables=("users",)))
    path = tmp_path / "job_users-0" / ".manifest.json"
    path.write_text("{")
    events: list[Event] = []
    run(fake, options(tmp_path, tables=("users",)), events.append)
    assert any(isinstance(event, Notice) and "damaged" in event.message for event in events)
    assert json.loads(path.read_bytes())["rows"] == 60
    assert fake.asked["object"] <= 6


PROBABILITY = st.sampled_from([0.0, 0.05, 0.3])
FAULTS = st.builds(
    Faults, api=st.just(0.0), failed_job=PROBABILITY, cut=PROBABILITY, corrupt=PROBABILITY,
    rejected=PROBABILITY, lost=st.sampled_from([0.0, 0.02]),
)  # fmt: skip


@few_examples(25, shares_fixtures=True)
@given(faults=FAULTS, seed=st.integers(0, 1000), kills=st.lists(st.floats(0.0, 60.0), max_size=3), ranges=st.booleans())
def test_any_order_of_faults_and_kills_ends_with_correct_files_or_reported_failures(
    tmp_path_factory: pytest.TempPathFactory, faults: Faults, seed: int, kills: list[float], ranges: bool
) -> None:
    output = tmp_path_factory.mktemp("run")
    fake = service(faults=faults, seed=seed, ranges=ranges, rows=2000)

    async def killed_after(seconds: float) -> None:
        task = asyncio.ensure_future(export(cast(Session, fake), options(output), lambda _: None))
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and isinstance(task.exception(), DapError):
            return

    for seconds in kills:
        run_virtually(killed_after(seconds), fake.clock)
        assert_correct(fake, output)
    result = run(fake, options(output))
    assert_correct(fake, output)
    ended = [each.table for each in result.done] + [each.table for each in result.failed]
    assert sorted(ended) == sorted(TABLES)
    fake.healed = True
    result = run(fake, options(output))
    assert result.failed == ()
    assert_correct(fake, output)
    assert [table.rows for table in result.done] == [6000, 2000, 0]
