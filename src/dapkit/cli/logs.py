"""Log lines: where they go, how they look, and what each event of the engine says in one.

Everything is told through the standard logger `dapkit`. A notice is a level between info and warning:
something a person should know although nothing is wrong.
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

from dapkit.cli import formatting as wording
from dapkit.cli import stdio as streams
from dapkit.cli.progress_state import ProgressState
from dapkit.errors import DapError, OutputError
from dapkit.events import (
    BytesReceived,
    Event,
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
from dapkit.protocol.redaction import printable, redact
from dapkit.results import Comparison, SyncAction, TableFailed, TableLoaded, TableResult

NOTICE = 25
HEARTBEAT = 30.0
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
    SyncAction.REPAIR: "repaired from a fresh snapshot",
    SyncAction.FULL_REFRESH: "made equal to a fresh snapshot",
    SyncAction.SKIP: "up to date",
}
_MOVES = {
    TablePhase.QUEUED: "queued",
    TablePhase.RUNNING: "the service prepares it",
    TablePhase.DOWNLOADING: "downloading",
    TablePhase.LOADING: "loading",
    TablePhase.DONE: "done",
    TablePhase.FAILED: "failed",
}


def level_of(word: str) -> int:
    """Return the logging level of `debug`, `info`, `notice`, `warning` or `error`."""
    return _LEVELS[word]


class PlainFormatter(logging.Formatter):
    """One line for people: local time, level, message; an exception's trace follows at debug level."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        word = _WORDS.get(record.levelno, record.levelname.lower())
        lines = [f"{when} {word:<7} {printable(record.getMessage())}"]
        if record.exc_info:
            lines.append(_trace(record))
        return "\n".join(line.rstrip("\n") for line in lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, message, and the fields of the event."""

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
    """Log lines on stderr, or above the live progress there."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Drop what cannot be written: nobody can be told."""
        if isinstance(sys.exc_info()[1], OSError):
            streams.give_up(sys.stderr)
        else:
            super().handleError(record)


class LogFile(logging.FileHandler):
    """A log file to append to. That it cannot be written any more is told once, to `broke`, and stops nothing.

    Raises:
        OutputError: it cannot be opened.
    """

    def __init__(self, path: Path, broke: Callable[[str], None]) -> None:
        self._path = path
        self._broke = broke
        self._broken = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(self._trouble(error), hint="Name another file with --logfile.") from error

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        if not self._broken:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Tell that the file is full, or gone."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._break(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Write out what is held back, and close the file."""
        try:
            super().close()
        except OSError as error:
            self._break(error)

    def _break(self, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            self._broke(f"{self._trouble(error)} The command goes on without it.")

    def _trouble(self, error: OSError) -> str:
        return f"The log file {self._path} cannot be written: {error.strerror or error}."


class EventLog:
    """A listener that turns the engine's events into log records.

    While files come, a line every half minute says how far it is, so that a log without a display shows life.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._tally = ProgressState()
        self._told = clock()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._tally.add(event)
        if isinstance(event, BytesReceived):
            self._beat()
            return
        if isinstance(event, ObjectStarted | ObjectCompleted) and not self._logger.isEnabledFor(logging.DEBUG):
            return  # there may be thousands, and describing them costs more than the rest of this class
        level, message, fields = describe(event)
        self._logger.log(level, "%s", message, extra={"fields": fields})

    def _beat(self) -> None:
        now = self._clock()
        if now - self._told >= HEARTBEAT:
            self._told = now
            self._logger.info("%s", self._tally.sentence(), extra={"fields": {"event": "progress"}})


def describe(event: Event) -> tuple[int, str, dict[str, Any]]:  # noqa: C901, PLR0912 - a case an event: a table
    """Return the level, the message and the fields of one event."""
    match event:
        case RunStarted():
            return logging.INFO, run_sentence(event), {"event": "run-started", "namespace": event.namespace}
        case SyncStarted():
            return logging.INFO, sync_sentence(event), {"event": "sync-started", "namespace": event.namespace}
        case TablePhaseChanged(table=table, phase=phase, job_id=job_id):
            level = logging.INFO if phase is TablePhase.RUNNING else logging.DEBUG
            tail = f" (job {job_id})" if job_id else ""
            return (
                level,
                f"{table}: {_MOVES[phase]}{tail}",
                {"event": phase.value, "table": table, "job_id": job_id},
            )
        case ObjectsListed(table=table, objects=objects, complete=whole):
            here = f", {whole:,} of them here already" if whole else ""
            fields: dict[str, Any] = {"event": "objects", "table": table, "objects": objects, "whole": whole}
            return logging.INFO, f"{table}: {wording.count(objects, 'file')}{here}", fields
        case ObjectStarted(table=table, name=name, size=size):
            fields = {"event": "object-began", "table": table, "file": name, "size": size}
            return logging.DEBUG, f"{table}: fetching {name}", fields
        case ObjectCompleted(table=table, name=name, size=size, rows=rows):
            fields = {"event": "object-completed", "table": table, "file": name, "size": size, "rows": rows}
            return logging.DEBUG, f"{table}: {name} is whole, {wording.size(size)}", fields
        case Retrying(table=table, error=error, pause=pause):
            place = f"{table}: " if table else ""
            message = f"{place}{wording.sentence(error.message)} Again in {wording.duration(pause)}."
            return (
                logging.WARNING,
                message,
                {"event": "retried", **_error_fields(error, table), "pause": pause},
            )
        case Notice(message=message):
            return NOTICE, message, {"event": "notice"}
        case TableCompleted(result=result):
            return logging.INFO, result_sentence(result), {"event": "table-done", "table": result.table}
        case TableLoaded():
            return logging.INFO, loaded_sentence(event), {"event": "table-loaded", "table": event.table}
        case TableCompared(table=table, comparison=comparison):
            level = logging.INFO if comparison.equal else logging.WARNING
            return level, f"{table}: {comparison_sentence(comparison)}", {"event": "table-compared", "table": table}
        case TableFailed(table=table, error=error):
            return (
                logging.ERROR,
                f"{table}: failed: {error.message}",
                {"event": "failed", **_error_fields(error, table)},
            )
        case BytesReceived(table=table, count=count):
            return logging.DEBUG, f"{table}: {wording.size(count)}", {"event": "bytes", "table": table}
    assert_never(event)


def run_sentence(event: RunStarted) -> str:
    """Say what a run is about, and whether it goes on from an interrupted one."""
    kind = "changes" if event.incremental else "snapshot"
    source = ", from the sandbox" if event.sandbox else ""
    what = wording.count(len(event.tables), "table")
    sentence = f"{event.namespace}: {kind} of {what} as {event.query.format.value} into {event.output}{source}"
    if event.continued is None:
        return f"{sentence}."
    return f"{sentence}; continuing the run that was interrupted {wording.duration(event.continued)} ago."


def sync_sentence(event: SyncStarted) -> str:
    """Say what is brought into which database."""
    source = ", from the sandbox" if event.sandbox else ""
    return f"{event.namespace}: {wording.count(len(event.tables), 'table')} into {event.target}{source}."


def loaded_sentence(event: TableLoaded) -> str:
    """Say what was done to one table of a database."""
    mark = event.watermark.isoformat().replace("+00:00", "Z")
    expired = [f"{event.counts.expired:,} expired"] if event.counts.expired else []
    if event.action is SyncAction.SKIP:
        return ", ".join([f"{event.table}: nothing new", *expired, f"at {mark}"])
    parts = [f"{wording.count(event.counts.written, 'row')} written"]
    if event.counts.deleted:
        parts.append(f"{event.counts.deleted:,} deleted")
    parts += expired
    if event.counts.repaired:
        parts.append(f"{wording.count(sum(event.counts.repaired.values()), 'value')} repaired")
    return f"{event.table}: {ACTION_LABELS[event.action]}, {', '.join(parts)}, at {mark}"


def comparison_sentence(comparison: Comparison) -> str:
    """Say how a table compares with what it should hold."""
    rows = wording.count(comparison.rows, "row")
    partly = comparison.compared < comparison.rows
    said = [f"{comparison.compared:,} of {rows} compared" if partly else rows]
    said += [f"without {', '.join(comparison.columns_not_compared)}"] if comparison.columns_not_compared else []
    if comparison.equal:
        return f"equal, {', '.join(said)}"
    kinds = (("missing", comparison.missing), ("too many", comparison.extra), ("repeated", comparison.repeated))
    parts = [f"{wording.count(number, 'row')} {kind}" for kind, number in kinds if number]
    parts += [f"{column} differs in {wording.count(rows, 'row')}" for column, rows in comparison.differing.items()]
    return f"not equal: {', '.join(parts)} ({', '.join(said)})"


def result_sentence(result: TableResult) -> str:
    """Say what one whole table came to."""
    parts = [wording.count(result.files, "file"), wording.size(result.bytes)]
    if result.rows is not None:
        parts.append(wording.count(result.rows, "row"))
    if result.at or result.until:
        parts.append(f"at {result.at}" if result.at else f"until {result.until}")
    parts.append(f"proven by {result.verified_by}")
    if result.reused:
        parts.append("was here already")
    return f"{result.table}: whole, {', '.join(parts)}"


def _trace(record: logging.LogRecord) -> str:
    # An exception of another library may quote a URL or a header: what it says is foreign text.
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
