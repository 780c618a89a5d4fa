"""What the installed command imports first: from here until a command begins, Ctrl-C ends it without a word.

Importing takes a while, in which nothing has begun that would have to be told of. An exception is not good enough then:
the import system may swallow it. So this module, and the packages that it lies in, import next to nothing themselves.
"""

import os

STOPPED = 130
"""As `InterruptedRunError.exit_code`, which is not imported yet when it is needed."""


def run() -> None:
    """Be the installed command; never returns."""
    try:
        import signal  # noqa: PLC0415, takes long enough to be interrupted

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody wants it to be ignored
            signal.signal(signal.SIGINT, end)
        from dapkit.cli.main import run as command  # noqa: PLC0415, as above

        command()
    except KeyboardInterrupt:
        end()


def end(*_: object) -> None:
    """End the process at once, as a handler of signals or otherwise."""
    os._exit(STOPPED)


def begin() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, since a command begins."""
    import signal  # noqa: PLC0415, see the module

    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
