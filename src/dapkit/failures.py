"""PURE. Tables that failed, grouped by reason, and the error that a command or a call ends with because of them."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.errors import DapError, PartialFailureError
from dapkit.formatting import count, names


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFailed:
    """A table that failed for good in this run; the others continue."""

    table: str
    error: DapError


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tables that failed for the same reason. The texts do not name the table if there are several."""

    tables: tuple[str, ...]
    errors: tuple[DapError, ...]
    message: str
    hint: str


def failure_groups(failed: Sequence[TableFailed]) -> list[FailureGroup]:
    """Group failures by reason, in the order of their first tables' names."""
    groups: dict[tuple[str, str, str], list[TableFailed]] = {}
    for failure in sorted(failed, key=lambda failure: failure.table):
        error = failure.error
        message, hint = (_without_table(text, failure.table) for text in (error.message, error.hint))
        groups.setdefault((error.code, message, hint), []).append(failure)
    return [_group(failures, message, hint) for (_, message, hint), failures in groups.items()]


def _group(failures: Sequence[TableFailed], message: str, hint: str) -> FailureGroup:
    errors = tuple(failure.error for failure in failures)
    if len(failures) == 1:
        message, hint = errors[0].message, errors[0].hint
    return FailureGroup(tables=tuple(failure.table for failure in failures), errors=errors, message=message, hint=hint)


def _without_table(text: str, table: str) -> str:
    """Omit the name in `table NAME`. Texts that contain it in another way stay different, and are not grouped."""
    return re.sub(rf"\b([Tt]able) ([\"'`]?){re.escape(table)}\2(?!\w)", r"\1 …", text)


def error_of(done: int, failed: Sequence[TableFailed]) -> DapError | None:
    """Return None if no table failed, an error of their kind if all tables failed alike, else a partial failure.

    `done` is the number of complete tables.
    """
    if not failed:
        return None
    errors = [failure.error for failure in failed]
    # If all tables failed alike, for example because of the network, that error says more than "partial failure".
    if not done and len({error.exit_code for error in errors}) == 1:
        return _common_error(failed)
    tables = names([failure.table for failure in failed])
    counted = f"{len(failed):,} of {count(done + len(failed), 'table')} failed"
    retryable = any(error.retryable for error in errors)
    return PartialFailureError(f"{counted}: {tables}", counted=counted, retryable=retryable)


def _common_error(failed: Sequence[TableFailed]) -> DapError:
    groups = failure_groups(failed)
    error = copy.copy(groups[0].errors[0])
    if len(failed) == 1:
        if failed[0].table not in error.message:
            error.table = error.table or failed[0].table
        return error
    all_failed = f"All {len(failed):,} tables failed"
    if len(groups) == 1:
        error.message, error.hint = f"{all_failed}: {groups[0].message}", groups[0].hint
    else:
        hints = {group.hint for group in groups}
        error.message, error.hint = all_failed, hints.pop() if len(hints) == 1 else "See the hint for each table."
    error.args = (error.message,)
    error.table = error.job_id = error.uuid = None
    return error


def says_it_all(done: int, failed: Sequence[TableFailed]) -> bool:
    """Return whether the error of `error_of` gives the reason of every failure, so that none needs its own report."""
    return not done and len(failure_groups(failed)) == 1
