"""What is known about one call of the command, from before its arguments are parsed until its error is printed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any


class ErrorFormat(Enum):
    """How the error that ends a command is printed."""

    PLAIN = "plain"
    JSON = "json"
    """One JSON object, for --json."""

    JSON_LINE = "json-line"
    """A log line, for --logformat json: then everything on stderr is one."""


@dataclass(slots=True)
class Invocation:
    """One call of the command. click passes it to the commands as the object of their context.

    Attributes:
        run_id: identifies the log lines of this call.
        on_start: is called when imports are done and a command starts.
        error_format: how an error is printed.
        log_fields: what each JSON line says about the call; complete once the options are read.
    """

    run_id: str
    on_start: Callable[[], None] = lambda: None
    error_format: ErrorFormat = ErrorFormat.PLAIN
    log_fields: Mapping[str, Any] = field(default_factory=dict)


def error_format(arguments: Sequence[str]) -> ErrorFormat:
    """Return how to print an error. The arguments are not parsed, because that may have failed."""
    words = [word.lower() for word in arguments]
    if "--logformat=json" in words or ("--logformat", "json") in pairwise(words):
        return ErrorFormat.JSON_LINE
    return ErrorFormat.JSON if "--json" in words else ErrorFormat.PLAIN
