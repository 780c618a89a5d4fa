"""The prompt of `dap sql`: queries that end with a semicolon, with history and completion where the system has them."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dapkit.errors import DapError, UsageError

_HISTORY_LENGTH = 1000
_HELP = "Queries end with a semicolon. Tab completes names; Ctrl-D ends."


def prompt(words: Callable[[], Sequence[str]], answer: Callable[[str], None]) -> None:
    """Read queries until the end of the input, and answer each.

    Args:
        words: returns what can be completed.
        answer: prints the answer to a query; what it raises is printed, and the next query is read.

    Raises:
        UsageError: there is no terminal, and no query in the input.
    """
    interactive = sys.stdin.isatty()
    if interactive:
        print(_HELP, file=sys.stderr)  # noqa: T201 -- part of the conversation
        _complete(words)
    query = ""
    answered = 0
    while (line := _next_line("dap> " if not query else "...> ", interactive=interactive)) is not None:
        query = f"{query}\n{line}".strip()
        if query.endswith(";"):
            _answer(query, answer, interactive=interactive)
            answered, query = answered + 1, ""
    if query:
        _answer(query, answer, interactive=interactive)
    elif not answered and not interactive:
        raise UsageError("No query is given", hint="Give it as an argument, or on standard input.")


def _answer(query: str, answer: Callable[[str], None], *, interactive: bool) -> None:
    try:
        answer(query)
    except KeyboardInterrupt:
        if not interactive:
            raise
        print("Stopped.", file=sys.stderr)  # noqa: T201 -- part of the conversation
    except DapError as error:
        if not interactive:
            raise
        hint = f"\n{error.hint}" if error.hint else ""
        print(f"{error.message}{hint}", file=sys.stderr)  # noqa: T201 -- as above


def _next_line(text: str, *, interactive: bool) -> str | None:
    """Return the next line; None at the end of the input. Ctrl-C gives an empty one."""
    if not interactive:
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input(text)
    except EOFError:
        return None
    except KeyboardInterrupt:
        print(file=sys.stderr)  # noqa: T201 -- part of the conversation
        return ""


def _complete(words: Callable[[], Sequence[str]]) -> None:
    """Turn history and completion on. Windows has no readline; the prompt works without it."""
    try:
        import readline  # noqa: PLC0415 -- not on every system
    except ImportError:
        return
    import atexit  # noqa: PLC0415 -- only a prompt needs it

    history = Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "dapkit" / "sql_history"
    with suppress(OSError):
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.read_history_file(history)
    readline.set_history_length(_HISTORY_LENGTH)

    def complete(text: str, state: int) -> str | None:
        matches = [word for word in words() if word.startswith(text)]
        return matches[state] if state < len(matches) else None

    def save() -> None:
        with suppress(OSError):
            readline.write_history_file(history)

    readline.set_completer_delims(" \t\n,();=<>+-*/'\"")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    atexit.register(save)
