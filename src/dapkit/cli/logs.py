"""Log lines: handlers, formats, and the text of each event.

All log lines go through the standard logger `dapkit`. Its level `notice`, between info and warning, is for things worth
knowing although nothing is wrong.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_never

from dapkit.cli import stdio
from dapkit.display.progress_state import ProgressState
from dapkit.errors import DapError, OutputError
from dapkit.events import (
    BytesReceived,
    Event,
    JobsPlanned,
    Notice,
    ObjectCompleted,
    ObjectsListed,
    ObjectStarted,
    Retrying,
    RunStarted,
    SyncStarted,
    TableCompared,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.formatting import about, checks, count, duration, sentence, size
from dapkit.model import format_utc
from dapkit.protocol.redaction import printable, redact
from dapkit.results import Comparison, SyncAction, TableFailed, TableLoaded, TableResult

NOTICE = 25
HEARTBEAT = 30.0
"""Seconds between lines that report the progress of a run."""

_WORDS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    NOTICE: "notice",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "error",
}
_LEVELS = {word: level for level, word in reversed(_WORDS.items())}
ACTION_LABELS = {
    SyncAction.INITIAL_LOAD: "loaded",
    SyncAction.INCREMENTAL: "updated",
    SyncAction.REPAIR: "reloaded from a new snapshot",
    SyncAction.FULL_REFRESH: "refreshed from a new snapshot",
    SyncAction.SKIP: "up to date",
}
_PHASES = {
    TablePhase.QUEUED: "queued",
    TablePhase.RUNNING: "waiting for the service",
    TablePhase.DOWNLOADING: "downloading",
    TablePhase.LOADING: "loading",
    TablePhase.DONE: "done",
    TablePhase.FAILED: "failed",
}


def level_of(word: str) -> int:
    """Return the logging level of `debug`, `info`, `notice`, `warning` or `error`."""
    return _LEVELS[word]


class PlainFormatter(logging.Formatter):
    """One line for people: local time, level, message. A traceback may follow."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        word = _WORDS.get(record.levelno, record.levelname.lower())
        lines = [f"{when} {word:<7} {printable(record.getMessage())}"]
        if record.exc_info:
            lines.append(_trace(record))
        return "\n".join(line.rstrip("\n") for line in lines)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, message, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": when.replace("+00:00", "Z"),
            "level": _WORDS.get(record.levelno, record.levelname.lower()),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["traceback"] = _trace(record)
        return json.dumps(fields, default=str)


def formatter_of(name: str) -> logging.Formatter:
    """Return the formatter called `plain` or `json`."""
    return JsonFormatter() if name == "json" else PlainFormatter()


class ConsoleHandler(logging.StreamHandler[Any]):
    """Log lines on stderr, above the live progress if there is one."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Drop a line that cannot be written."""
        # A closed terminal is no reason to stop a run. Any other error is a bug in a log call and must be visible.
        if isinstance(sys.exc_info()[1], OSError):
            stdio.discard(sys.stderr)
        else:
            super().handleError(record)


