"""PURE. The error that a command ends with, from the result of its run.

Exit codes belong to the error classes. The command line adds BROKEN_PIPE, for when the reader of its output has ended.
"""

import copy
from typing import TYPE_CHECKING

from dapkit.errors import DapError, PartialFailureError
from dapkit.formatting import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapkit.results import TableFailed

BROKEN_PIPE = 141


def error_of(done: int, failed: "Sequence[TableFailed]") -> DapError | None:
    """Return None if no table failed, an error of their kind if all tables failed alike, else a partial failure.

    `done` is the number of complete tables.
    """
    if not failed:
        return None
    errors = [failure.error for failure in failed]
    total = done + len(failed)
    if not done and len({error.exit_code for error in errors}) == 1:
        return _common_error(failed)
    message = f"{len(failed):,} of {count(total, 'table')} failed"
    return PartialFailureError(message, retryable=any(error.retryable for error in errors))


def _common_error(failed: "Sequence[TableFailed]") -> DapError:
    """Return one error for tables that all failed alike, for example because of the network."""
    from dapkit.cli.failures import failure_groups  # noqa: PLC0415, only after a failure

    groups = failure_groups(failed)
    error = copy.copy(groups[0].errors[0])
    if len(failed) == 1:
        error.table = failed[0].table
        return error
    all_failed = f"All {len(failed):,} tables failed"
    if len(groups) == 1:
        error.message, error.hint = f"{all_failed}: {groups[0].message}", groups[0].hint
    else:
        # The reports of the groups have their own messages and hints.
        error.message, error.hint = all_failed, ""
    error.args = (error.message,)
    error.table = error.job_id = error.uuid = None
    return error


def says_it_all(done: int, failed: "Sequence[TableFailed]") -> bool:
    """Return whether the error of `error_of` gives the reason of every failure, so that none needs its own report."""
    from dapkit.cli.failures import failure_groups  # noqa: PLC0415, only after a failure

    return not done and len(failure_groups(failed)) == 1
