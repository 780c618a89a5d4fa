"""PURE. The error that a command ends with, from the result of its run.

Exit codes belong to the error classes. The command line adds BROKEN_PIPE, for when the reader of its output has ended.
"""

from typing import TYPE_CHECKING

from dapkit.errors import DapError, PartialFailureError
from dapkit.formatting import count, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapkit.results import TableFailed

BROKEN_PIPE = 141


def error_of(done: int, failed: "Sequence[TableFailed]") -> DapError | None:
    """Return None if no table failed, the first error if all tables failed alike, else a partial failure.

    `done` is the number of complete tables.
    """
    if not failed:
        return None
    errors = [failure.error for failure in failed]
    tables = [failure.table for failure in failed]
    # If all tables failed alike, for example because of the network, that error says more than "partial failure".
    if not done and len({error.exit_code for error in errors}) == 1:
        first = errors[0]
        if first.table is None and tables[0] not in first.message:
            first.table = tables[0]
        return first
    message = f"{len(tables)} of {count(done + len(tables), 'table')} failed: {names(tables)}"
    return PartialFailureError(message, retryable=any(error.retryable for error in errors))
