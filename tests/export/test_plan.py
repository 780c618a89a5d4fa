"""What is resumed, reused, downloaded or requested again: rules on values."""

import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.export.journal import JobEntry, RunStartedEntry, RunState, TableProgress, advance
from dapkit.export.plan import (
    RESUME_WITHIN,
    DownloadTable,
    ResumeRun,
    ReuseTable,
    StartRun,
    plan_run,
    plan_tables,
    run_key,
    tables_to_reset,
)
from dapkit.model import Format, Job, JobStatus, Query
from dapkit.protocol.job import Poll, Wait, decide

NOW = 1_700_000_000.0
QUERY = Query(format=Format.PARQUET)
AT = "2023-11-14T20:00:00Z"  # 2 h 13 min before NOW
STARTED = RunStartedEntry(time=NOW - 100, service="https://x", namespace="canvas", tables=("a", "b"), query=QUERY)


def complete(job_id: str = "j", at: str = AT) -> Job:
    return Job(id=job_id, status=JobStatus.COMPLETE, objects=("o",), at_text=at)


def state(*, ended: bool, last: float = NOW - 60, service: str = "https://x", **tables: TableProgress) -> RunState:
    return RunState(start=replace_service(service), tables=dict(tables), last_entry_at=last, ended=ended)


def replace_service(service: str) -> RunStartedEntry:
    return RunStartedEntry(time=NOW - 100, service=service, namespace="canvas", tables=("a", "b"), query=QUERY)


COMPLETE = TableProgress(job=complete(), completed_at=NOW - 60, seen_at=NOW - 90)
OPEN = TableProgress(job=complete("k"), seen_at=NOW - 90)
FAILED = TableProgress(job=Job(id="f", status=JobStatus.FAILED), failed=True, seen_at=NOW - 90)


def test_without_a_journal_a_new_run_starts() -> None:
    assert plan_run(None, NOW) == StartRun(abandoned={})


def test_an_interrupted_run_is_resumed_for_20_hours() -> None:
    open_run = state(ended=False, a=COMPLETE, b=OPEN)
    assert plan_run(open_run, NOW) == ResumeRun(age=60, state=open_run)
    old = replace(open_run, last_entry_at=NOW - RESUME_WITHIN)
    assert plan_run(old, NOW) == StartRun(abandoned={"b": ("k",)})


def test_a_journal_from_the_future_is_not_resumed() -> None:
    assert isinstance(plan_run(state(ended=False, last=NOW + 5, a=OPEN), NOW), StartRun)


def test_a_complete_run_is_not_resumed_and_a_partly_failed_one_is() -> None:
    assert plan_run(state(ended=True, a=COMPLETE, b=COMPLETE), NOW) == StartRun(abandoned={})
    partial = state(ended=True, a=COMPLETE, b=FAILED)
    assert plan_run(partial, NOW) == ResumeRun(age=60, state=partial)


def plan(run: RunState | None) -> dict[str, ReuseTable | DownloadTable]:
    steps = plan_tables({"a": QUERY, "b": QUERY}, run, NOW, retry_timeout=900)
    return {step.table: step for step in steps}


def test_complete_tables_are_reused_and_open_jobs_continued() -> None:
    steps = plan(state(ended=False, a=COMPLETE, b=OPEN))
    assert isinstance(steps["a"], ReuseTable)
    taken = steps["b"]
    assert isinstance(taken, DownloadTable)
    assert taken.record.job == complete("k")
    assert taken.progress is OPEN


def test_a_failed_job_is_remembered_and_submitted_again() -> None:
    taken = plan(state(ended=True, a=COMPLETE, b=FAILED))["b"]
    assert isinstance(taken, DownloadTable)
    assert taken.record.job is None
    assert taken.record.failed_jobs == ("f",)


def resets(run: RunState, watermarks: Mapping[str, str] | None = None) -> list[tuple[str, str | None]]:
    return [(entry.table, entry.since) for entry in tables_to_reset(run, NOW, watermarks or {})]


def test_after_a_partly_failed_run_stale_tables_are_requested_again() -> None:
    stale = replace(COMPLETE, job=complete(at="2023-11-14T17:00:00Z"))
    assert resets(state(ended=True, a=stale, b=FAILED)) == [("a", None)]
    assert resets(state(ended=True, a=COMPLETE, b=FAILED)) == []
    assert resets(state(ended=False, a=stale, b=FAILED)) == [], "an interrupted run keeps it"


def test_a_reset_table_is_requested_even_if_the_resumed_run_is_interrupted() -> None:
    stale = replace(COMPLETE, job=complete("old", at="2023-11-14T17:00:00Z"))
    run = state(ended=True, a=stale, b=replace(FAILED, abandoned=("g",)))
    for entry in tables_to_reset(run, NOW, {}):
        run = advance(run, entry)
    assert run.ended, "if it is interrupted here, the same tables are found again"
    assert isinstance(plan(run)["a"], DownloadTable)
    run = advance(run, JobEntry(time=NOW, table="b", id="jb", status=JobStatus.WAITING))
    assert not run.ended
    taken = plan(run)["a"]
    assert isinstance(taken, DownloadTable)
    assert (taken.record.job, taken.record.abandoned_jobs) == (None, ()), "a complete result stays"
    assert isinstance(plan_run(run, NOW), ResumeRun)


