"""What a command prints: results on stdout; log lines, live progress and the summary on stderr."""

import json
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from dapkit.cli import logs, stdio
from dapkit.config.settings import MessageSettings
from dapkit.events import Event, Notice
from dapkit.protocol.redaction import escaped, printable

LOGGER = "dapkit"


class Console:
    """The output of one command, open while it runs.

    `on_event` is the listener for events. Log lines go to stderr. While live progress is shown, only notices and
    warnings appear above it, unless --loglevel is given.

    Example:
        with Console(settings.messages, live=True) as console:
            console.on_event(event)
            console.result("one line on stdout")
    """

    def __init__(self, settings: MessageSettings, *, live: bool = False) -> None:
        self.settings = settings
        self._live = live and not settings.non_interactive and not settings.quiet and _can_draw(settings)
        self._stack = ExitStack()
        self._listeners: list[Callable[[Event], None]] = []
        self._drawing = ExitStack()
        self._notices: list[str] = []
        self._log: logs.EventLog | None = None

    def __enter__(self) -> Self:
        logger = logging.getLogger(LOGGER)
        self._stack.callback(logger.setLevel, logger.level)
        self._stack.callback(setattr, logger, "propagate", logger.propagate)
        logger.propagate = False  # else handlers of the root logger would print each line again
        logger.setLevel(logs.level_of(self.settings.log_level or "info"))
        self._attach(logger, logging.NullHandler())  # without a handler, logging would write to stderr on its own
        if self.settings.log_file is not None:
            self._attach(logger, logs.LogFile(self.settings.log_file, self._on_log_failure))
        # While progress is drawn, lines have to go through rich, which moves the progress below them.
        stream: Any = sys.stderr
        if self._live:
            stream = self._start_progress()
        if not self.settings.no_log_to_console:
            handler = logs.ConsoleHandler(stream)
            handler.setLevel(self._console_level())
            self._attach(logger, handler)
        self._log = logs.EventLog(logger)
        self._listeners.append(self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_progress()
        # The error itself is printed by `main`; the traceback is for the log only.
        if isinstance(error, Exception):
            logging.getLogger(LOGGER).debug("The command failed:", exc_info=error)
        self._stack.close()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            self._notices.append(event.message)
        for listener in self._listeners:
            listener(event)

    @property
    def notices(self) -> tuple[str, ...]:
        """The notices shown so far, in order."""
        return tuple(self._notices)

    def report_progress(self) -> None:
        """Write a log line about the progress of the run."""
        if self._log is not None:
            self._log.report_progress()

    def stop_progress(self) -> None:
        """End the live progress, if any, and restore the terminal."""
        self._drawing.close()

    def result(self, *cells: str) -> None:
        """Write one line of the command's result to stdout, with tabs between its cells.

        Control characters are escaped, because a name may contain anything, even sequences that a terminal obeys.
        """
        sys.stdout.write("\t".join(map(escaped, cells)) + "\n")

    def json_result(self, value: object) -> None:
        """Write the command's result to stdout as one JSON object."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")

    def print(self, lines: Iterable[str], *, failed: bool = False) -> None:
        """End the live progress and write lines for people to stderr.

        With `failed`, the lines are always written, else only if success is not to be silent.
        """
        self.stop_progress()
        if failed or not self.settings.silent:
            for line in lines:
                stdio.write_error(printable(line))

    def summary(self, lines: Iterable[str], *, failed: bool) -> None:
        """Write the summary of a run. Failures are always shown, unless log lines have already shown them."""
        self.print(["", *lines], failed=failed and self.settings.no_log_to_console)

    def notice(self, message: str) -> None:
        """Show something worth knowing."""
        self.on_event(Notice(message=message))

    def _on_log_failure(self, message: str) -> None:
        if not self.settings.no_log_to_console:
            logging.getLogger(LOGGER).warning("%s", message, extra={"fields": {"event": "log-file"}})
        else:
            stdio.write_error(message)

    def _console_level(self) -> int:
        if self.settings.quiet:
            return logging.WARNING
        if self._live and self.settings.log_level is None:
            return logs.NOTICE
        return logging.NOTSET

    def _attach(self, logger: logging.Logger, handler: logging.Handler) -> None:
        handler.setFormatter(logs.formatter_of(self.settings.log_format))
        logger.addHandler(handler)
        self._stack.callback(handler.close)
        self._stack.callback(logger.removeHandler, handler)

    def _start_progress(self) -> Any:
        from rich.console import Console as RichConsole  # noqa: PLC0415, only where progress is drawn

        from dapkit.display.progress import Progress  # noqa: PLC0415, only where progress is drawn

        drawn = RichConsole(stderr=True, no_color=self.settings.no_color, highlight=False)
        progress = Progress(drawn, self.settings.theme)
        self._drawing.enter_context(progress)
        self._listeners.append(progress)
        return _AboveProgress(drawn)


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


def _can_draw(settings: MessageSettings) -> bool:
    return settings.log_format == "plain" and not settings.dumb and sys.stderr.isatty()
