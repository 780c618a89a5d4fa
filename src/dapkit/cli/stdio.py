"""The standard streams, which may be closed, full, or in an encoding that lacks a character.

What cannot be written to stderr is dropped, because there is nowhere else to write it. If stdout cannot be written,
that is an error, because it is the result.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from dapkit.errors import OutputError

_ESCAPE = "dapkit-escape"


def prepare() -> None:
    """Replace closed streams, and make every character writable.

    Otherwise a file that the command opens could get the descriptor of a closed stream, and with it the log lines.
    Writing to a closed stdout fails, as in other programs: it is replaced by a descriptor that is only readable.
    """
    # An encoding such as ASCII lacks most characters, and file names may contain bytes that are not text.
    codecs.register_error(_ESCAPE, _escape)
    for name, flags, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)
    sys.stdout = cast(TextIO, _CheckedStdout(sys.stdout))


def write_error(text: str) -> None:
    """Write one or more lines to stderr."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Redirect a broken stream to nowhere; otherwise the interpreter would report an error when it exits."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _CheckedStdout:
    """Stdout that raises OutputError; a closed pipe stays a BrokenPipeError, which the caller handles."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text. Raises OutputError."""
        with self._translated():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write out the buffer. Raises OutputError."""
        with self._translated():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            message = f"Cannot write the result to stdout: {error.strerror or error}"
            hint = "Redirect stdout to a place that can be written. Downloaded files are complete."
            raise OutputError(message, hint=hint) from error


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode characters that the encoding lacks: bytes of file names unchanged, others as Python escapes."""
    assert isinstance(error, UnicodeEncodeError)
    try:
        return error.object[error.start : error.end].encode("ascii", "surrogateescape"), error.end
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)