class LogFile(logging.FileHandler):
    """A log file to append to. If writing fails later, `on_failure` is called once, and the command continues.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(self._message(error), hint="Use another file with --logfile.") from error

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        if not self._failed:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Report that the file cannot be written."""
        # A full disk under the log file must not stop a run of many hours.
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._report(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Write out the buffer and close the file."""
        try:
            super().close()
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._on_failure(f"{self._message(error)}; the command continues without it")

    def _message(self, error: OSError) -> str:
        return f"Cannot write the log file {self._path}: {error.strerror or error}"


class EventLog:
    """A listener that turns events into log records."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._progress = ProgressState()
        self._last_report = (clock(), 0)

    def __call__(self, event: Event) -> None:
        """Log one event."""
        self._progress.add(event)
        # Chunks arrive many times a second: they are counted, not logged.
        if isinstance(event, BytesReceived):
            return
        if isinstance(event, ObjectStarted | ObjectCompleted) and not self._logger.isEnabledFor(logging.DEBUG):
            return  # there may be thousands, and describing them is slow
        level, message, fields = describe(event)
        self._logger.log(level, "%s", message, extra={"fields": fields})

    def report_progress(self) -> None:
        """Log the progress of the run. Call it regularly: without it, a long wait would look like a hang."""
        now, received = self._clock(), self._progress.bytes
        since, before = self._last_report
        self._last_report = (now, received)
        rate = (received - before) / (now - since) if now > since else 0.0
        self._logger.info("%s", self._progress.sentence(rate), extra={"fields": {"event": "progress"}})


def describe(event: Event) -> tuple[int, str, dict[str, Any]]:  # noqa: C901, PLR0912 - a case an event: a table
    """Return the level, the message and the fields of one event."""
    match event:
        case RunStarted():
            return logging.INFO, run_text(event), {"event": "run-started", "namespace": event.namespace}
        case SyncStarted():
            return logging.INFO, sync_text(event), {"event": "sync-started", "namespace": event.namespace}
        case JobsPlanned(jobs=jobs, per_minute=limit):
            fields: dict[str, Any] = {"event": "jobs-planned", "jobs": jobs, "jobs_per_minute": limit}
            return NOTICE if event.min_seconds else logging.DEBUG, jobs_text(event), fields
        case TablePhaseChanged(table=table, phase=phase, job_id=job_id):
            # The other phases are visible from other lines, such as the number of files or the result.
            level = logging.INFO if phase is TablePhase.RUNNING else logging.DEBUG
            tail = f" (job {job_id})" if job_id else ""
            return (
                level,
                f"{table}: {_PHASES[phase]}{tail}",
                {"event": phase.value, "table": table, "job_id": job_id},
            )
        case ObjectsListed(table=table, objects=objects, complete=complete):
            present = f", {complete:,} of them already downloaded" if complete else ""
            fields = {"event": "objects", "table": table, "objects": objects, "complete": complete}
            return logging.INFO, f"{table}: {count(objects, 'file')}{present}", fields
        case ObjectStarted(table=table, name=name, size=length):
            fields = {"event": "object-started", "table": table, "file": name, "size": length}
            return logging.DEBUG, f"{table}: downloading {name}", fields
        case ObjectCompleted(table=table, name=name, size=length, rows=rows):
            fields = {"event": "object-completed", "table": table, "file": name, "size": length, "rows": rows}
            return logging.DEBUG, f"{table}: {name} complete, {size(length)}", fields
        case Retrying(table=table, error=error, pause=pause):
            prefix = f"{table}: " if table else ""
            message = f"{prefix}{sentence(error.message)} Retrying in {duration(pause)}."
            return (
                logging.WARNING,
                message,
                {"event": "retry", **_error_fields(error, table), "pause": pause},
            )
        case Notice(message=message):
            return NOTICE, message, {"event": "notice"}
        case TableCompleted(result=result):
            return logging.INFO, result_text(result), {"event": "table-completed", "table": result.table}
        case TableLoaded():
            return logging.INFO, loaded_text(event), {"event": "table-loaded", "table": event.table}
        case TableCompared(table=table, comparison=comparison):
            level = logging.INFO if comparison.equal else logging.WARNING
            return level, f"{table}: {comparison_text(comparison)}", {"event": "table-compared", "table": table}
        case TableFailed(table=table, error=error):
            return (
                logging.ERROR,
                f"{table}: failed: {error.message}",
                {"event": "failed", **_error_fields(error, table)},
            )
        case BytesReceived(table=table, count=received):
            return logging.DEBUG, f"{table}: {size(received)} received", {"event": "bytes", "table": table}
    assert_never(event)


def run_text(event: RunStarted) -> str:
    """Say what a run downloads, and whether it resumes an interrupted one."""
    kind = "changes" if event.incremental else "snapshot"
    source = ", from the sandbox" if event.sandbox else ""
    tables = count(len(event.tables), "table")
    text = f"{event.namespace}: {kind} of {tables} as {event.query.format.value} into {event.output}{source}"
    if event.resumed_age is None:
        return text
    return f"{text}; resuming the run that was interrupted {duration(event.resumed_age)} ago"


def sync_text(event: SyncStarted) -> str:
    """Say which tables are loaded into which database."""
    source = ", from the sandbox" if event.sandbox else ""
    return f"{event.namespace}: {count(len(event.tables), 'table')} into {event.target}{source}"


def jobs_text(event: JobsPlanned) -> str:
    """Say how many jobs are requested, and how long that takes at least because of the rate limit."""
    jobs = count(event.jobs, "job")
    if not event.min_seconds:
        return f"{jobs} to request"
    return f"Rate limit: {jobs} at {event.per_minute:,} per minute take at least {about(event.min_seconds)}"


def loaded_text(event: TableLoaded) -> str:
    """Say what was done to one table of a database."""
    watermark = format_utc(event.watermark)
    expired = [f"{event.counts.expired:,} expired"] if event.counts.expired else []
    if event.action is SyncAction.SKIP:
        return ", ".join([f"{event.table}: nothing new", *expired, f"at {watermark}"])
    parts = [f"{count(event.counts.written, 'row')} written"]
    if event.counts.deleted:
        parts.append(f"{event.counts.deleted:,} deleted")
    parts += expired
    if event.counts.repaired:
        parts.append(f"{count(sum(event.counts.repaired.values()), 'value')} repaired")
    return f"{event.table}: {ACTION_LABELS[event.action]}, {', '.join(parts)}, at {watermark}"


def comparison_text(comparison: Comparison) -> str:
    """Say how a table differs from the service."""
    rows = count(comparison.rows, "row")
    partial = comparison.compared < comparison.rows
    scope = [f"{comparison.compared:,} of {rows} compared" if partial else rows]
    scope += [f"without {', '.join(comparison.columns_not_compared)}"] if comparison.columns_not_compared else []
    if comparison.equal:
        return f"equal, {', '.join(scope)}"
    kinds = (("missing", comparison.missing), ("extra", comparison.extra), ("repeated", comparison.repeated))
    parts = [f"{count(number, 'row')} {kind}" for kind, number in kinds if number]
    parts += [f"{column} differs in {count(rows, 'row')}" for column, rows in comparison.differing.items()]
    return f"not equal: {', '.join(parts)} ({', '.join(scope)})"


def result_text(result: TableResult) -> str:
    """Describe one complete table."""
    parts = [count(len(result.files), "file"), size(result.bytes)]
    if result.rows is not None:
        parts.append(count(result.rows, "row"))
    parts.append(f"{'at' if result.at else 'until'} {result.watermark}")
    parts.append(f"verified: {checks(result.verified_by)}")
    state = "already downloaded" if result.reused else "complete"
    return f"{result.table}: {state}, {', '.join(parts)}"


def _trace(record: logging.LogRecord) -> str:
    # The exception of another library may quote a URL or a header with secrets in it.
    error = record.exc_info[1] if record.exc_info else None
    return redact("".join(traceback.format_exception(error)))


def _error_fields(error: DapError, table: str | None) -> dict[str, Any]:
    return {
        "table": error.table or table,
        "code": error.code,
        "job_id": error.job_id,
        "uuid": error.uuid,
        "hint": error.hint or None,
    }
