"""Log lines: formats, levels, and the text of each event."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dapkit.cli import logs
from dapkit.errors import JobFailedError, OutputError, ServerError
from dapkit.events import (
    BytesReceived,
    Event,
    JobsPlanned,
    Notice,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    RateLimitReached,
    Retrying,
    RunStarted,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.failures import TableFailed
from dapkit.model import Format, Query
from dapkit.results import LoadStats, SyncAction, TableLoaded, TableResult


def record(message: str = "text", level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("dapkit", level, "here.py", 1, message, None, None)
    made.created = 1_770_000_000.25
    if fields:
        made.__dict__["fields"] = fields
    return made


def test_a_plain_line_has_time_level_and_message() -> None:
    line = logs.PlainFormatter().format(record(level=logs.NOTICE))
    assert line.split(maxsplit=2)[2] == "notice  text"
    assert "\n" not in line


def test_control_characters_are_escaped_in_plain_lines() -> None:
    assert logs.PlainFormatter().format(record("a\x1b[2J\nb")).endswith("a [2J b")


def test_a_json_line_has_the_common_fields_and_those_of_the_event() -> None:
    line = json.loads(logs.JsonFormatter({"run_id": "r", "job_id": None}).format(record("text", job_id="j", size=3)))
    assert {"run_id": "r", "job_id": "j", "size": 3, "level": "INFO", "message": "text"}.items() <= line.items()


@pytest.mark.parametrize("formatter", [logs.PlainFormatter(), logs.JsonFormatter({})])
def test_secrets_in_foreign_exceptions_are_hidden_in_traces(formatter: logging.Formatter) -> None:
    error = RuntimeError("GET https://store.example/x?X-Amz-Signature=topsecret failed")
    made = record("It ended")
    made.exc_info = (RuntimeError, error, None)
    text = formatter.format(made)
    assert "RuntimeError" in text
    assert "store.example" in text
    assert "topsecret" not in text


def loaded(action: SyncAction, counts: LoadStats) -> TableLoaded:
    noon = datetime(2026, 9, 1, 12, tzinfo=UTC)
    return TableLoaded(table="a", action=action, counts=counts, watermark=noon, schema_version=1, seconds=1.0)


EVENTS: list[tuple[Event, int, str]] = [
    (
        loaded(SyncAction.INCREMENTAL, LoadStats(written=3, deleted=1, expired=2000)),
        logging.INFO,
        "a: updated, 3 rows written, 1 deleted, 2,000 expired, at 2026-09-01T12:00:00Z",
    ),
    (loaded(SyncAction.SKIP, LoadStats(written=0)), logging.INFO, "a: nothing new, at 2026-09-01T12:00:00Z"),
    (
        loaded(SyncAction.SKIP, LoadStats(written=0, expired=2)),
        logging.INFO,
        "a: nothing new, 2 expired, at 2026-09-01T12:00:00Z",
    ),
    (
        replace(loaded(SyncAction.SKIP, LoadStats(written=0)), younger_than=timedelta(hours=4)),
        logging.INFO,
        "a: skipped, younger than 4h, at 2026-09-01T12:00:00Z",
    ),
    (
        TablePhaseChanged(table="a", phase=TablePhase.RUNNING, job_id="j1"),
        logging.INFO,
        "a: waiting for the service (job j1)",
    ),
    (TablePhaseChanged(table="a", phase=TablePhase.QUEUED), logging.DEBUG, "a: queued"),
    (
        JobsPlanned(jobs=93, per_minute=5),
        logs.NOTICE,
        "Rate limit: 93 jobs at 5 per minute take at least about 19 min",
    ),
    (
        RateLimitReached(requests="lists of tables", per_minute=5),
        logs.NOTICE,
        "Waiting for the rate limit: lists of tables, 5 per minute",
    ),
    (JobsPlanned(jobs=5, per_minute=5), logging.DEBUG, "5 jobs to request"),
    (JobsPlanned(jobs=93, per_minute=None), logging.DEBUG, "93 jobs to request"),
    (ObjectsListed(table="a", objects=3, complete=0), logging.INFO, "a: 3 files"),
    (ObjectsListed(table="a", objects=3, complete=1), logging.INFO, "a: 3 files, 1 of them already downloaded"),
    (ObjectStarted(table="a", name="x.gz", size=None), logging.DEBUG, "a: downloading x.gz"),
    (ObjectCompleted(table="a", name="x.gz", size=1500, rows=7), logging.DEBUG, "a: x.gz complete, 1.50 kB"),
    (Retrying(table="a", error=ServerError("It is 503"), pause=5), logging.WARNING, "a: It is 503. Retrying in 5.0 s."),
    (Retrying(table=None, error=ServerError("No."), pause=61), logging.WARNING, "No. Retrying in 1m 1s."),
    (Notice(message="Mind this."), logs.NOTICE, "Mind this."),
    (TableFailed(table="a", error=JobFailedError("It broke")), logging.ERROR, "a: failed: It broke"),
    (BytesReceived(table="a", count=10), logging.DEBUG, "a: 10 B received"),
]


@pytest.mark.parametrize(("event", "level", "message"), EVENTS)
def test_events_become_sentences(event: Event, level: int, message: str) -> None:
    assert logs.describe(event)[:2] == (level, message)


def test_the_first_line_tells_whether_a_run_is_resumed() -> None:
    query = Query(format=Format.PARQUET)
    event = RunStarted(
        namespace="canvas", tables=("a", "b"), query=query, output=Path("out"), resumed_age=7500.0, sandbox=True
    )
    sentence = logs.run_text(event)
    assert sentence == (
        "canvas: snapshot of 2 tables as parquet into out, from the sandbox; "
        "resuming the run that was interrupted 2h 5m ago"
    )


def test_an_increment_is_described_as_changes() -> None:
    event = RunStarted(
        namespace="canvas",
        tables=("a",),
        query=Query(format=Format.CSV),
        incremental=True,
        output=Path("out"),
        resumed_age=None,
        sandbox=False,
    )
    assert logs.run_text(event) == "canvas: changes of 1 table as csv into out"


def test_the_line_of_a_complete_table_describes_it(table_result: Callable[..., TableResult]) -> None:
    level, message, fields = logs.describe(TableCompleted(result=table_result(reused=True)))
    assert level == logging.INFO
    assert message == (
        "courses: already downloaded, 2 files, 1.50 kB, 1,234 rows, at 2026-09-01T00:00:00Z, verified: CRC"
    )
    assert fields["dap_table"] == "courses"
    bare = logs.result_text(table_result(rows=None, at=None, watermark="u"))
    assert bare == "courses: complete, 2 files, 1.50 kB, until u, verified: CRC"


def test_an_error_is_logged_with_its_fields() -> None:
    error = ServerError("It is 503", uuid="u-1", job_id="j-1")
    _, _, fields = logs.describe(TableFailed(table="a", error=error))
    expected = {"event": "table-failed", "dap_table": "a", "code": "server", "uuid": "u-1", "job_id": "j-1"}
    assert expected.items() <= fields.items()


@pytest.mark.parametrize("formatter", [logs.PlainFormatter(), logs.JsonFormatter({})])
def test_lines_of_other_libraries_are_redacted_and_have_no_traceback(formatter: logging.Formatter) -> None:
    made = record("GET https://store.example/x?X-Amz-Signature=topsecret failed")
    made.name = "asyncio"
    made.exc_info = (RuntimeError, RuntimeError("no"), None)
    text = formatter.format(made)
    assert "store.example" in text
    assert "topsecret" not in text
    assert "RuntimeError" not in text


def test_progress_is_logged_on_request_with_the_rate_since_the_last_line(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 30.0, 60.0])
    log = logs.EventLog(logging.getLogger("test-of-progress"), clock=lambda: next(times))
    with caplog.at_level(logging.INFO, logger="test-of-progress"):
        log.report_progress()
        log(TablePhaseChanged(table="a", phase=TablePhase.DOWNLOADING))
        log(ObjectsListed(table="a", objects=11, complete=0))
        log(BytesReceived(table="a", count=30_000))
        log(ObjectCompleted(table="a", name="x", size=30_000, rows=1))
        log.report_progress()
    lines = [entry.getMessage() for entry in caplog.records]
    assert lines[0] == "The run is starting; its tables are not known yet"
    assert lines[-1] == "0 of 1 table complete; 1 of 11 files; 30.0 kB received; about 5 min left"


def test_a_log_file_is_created_with_its_folder_and_can_have_any_name(tmp_path: Path) -> None:
    failures: list[str] = []
    handler = logs.LogFile(tmp_path / "new" / "dap.log", failures.append)
    handler.handle(record("a name that is no text: caf\udce9"))
    handler.close()
    assert (tmp_path / "new" / "dap.log").read_text(encoding="utf-8").endswith("caf\\udce9\n")
    assert failures == []


def test_a_log_file_that_cannot_be_created_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="log file"):
        logs.LogFile(tmp_path, lambda _: None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_log_file_is_reported_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    failures: list[str] = []
    handler = logs.LogFile(Path("/dev/full"), failures.append)
    for _ in range(3):
        handler.handle(record())
    handler.close()
    assert len(failures) == 1
    assert "Cannot write the log file /dev/full: No space left on device" in failures[0]
    assert capsys.readouterr().err == ""


def test_a_bug_in_a_log_call_is_not_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = record("%d")
    wrong.args = ("no number",)
    for handler in (logs.LogFile(tmp_path / "log", lambda _: None), logs.ConsoleHandler()):
        handler.handle(wrong)
        handler.close()
        assert "Logging error" in capsys.readouterr().err


def test_a_wait_for_new_jobs_is_not_announced_twice(caplog: pytest.LogCaptureFixture) -> None:
    reached = RateLimitReached(requests="new jobs", per_minute=5, jobs=True)
    for jobs, levels in ((93, [logs.NOTICE]), (2, [logs.NOTICE])):
        caplog.clear()
        log = logs.EventLog(logging.getLogger("test-of-limits"))
        with caplog.at_level(logging.INFO, logger="test-of-limits"):
            log(JobsPlanned(jobs=jobs, per_minute=5))
            log(reached)
        assert [entry.levelno for entry in caplog.records] == levels
