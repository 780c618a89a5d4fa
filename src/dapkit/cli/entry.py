"""What the installed command imports first, and nothing else: so that Ctrl-C ends it quietly from the start.

Importing the command takes a while, in which nobody handles a signal yet and nothing has begun.
"""

import os
from typing import NoReturn

STOPPED = 130
"""As `InterruptedRunError.exit_code`, which is not imported yet when it is needed."""


def run() -> NoReturn:
    """Be the installed command."""
    try:
        from dapkit.cli.main import run as command  # noqa: PLC0415, what may be interrupted

        command()
    except KeyboardInterrupt:
        os._exit(STOPPED)
