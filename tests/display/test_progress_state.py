"""The progress of a run, from its events."""

from collections.abc import Callable
from pathlib import Path

from dapkit.display.progress_state import ProgressState
from dapkit.errors import JobFailedError
from dapkit.events import (
    BytesReceived,
    Event,
    JobsPlanned,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RateLimitReached,
    RunStarted,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.failures import TableFailed
from dapkit.model import Format, Query
from dapkit.results import TableResult


def began(*tables: str) -> RunStarted:
    return RunStarted(
        namespace="canvas",
        tables=tables,
        query=Query(format=Format.CSV),
        output=Path("out"),
        resumed_age=None,
        sandbox=False,
    )


def progress_of(*events: Event) -> ProgressState:
    tally = ProgressState()
    for event in events:
        tally.add(event)
    return tally


def test_a_run_begins_with_all_tables_waiting() -> None:
    tally = progress_of(began("a", "b"))
    assert tally.counts()[TablePhase.QUEUED] == 2
    assert tally.files() == (0, 2, True)


def test_tables_move_through_their_phases(table_result: Callable[..., TableResult]) -> None:
    tally = progress_of(
        began("a", "b", "c", "d"),
        TablePhaseChanged(table="a", phase=TablePhase.RUNNING),
        TablePhaseChanged(table="b", phase=TablePhase.RUNNING),
        ObjectsListed(table="b", objects=3, complete=1),
        ObjectStarted(table="b", name="x", size=10),
        TableCompleted(result=table_result("c")),
        TableFailed(table="d", error=JobFailedError("no")),
    )
    assert tally.counts() == {
        TablePhase.QUEUED: 0,
        TablePhase.RUNNING: 1,
        TablePhase.DOWNLOADING: 1,
        TablePhase.LOADING: 0,
        TablePhase.DONE: 1,
        TablePhase.FAILED: 1,
    }


def test_totals_are_estimates_until_every_job_is_complete(table_result: Callable[..., TableResult]) -> None:
    tally = progress_of(began("a", "b"), ObjectsListed(table="a", objects=4, complete=0))
    assert tally.files() == (0, 8, True)
    tally.add(ObjectCompleted(table="a", name="x", size=5, rows=2))
    assert tally.files() == (1, 8, True)
    tally.add(ObjectsListed(table="b", objects=1, complete=1))
    assert tally.files() == (2, 5, False)


def test_bytes_are_counted_per_table_and_in_total() -> None:
    tally = progress_of(began("a", "b"), BytesReceived(table="a", count=5), BytesReceived(table="b", count=7))
    assert (tally.bytes, tally.tables["a"].bytes, tally.tables["b"].bytes) == (12, 5, 7)


def test_events_before_the_start_of_the_run_are_kept() -> None:
    tally = progress_of(BytesReceived(table="a", count=5), began("a"))
    assert tally.tables["a"].bytes == 5


def test_the_progress_can_be_written_as_one_sentence(table_result: Callable[..., TableResult]) -> None:
    tally = progress_of(
        began("a", "b"),
        TableCompleted(result=table_result("a", files=2)),
        TableFailed(table="b", error=JobFailedError("no")),
        BytesReceived(table="a", count=1500),
    )
    assert tally.sentence() == "1 of 2 tables complete, 1 failed; 2 of 2 files; 1.50 kB received"
    assert "~2 files" in progress_of(began("a", "b")).sentence()


def test_the_sentence_says_what_the_run_waits_for_and_how_long() -> None:
    tables = [f"t{number}" for number in range(93)]
    tally = progress_of(began(*tables), JobsPlanned(jobs=93, per_minute=5))
    assert tally.sentence().endswith("; 93 jobs to request (rate limit: 5 per minute); about 19 min left")
    for table in tables[:90]:
        tally.add(TablePhaseChanged(table=table, phase=TablePhase.RUNNING))
    assert tally.sentence().endswith("; 3 jobs to request (rate limit: 5 per minute); less than a minute left")


def test_without_a_rate_limit_the_run_waits_for_the_service() -> None:
    tally = progress_of(began("a", "b"), TablePhaseChanged(table="a", phase=TablePhase.RUNNING))
    assert tally.waiting() == "waiting for 2 jobs of the service"
    assert tally.seconds_left(rate=0.0) == 0.0
    tally.add(ObjectStarted(table="b", name="x", size=None))
    assert tally.waiting() == ""
    assert progress_of().sentence() == "The run is starting; its tables are not known yet"


def test_the_time_left_follows_from_the_rate_of_the_downloads() -> None:
    tally = progress_of(
        began("a"),
        ObjectsListed(table="a", objects=5, complete=0),
        ObjectStarted(table="a", name="x", size=None),
        BytesReceived(table="a", count=1000),
        ObjectCompleted(table="a", name="x", size=1000, rows=1),
    )
    assert tally.seconds_left(rate=10.0) == 400.0
    tally.add(BytesReceived(table="a", count=500))  # of the next file
    assert tally.seconds_left(rate=10.0) == 350.0
    assert tally.seconds_left(rate=0.0) == 0.0


def test_the_number_of_complete_tables_is_a_sentence(table_result: Callable[..., TableResult]) -> None:
    assert progress_of().complete_tables() == ""
    assert progress_of(began("a")).complete_tables() == "0 of 1 table is complete"
    ended = TableCompleted(result=table_result("a"))
    assert progress_of(began("a", "b"), ended).complete_tables() == "1 of 2 tables are complete"


def test_the_rate_limit_is_the_reason_only_if_jobs_wait_for_it() -> None:
    tally = progress_of(began("a", "b"), JobsPlanned(jobs=2, per_minute=5))
    assert tally.waiting() == "waiting for 2 jobs of the service"
    assert tally.seconds_left(rate=0.0) == 0.0
    tally.add(RateLimitReached(requests="lists of tables", per_minute=5))
    assert tally.waiting() == "waiting for 2 jobs of the service"
    tally.add(RateLimitReached(requests="new jobs", per_minute=5, jobs=True))
    assert tally.waiting() == "2 jobs to request (rate limit: 5 per minute)"
    assert tally.seconds_left(rate=0.0) == 24.0
