"""The standard streams as a command may find them: closed, full, or in an encoding that lacks a letter.

What cannot be written to stderr is dropped, since nobody is left to be told. What cannot be written to stdout is an
error: it was the result.
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
    """Stand in for streams that are closed, and let no letter be impossible.

    A file that the command opens could otherwise get the number of a closed stream, and with it what is written there.
    Writing to a stdout that was closed fails as it does for other programs.
    """
    codecs.register_error(_ESCAPE, _escape)
    for name, flags, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)
    sys.stdout = cast(TextIO, _Results(sys.stdout))


def say(text: str) -> None:
    """Write a line, or several, to stderr."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """Send all that a stream holds and will get to nowhere; else the interpreter would complain at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Results:
    """Stdout that says of itself what is wrong with it; that its reader went away is for the caller to see."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text. Raises OutputError."""
        with self._translated():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write out what is held back. Raises OutputError."""
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
            message = f"The result cannot be written to stdout: {error.strerror or error}."
            hint = "Send stdout to where it can be written. Files that were fetched are whole."
            raise OutputError(message, hint=hint) from error


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode what an encoding lacks: bytes of a file's name as they are, other letters as Python writes them."""
    assert isinstance(error, UnicodeEncodeError)
    try:
        return error.object[error.start : error.end].encode("ascii", "surrogateescape"), error.end
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)
