"""The entry point of the installed command. Until a command starts, Ctrl-C ends the process at once and silently.

Imports take a while, and there is nothing to clean up during them. Raising KeyboardInterrupt would not do, because the
import system may swallow it. This module and the packages above it therefore import as little as possible.
"""

import os

STOPPED = 130
"""As `InterruptedRunError.exit_code`, which cannot be imported yet."""


def run() -> None:
    """Run the command; never returns."""
    try:
        import signal  # noqa: PLC0415, this import can be interrupted, too

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the caller wants it to be ignored
            signal.signal(signal.SIGINT, end)
        from dapkit.cli.main import run as command  # noqa: PLC0415, as above

        command(restore_interrupts)
    except KeyboardInterrupt:
        end()


def end(*_: object) -> None:
    """End the process at once; also a signal handler."""
    os._exit(STOPPED)


def restore_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, because a command starts."""
    import signal  # noqa: PLC0415, see the module

    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
