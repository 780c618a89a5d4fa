"""PURE. Tables that failed, for people: tables that failed for the same reason are reported together."""

from collections.abc import Sequence

from dapkit.failures import FailureGroup, TableFailed, failure_groups
from dapkit.formatting import count, names


def failure_lines(failed: Sequence[TableFailed]) -> list[str]:
    """Say why tables failed, with hints, and the uuids that the service's support asks for."""
    return [line for group in failure_groups(failed) for line in _lines(group)]


def _lines(group: FailureGroup) -> list[str]:
    which = group.tables[0]
    if len(group.tables) > 1:
        which = f"{count(len(group.tables), 'table')} ({names(group.tables)})"
    lines = [f"Failed: {which}: {group.message} [{group.errors[0].code}]"]
    uuids = tuple(dict.fromkeys(error.uuid for error in group.errors if error.uuid))
    if uuids:
        lines.append(f"  uuid for support: {names(uuids, 3)}")
    if group.hint:
        lines.append(f"  Hint: {group.hint}")
    return lines
