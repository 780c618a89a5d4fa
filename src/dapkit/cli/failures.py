"""PURE. Tables that failed, for people: tables that failed for the same reason are reported together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.errors import DapError
from dapkit.formatting import count, names
from dapkit.results import TableFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tables that failed for the same reason. The texts do not name the table if there are several."""

    tables: tuple[str, ...]
    errors: tuple[DapError, ...]
    message: str
    hint: str

    def lines(self) -> list[str]:
        """Say why the tables failed, with the hint, and the uuids that the service's support asks for."""
        which = self.tables[0]
        if len(self.tables) > 1:
            which = f"{count(len(self.tables), 'table')} ({names(self.tables)})"
        lines = [f"Failed: {which}: {self.message} [{self.errors[0].code}]"]
        uuids = tuple(dict.fromkeys(error.uuid for error in self.errors if error.uuid))
        if uuids:
            lines.append(f"  uuid for support: {names(uuids, 3)}")
        if self.hint:
            lines.append(f"  Hint: {self.hint}")
        return lines


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


def failure_lines(failed: Sequence[TableFailed]) -> list[str]:
    """Return the report of all failures."""
    return [line for group in failure_groups(failed) for line in group.lines()]
