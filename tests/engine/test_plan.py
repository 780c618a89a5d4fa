"""What is continued, kept, taken or begun anew: rules over values."""

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dapkit.engine.journal import RunBegun, RunState, TableProgress
from dapkit.engine.plan import CONTINUE_WITHIN, Begin, Continue, Keep, Take, outdated, plan_run, plan_tables, run_key
from dapkit.model import Format, Job, JobStatus, Query

NOW = 1_700_000_000.0
QUERY = Query(format=Format.PARQUET)
AT = "2023-11-14T20:00:00Z"  # 2 h 13 min before NOW
BEGUN = RunBegun(time=NOW - 100, service="https://x", namespace="canvas", tables=("a", "b"), query=QUERY)


def complete(job_id: str = "j", at: str = AT) -> Job:
    return Job(id=job_id, status=JobStatus.COMPLETE, objects=("o",), at=at)


def state(*, ended: bool, last: float = NOW - 60, service: str = "https://x", **tables: TableProgress) -> RunState:
    return RunState(begun=replace_service(service), tables=dict(tables), last=last, ended=ended)


def replace_service(service: str) -> RunBegun:
    return RunBegun(time=NOW - 100, service=service, namespace="canvas", tables=("a", "b"), query=QUERY)


WHOLE = TableProgress(job=complete(), whole_at=NOW - 60, seen_at=NOW - 90)
OPEN = TableProgress(job=complete("k"), seen_at=NOW - 90)
FAILED = TableProgress(job=Job(id="f", status=JobStatus.FAILED), failed=True, seen_at=NOW - 90)


def test_no_record_begins() -> None:
    assert plan_run(None, NOW) == Begin(leftovers={})


def test_an_interrupted_run_is_continued_for_20_hours() -> None:
    open_run = state(ended=False, a=WHOLE, b=OPEN)
    assert plan_run(open_run, NOW) == Continue(age=60, state=open_run)
    old = replace(open_run, last=NOW - CONTINUE_WITHIN)
    assert plan_run(old, NOW) == Begin(leftovers={"b": ("k",)})


def test_a_run_from_the_future_is_not_trusted() -> None:
    assert isinstance(plan_run(state(ended=False, last=NOW + 5, a=OPEN), NOW), Begin)


def test_a_finished_run_is_left_alone_and_a_partly_failed_one_continued() -> None:
    assert plan_run(state(ended=True, a=WHOLE, b=WHOLE), NOW) == Begin(leftovers={})
    partly = state(ended=True, a=WHOLE, b=FAILED)
    assert plan_run(partly, NOW) == Continue(age=60, state=partly)


def plan(run: RunState | None) -> dict[str, Keep | Take]:
    steps = plan_tables({"a": QUERY, "b": QUERY}, run, NOW, patience=900, given_up={})
    return {step.table: step for step in steps}


def test_whole_tables_are_kept_and_open_jobs_adopted() -> None:
    steps = plan(state(ended=False, a=WHOLE, b=OPEN))
    assert isinstance(steps["a"], Keep)
    taken = steps["b"]
    assert isinstance(taken, Take)
    assert taken.record.job == complete("k")
    assert taken.progress is OPEN


def test_a_failed_job_is_remembered_but_asked_for_anew() -> None:
    taken = plan(state(ended=True, a=WHOLE, b=FAILED))["b"]
    assert isinstance(taken, Take)
    assert taken.record.job is None
    assert taken.record.failed == ("f",)


def test_after_a_partly_failed_run_stale_tables_are_asked_again() -> None:
    stale = replace(WHOLE, job=complete(at="2023-11-14T17:00:00Z"))
    assert isinstance(plan(state(ended=True, a=stale, b=FAILED))["a"], Take)
    assert isinstance(plan(state(ended=False, a=stale, b=FAILED))["a"], Keep), "an interrupted run keeps it"


def test_an_increment_grows_stale_only_where_it_can_go_on_from_itself() -> None:
    increment = Job(id="i", status=JobStatus.COMPLETE, since="2020-01-01T00:00:00Z", until="2020-01-02T00:00:00Z")
    ended = state(ended=True, a=replace(WHOLE, job=increment), b=FAILED)
    assert isinstance(plan(ended)["a"], Keep)
    from_folder = msgspec.structs.replace(ended.begun, since={"a": "2020-01-01T00:00:00Z"})
    assert isinstance(plan(replace(ended, begun=from_folder))["a"], Take)
    assert outdated(replace(ended, begun=from_folder), NOW) == ("a", "b")
    assert outdated(replace(ended, begun=from_folder, ended=False), NOW) == ()


def test_in_a_sandbox_age_is_counted_on_the_wall() -> None:
    future = replace(WHOLE, job=complete(at="2031-01-01T00:00:00Z"), whole_at=NOW - 5 * 3600)
    old = replace(WHOLE, job=complete(at="2011-01-01T00:00:00Z"))
    assert isinstance(plan(state(ended=True, service="sandbox:", a=future, b=FAILED))["a"], Take)
    assert isinstance(plan(state(ended=True, service="sandbox:", a=old, b=FAILED))["a"], Keep)


def test_a_new_run_inherits_the_jobs_given_up() -> None:
    steps = plan_tables({"a": QUERY}, None, NOW, patience=900, given_up={"a": ("x", "y")})
    assert steps[0].record.given_up == ("x", "y")


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


PROGRESS = st.sampled_from([WHOLE, OPEN, FAILED, TableProgress()])


@given(PROGRESS, PROGRESS, st.booleans())
def test_every_wanted_table_gets_one_step_and_only_whole_ones_are_kept(
    a: TableProgress, b: TableProgress, ended: bool
) -> None:
    steps = plan(state(ended=ended, a=a, b=b))
    assert set(steps) == {"a", "b"}
    for name, progress in (("a", a), ("b", b)):
        assert isinstance(steps[name], Keep) == (progress.whole_at is not None)
