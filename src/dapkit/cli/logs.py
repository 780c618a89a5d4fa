"""Log lines: handlers, formats, and the text of each event.

All log lines go through the standard logger `dapkit`. Its level `notice`, between info and warning, is for things worth
knowing although nothing is wrong.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, assert_never

from dapkit.cli import stdio
from dapkit.cli.json_lines import error_fields, json_line
from dapkit.display.progress_state import ProgressState
from dapkit.errors import OutputError
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
    RunEnded,
    RunStarted,
    SyncStarted,
    TableCompared,
    TableCompleted,
    TablePhase,
    TablePhaseChanged,
)
from dapkit.failures import TableFailed
from dapkit.formatting import about, age, checks, count, duration, sentence, size
from dapkit.model import format_utc
from dapkit.protocol.redaction import printable, redact
from dapkit.results import Comparison, SyncAction, TableLoaded, TableResult

LOGGER = "dapkit"
"""The name of the logger of all lines."""

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
        lines = [f"{when} {_word(record):<7} {printable(_message(record))}"]
        if trace := _trace(record):
            lines.append(trace)
        return "\n".join(line.rstrip("\n") for line in lines)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `common` are the fields that all lines have, an event adds its own."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        fields = {**self._common, **getattr(record, "fields", {})}
        if trace := _trace(record):
            fields["traceback"] = trace
        return json_line(record.created, _word(record), _message(record), fields)


def formatter_of(name: str, common: Mapping[str, Any]) -> logging.Formatter:
    """Return the formatter called `plain` or `json`; `common` are the fields of all lines in JSON."""
    return JsonFormatter(common) if name == "json" else PlainFormatter()


def _word(record: logging.LogRecord) -> str:
    return _WORDS.get(record.levelno, record.levelname.lower())


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    # Other libraries may quote URLs with secrets in them; our own messages are redacted where they are made.
    return message if _is_ours(record) else redact(message)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == LOGGER


TABLE_FAILED = "table-failed"
TABLE_DIFFERS = "table-differs"
RUN_ENDED = "run-ended"
ERROR = "error"
"""Events that are printed in another way on the console; the log file has a line for them."""


class ConsoleHandler(logging.StreamHandler[Any]):
    """Log lines on stderr, above the live progress if there is one. `omit` are events whose lines are left out."""

    def __init__(self, stream: Any = None, omit: Collection[str] = ()) -> None:
        super().__init__(stream)
        self.addFilter(lambda record: getattr(record, "fields", {}).get("event") not in omit)

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
        announced = self._progress.rate_limited
        self._progress.add(event)
        # Chunks arrive many times a second: they are counted, not logged.
        if isinstance(event, BytesReceived):
            return
        if isinstance(event, ObjectStarted | ObjectCompleted) and not self._logger.isEnabledFor(logging.DEBUG):
            return  # there may be thousands, and describing them is slow
        level, message, fields = describe(event)
        if isinstance(event, RateLimitReached) and event.jobs and announced:
            level = logging.DEBUG  # the run has said so at its start
        self._logger.log(level, "%s", message, extra={"fields": fields})

    def complete_tables(self) -> tuple[int, str]:
        """Return how many tables are complete, and that as a sentence; an empty one before the tables are known."""
        return self._progress.counts()[TablePhase.DONE], self._progress.complete_tables()

    def report_progress(self) -> None:
        """Log the progress of the run. Call it regularly: without it, a long wait would look like a hang."""
        now, received = self._clock(), self._progress.bytes
        since, before = self._last_report
        self._last_report = (now, received)
        rate = (received - before) / (now - since) if now > since else 0.0

        self._logger.info("%s", self._progress.sentence(rate), extra={"fields": progress_fields(self._progress, rate)})


def progress_fields(progress: ProgressState, rate: float) -> dict[str, Any]:
    """Return the progress of a run as fields of a log line."""
    counts = progress.counts()
    return {
        "event": "progress",
        "tables": len(progress.tables),
        "complete": counts[TablePhase.DONE],
        "failed": counts[TablePhase.FAILED],
        "jobs_to_request": counts[TablePhase.QUEUED],
        "bytes": progress.bytes,
        "seconds_left": round(progress.seconds_left(rate)) or None,
    }


def describe(event: Event) -> tuple[int, str, dict[str, Any]]:  # noqa: C901, PLR0912 - a case an event: a table
    """Return the level, the message and the fields of one event."""
    fields: dict[str, Any]
    match event:
        case RunStarted(namespace=namespace, tables=tables):
            fields = {"event": "run-started", "dap_namespace": namespace, "tables": len(tables)}
            return logging.INFO, run_text(event), {**fields, "output": str(event.output)}
        case SyncStarted(namespace=namespace, tables=tables):
            fields = {"event": "sync-started", "dap_namespace": namespace, "tables": len(tables)}
            return logging.INFO, sync_text(event), {**fields, "target": event.target}
        case JobsPlanned(jobs=jobs, per_minute=limit):
            fields = {"event": "jobs-planned", "jobs": jobs, "jobs_per_minute": limit}
            return NOTICE if event.min_seconds else logging.DEBUG, jobs_text(event), fields
        case RateLimitReached(requests=requests, per_minute=limit):
            text = f"Waiting for the rate limit: {requests}, {limit:,} per minute"
            return NOTICE, text, {"event": "rate-limit", "requests": requests, "per_minute": limit}
        case TablePhaseChanged(table=table, phase=phase, job_id=job_id):
            # The other phases are visible from other lines, such as the number of files or the result.
            level = logging.INFO if phase is TablePhase.RUNNING else logging.DEBUG
            tail = f" (job {job_id})" if job_id else ""
            fields = {"event": "table-phase", "dap_table": table, "phase": phase.value, "job_id": job_id}
            return level, f"{table}: {_PHASES[phase]}{tail}", fields
        case ObjectsListed(table=table, objects=objects, complete=complete):
            present = f", {complete:,} of them already downloaded" if complete else ""
            fields = {"event": "objects", "dap_table": table, "objects": objects, "complete": complete}
            return logging.INFO, f"{table}: {count(objects, 'file')}{present}", fields
        case ObjectStarted(table=table, name=name, size=length):
            fields = {"event": "object-started", "dap_table": table, "file": name, "size": length}
            return logging.DEBUG, f"{table}: downloading {name}", fields
        case ObjectCompleted(table=table, name=name, size=length, rows=rows):
            fields = {"event": "object-completed", "dap_table": table, "file": name, "size": length, "rows": rows}
            return logging.DEBUG, f"{table}: {name} complete, {size(length)}", fields
        case Retrying(table=table, error=error, pause=pause):
            prefix = f"{table}: " if table else ""
            message = f"{prefix}{sentence(error.message)} Retrying in {duration(pause)}."
            return logging.WARNING, message, {**error_fields(error, table), "event": "retry", "pause": pause}
        case Notice(message=message):
            return NOTICE, message, {"event": "notice"}
        case TableCompleted(result=result):
            return logging.INFO, result_text(result), _completed_fields(result)
        case TableLoaded():
            fields = {"event": "table-loaded", "dap_table": event.table, **loaded_fields(event)}
            return logging.INFO, loaded_text(event), fields
        case TableCompared(table=table, comparison=comparison):
            fields = {"dap_table": table, "equal": comparison.equal, "rows": comparison.rows}
            text = f"{table}: {comparison_text(comparison)}"
            if comparison.equal:
                return logging.INFO, text, {"event": "table-compared", **fields}
            return logging.WARNING, text, {"event": TABLE_DIFFERS, **fields}
        case TableFailed(table=table, error=error):
            return logging.ERROR, f"{table}: failed: {error.message}", failure_fields(event)
        case RunEnded():
            return logging.DEBUG, "The run has ended", {"event": "run-ended"}
        case BytesReceived(table=table, count=received):
            fields = {"event": "progress", "dap_table": table, "bytes": received}
            return logging.DEBUG, f"{table}: {size(received)} received", fields
    assert_never(event)


def failure_fields(failure: TableFailed) -> dict[str, Any]:
    """Return the failure of a table as fields of a log line."""
    return {**error_fields(failure.error, failure.table), "event": TABLE_FAILED}


def _completed_fields(result: TableResult) -> dict[str, Any]:
    return {
        "event": "table-completed",
        "dap_table": result.table,
        "job_id": result.job_id,
        "folder": str(result.folder),
        "files": result.files,
        "bytes": result.bytes,
        "rows": result.rows,
        "schema_version": result.schema_version,
        "at": result.at,
        "since": result.since,
        "until": result.until,
        "verified_by": result.verified_by,
        "reused": result.reused,
    }


def loaded_fields(loaded: TableLoaded) -> dict[str, Any]:
    """Return what was done to one table of a database, for log lines and for `--json`."""
    return {
        "action": loaded.action.value,
        "written": loaded.counts.written,
        "deleted": loaded.counts.deleted,
        "expired": loaded.counts.expired,
        "repaired": dict(loaded.counts.repaired),
        "watermark": format_utc(loaded.watermark),
        "schema_version": loaded.schema_version,
    }


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
        reason = "nothing new" if event.younger_than is None else f"skipped, younger than {age(event.younger_than)}"
        return ", ".join([f"{event.table}: {reason}", *expired, f"at {watermark}"])
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
    """Return the traceback of a record, if there is one. Those of other libraries are for level debug only."""
    if not record.exc_info or not (_is_ours(record) or logging.getLogger(LOGGER).isEnabledFor(logging.DEBUG)):
        return ""
    # The exception of another library may quote a URL or a header with secrets in it.
    return redact("".join(traceback.format_exception(record.exc_info[1])))
