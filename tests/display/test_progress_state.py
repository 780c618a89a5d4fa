"""The progress of a run, from its events."""

from collections.abc import Callable
from pathlib import Path

from dapkit.display.progress_state import ProgressState
from dapkit.errors import JobFailedError
from dapkit.events import (
    BytesReceived,
    Event,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RunStarted,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.model import Format, Query
from dapkit.results import TableFailed, TableResult


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
