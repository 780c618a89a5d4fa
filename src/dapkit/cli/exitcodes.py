"""From how a run ended to the error that the command ends with. Pure.

Exit codes belong to the error classes. One more is the command line's own: BROKEN_PIPE, when whoever read our
output went away.
"""

from collections.abc import Sequence

from dapkit.cli import formatting as wording
from dapkit.errors import DapError, PartialFailureError
from dapkit.results import TableFailed

BROKEN_PIPE = 141


def error_of(done: int, failed: Sequence[TableFailed]) -> DapError | None:
    """Return what a run failed with: nothing, the error that all tables share, or that some failed.

    `done` counts the tables that are whole.
    """
    if not failed:
        return None
    errors = [failure.error for failure in failed]
    names = [failure.table for failure in failed]
    if not done and len({error.exit_code for error in errors}) == 1:
        first = errors[0]
        if first.table is None and names[0] not in first.message:
            first.table = names[0]
        return first
    message = f"{len(names)} of {wording.count(done + len(names), 'table')} failed: {wording.names(names)}."
    return PartialFailureError(message, retryable=any(error.retryable for error in errors))
