"""What a command prints: results on stdout; log lines, live progress and the summary on stderr."""

import json
import logging
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self, TextIO

from dapkit.cli import logs, stdio
from dapkit.cli.error_text import error_text
from dapkit.cli.failures import failure_lines
from dapkit.cli.invocation import ErrorFormat
from dapkit.cli.json_lines import error_fields, json_line
from dapkit.cli.summary import Report
from dapkit.config.settings import MessageSettings
from dapkit.config.versions import installed_versions, version_text
from dapkit.errors import DapError, DiskFullError, InterruptedRunError
from dapkit.events import Event, Notice
from dapkit.failures import TableFailed
from dapkit.protocol.redaction import escaped, printable

_REPORTED = (logs.TABLE_FAILED, logs.TABLE_DIFFERS, logs.RUN_ENDED, logs.ERROR)
"""Events of which people see a report at the end instead of a log line."""

_DEFAULT_WIDTH = 80
"""Columns of a terminal that does not say how many it has."""


class Console:
    """The output of one command, open while it runs.

    `on_event` is the listener for events. Log lines go to stderr. While live progress is shown, only notices and
    warnings appear above it, unless --loglevel is given. With --logformat json, everything on stderr is a log line.

    Example:
        with Console(settings.messages, live=True) as console:
            console.on_event(event)
            console.result("one line on stdout")
    """

    def __init__(self, settings: MessageSettings, *, live: bool = False) -> None:
        self.settings = settings
        self._as_json = settings.log_format == "json"
        self._live = live and not settings.non_interactive and not settings.quiet and self._can_draw()
        self._stack = ExitStack()
        self._logger = logging.getLogger(logs.LOGGER)
        self._log = logs.EventLog(self._logger)
        self._listeners: list[Callable[[Event], None]] = [self._log]
        self._drawing = ExitStack()
        self._notices: list[str] = []
        self._failed: list[TableFailed] = []
        self._file: logs.LogFile | None = None

    def __enter__(self) -> Self:
        logger = self._logger
        self._stack.callback(logger.setLevel, logger.level)
        self._stack.callback(setattr, logger, "propagate", logger.propagate)
        logger.propagate = False  # else handlers of the root logger would print each line again
        logger.setLevel(logs.level_of(self.settings.log_level or "info"))
        # Without a handler, logging would write to stderr on its own; so would other libraries' loggers.
        self._attach(logging.NullHandler(), logger, logging.getLogger())
        if self.settings.log_file is not None:
            self._file = logs.LogFile(self.settings.log_file, self._on_log_failure)
            self._attach(self._file, logger)
        # While progress is drawn, lines have to go through rich, which moves the progress below them.
        stream: Any = sys.stderr
        if self._live:
            stream = self._start_progress()
        if not self.settings.no_log_to_console:
            handler = logs.ConsoleHandler(stream, omit=(logs.ERROR,) if self._as_json else _REPORTED)
            handler.setLevel(self._console_level())
            self._attach(handler, logger, logging.getLogger())
        if self._as_json:
            self._stack.callback(logging.captureWarnings, False)
            logging.captureWarnings(True)
        if logger.isEnabledFor(logging.DEBUG):
            versions = installed_versions()
            self._write(logging.DEBUG, version_text(versions), {"event": "versions", "versions": versions})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_progress()
        # The error itself is printed by `main`; the traceback is for the log only.
        if isinstance(error, Exception):
            self._logger.debug("The command failed:", exc_info=error)
        if isinstance(error, DapError):
            self._print_failures(self._failed)
            self._add_progress(error)
            self._write(logging.ERROR, error.message, {**error_fields(error), "event": logs.ERROR})
        self._stack.close()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            self._notices.append(event.message)
        if isinstance(event, TableFailed):
            self._failed.append(event)
        for listener in self._listeners:
            listener(event)

    @property
    def notices(self) -> tuple[str, ...]:
        """The notices shown so far, in order."""
        return tuple(self._notices)

    @property
    def width(self) -> int | None:
        """The columns of the terminal; None if stderr is not one."""
        return _width_of(sys.stderr)

    @property
    def result_width(self) -> int | None:
        """The columns of the terminal that shows the result; None if stdout is not one."""
        return _width_of(sys.stdout)

    def report_progress(self) -> None:
        """Write a log line about the progress of the run."""
        self._log.report_progress()

    def stop_progress(self) -> None:
        """End the live progress, if any, and restore the terminal."""
        self._drawing.close()

    def last_words(self, error: DapError) -> str:
        """End the live progress, and return an error as it is to be printed by a process that ends at once."""
        self.stop_progress()
        self._add_progress(error)
        plain = ErrorFormat.JSON if self.settings.json else ErrorFormat.PLAIN
        error_format = ErrorFormat.JSON_LINE if self._as_json else plain
        return error_text(error, error_format, self.settings.log_fields, time.time())

    def result(self, *cells: str) -> None:
        """Write one line of the command's result to stdout, with tabs between its cells.

        Control characters are escaped, because a name may contain anything, even sequences that a terminal obeys.
        """
        sys.stdout.write("\t".join(map(escaped, cells)) + "\n")

    def json_result(self, value: object) -> None:
        """Write the command's result to stdout as one JSON object."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")

    def print(self, lines: Iterable[str]) -> None:
        """End the live progress and write lines for people to stderr, unless success is to be silent."""
        self.stop_progress()
        if self._as_json:
            for line in filter(None, lines):
                self._write(logging.INFO, line)
        elif not self.settings.silent:
            for line in lines:
                stdio.write_error(printable(line))

    def report(self, report: Report) -> None:
        """Write how a run ended. Problems and failures are always shown, the rest only if success is not silent."""
        self.stop_progress()
        self._failed.clear()
        self._write(logging.INFO, report.totals, {"event": logs.RUN_ENDED, **report.fields})
        if self._as_json:
            self._print_failures(report.failed)
            return
        self.print(["", *report.lines])
        for line in report.problems:
            stdio.write_error(printable(line))
        self.print([*([""] if report.lines or report.problems else []), *self._wrapped(report.totals)])
        self._print_failures(report.failed)
        if report.advice:
            self.print([report.advice])

    def notice(self, message: str) -> None:
        """Show something worth knowing."""
        self.on_event(Notice(message=message))

    def _print_failures(self, failed: Iterable[TableFailed]) -> None:
        if not self._as_json:
            for line in failure_lines(tuple(failed)):
                stdio.write_error(printable(line))
        elif self.settings.no_log_to_console:  # else the failures are log lines
            for failure in failed:
                self._write_line("error", failure.error.message, logs.failure_fields(failure))

    def _write_line(self, level: str, message: str, fields: dict[str, Any]) -> None:
        """Write a log line to the console although log lines do not go there."""
        stdio.write_error(json_line(time.time(), level, message, {**self.settings.log_fields, **fields}))

    def _wrapped(self, text: str) -> list[str]:
        width = self.width
        if width is None:
            return [text]
        return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)

    def _add_progress(self, error: DapError) -> None:
        """Add the progress to the error of a run that could not end."""
        done, sentence = self._log.complete_tables()
        if sentence and (done or isinstance(error, InterruptedRunError | DiskFullError)):
            error.message = f"{error.message}; {sentence}"
            error.args = (error.message,)

    def _write(self, level: int, message: str, fields: dict[str, Any] | None = None) -> None:
        self._logger.log(level, "%s", message, extra={"fields": fields or {}})

    def _on_log_failure(self, message: str) -> None:
        fields = {"event": "log-file"}
        if not self.settings.no_log_to_console:
            self._write(logging.WARNING, message, fields)
        elif self._as_json:
            self._write_line("warning", message, fields)
        else:
            stdio.write_error(message)

    def _console_level(self) -> int:
        if self.settings.quiet:
            return logging.WARNING
        if self._live and self.settings.log_level is None:
            return logs.NOTICE
        return logging.NOTSET

    def _attach(self, handler: logging.Handler, *loggers: logging.Logger) -> None:
        handler.setFormatter(logs.formatter_of(self.settings.log_format, self.settings.log_fields))
        self._stack.callback(handler.close)
        for logger in loggers:
            logger.addHandler(handler)
            self._stack.callback(logger.removeHandler, handler)

    def _start_progress(self) -> Any:
        from rich.console import Console as RichConsole  # noqa: PLC0415, only where progress is drawn

        from dapkit.display.progress import Progress  # noqa: PLC0415, only where progress is drawn

        drawn = RichConsole(stderr=True, no_color=self.settings.no_color, highlight=False)
        progress = Progress(drawn, self.settings.theme)
        self._drawing.enter_context(progress)
        self._listeners.append(progress)
        return _AboveProgress(drawn)

    def _can_draw(self) -> bool:
        return not self._as_json and not self.settings.dumb and sys.stderr.isatty()


def _width_of(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    return _DEFAULT_WIDTH


class _AboveProgress:
    """A stream that writes above the live progress."""

    def __init__(self, console: Any) -> None:
        self._console = console

    def write(self, text: str) -> int:
        if text.strip():
            self._console.print(text.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        self._console.file.flush()