def test_a_table_that_is_requested_again_abandons_its_incomplete_jobs() -> None:
    run = state(ended=True, a=COMPLETE, b=replace(OPEN, failed=True))
    (entry,) = tables_to_reset(run, NOW, {"b": "2023-11-14T21:00:00Z"})
    taken = plan(advance(run, entry))["b"]
    assert isinstance(taken, DownloadTable)
    assert (taken.record.job, taken.record.abandoned_jobs) == (None, ("k",))


def test_an_increment_becomes_stale_only_if_a_new_one_can_continue_it() -> None:
    increment = Job(
        id="i", status=JobStatus.COMPLETE, since_text="2020-01-01T00:00:00Z", until_text="2020-01-02T00:00:00Z"
    )
    ended = state(ended=True, a=replace(COMPLETE, job=increment), b=FAILED)
    assert resets(ended) == []
    from_folder = replace(ended, start=msgspec.structs.replace(ended.start, since={"a": "2020-01-01T00:00:00Z"}))
    watermarks = {"a": "2020-01-02T00:00:00Z", "b": "2020-01-01T00:00:00Z"}
    assert resets(from_folder, watermarks) == list(watermarks.items())
    assert resets(from_folder, {"a": "2020-01-01T00:00:00Z"}) == [("a", None)]
    assert resets(replace(from_folder, ended=False), watermarks) == []


def test_results_of_a_sandbox_age_by_the_wall_clock() -> None:
    future = replace(COMPLETE, job=complete(at="2031-01-01T00:00:00Z"), completed_at=NOW - 5 * 3600)
    old = replace(COMPLETE, job=complete(at="2011-01-01T00:00:00Z"))
    assert resets(state(ended=True, service="sandbox:", a=future, b=FAILED)) == [("a", None)]
    assert resets(state(ended=True, service="sandbox:", a=old, b=FAILED)) == []


def test_a_complete_job_about_to_expire_is_resubmitted_after_its_expiry() -> None:
    dying = replace(OPEN, job=replace(complete("k"), expires_at=NOW + 10), seen_at=NOW - 36_000)
    taken = plan(state(ended=False, a=COMPLETE, b=dying))["b"]
    assert decide(taken.record, NOW) == Wait(NOW + 11)


def test_a_running_job_is_polled_at_once() -> None:
    running = TableProgress(job=Job(id="r", status=JobStatus.RUNNING), seen_at=NOW - 3600)
    assert decide(plan(state(ended=False, a=COMPLETE, b=running))["b"].record, NOW) == Poll("r")


def test_a_new_run_abandons_incomplete_jobs() -> None:
    run = state(ended=False, a=COMPLETE, b=OPEN)
    assert plan_run(run, NOW, new=True) == StartRun(abandoned={"b": ("k",)})


def test_a_new_run_inherits_abandoned_jobs() -> None:
    steps = plan_tables({"a": QUERY}, None, NOW, retry_timeout=900, abandoned={"a": ("x", "y")})
    assert steps[0].record.abandoned_jobs == ("x", "y")


def test_the_same_command_has_the_same_key_and_no_other() -> None:
    one = run_key("https://x", None, "canvas", [["users"], [], ["csv", None, None, None], None])
    assert one == run_key("https://x", None, "canvas", [["users"], [], ["csv", None, None, None], None])
    others = {
        run_key("https://y", None, "canvas", [["users"], [], ["csv", None, None, None], None]),
        run_key("https://x", "s", "canvas", [["users"], [], ["csv", None, None, None], None]),
        run_key("https://x", None, "canvas", [["users"], [], ["tsv", None, None, None], None]),
    }
    assert one not in others
    assert len(others) == 3


@pytest.mark.parametrize("namespace", ["../../x", "a/b", "n" * 300, "..", "", "a\\b", "\0"])
def test_a_key_is_one_safe_path_component(namespace: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{17,60}", run_key("https://x", None, namespace, []))
    assert run_key("https://x", None, namespace, []) != run_key("https://x", None, namespace + "/", [])


PROGRESS = st.sampled_from([COMPLETE, OPEN, FAILED, TableProgress()])


@given(PROGRESS, PROGRESS, st.booleans())
def test_every_table_has_one_step_and_only_complete_tables_are_reused(
    a: TableProgress, b: TableProgress, ended: bool
) -> None:
    steps = plan(state(ended=ended, a=a, b=b))
    assert set(steps) == {"a", "b"}
    for name, progress in (("a", a), ("b", b)):
        assert isinstance(steps[name], ReuseTable) == (progress.completed_at is not None)
