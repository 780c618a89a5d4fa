"""PURE: which results are no longer needed.

Results of the same source (service, scope, namespace, table, form, format, mode) form a chain: a snapshot, and the
changes that continue it. Changes that end after a snapshot's time are part of its chain, even if they start before it:
without them, the next changes would not continue the snapshot.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dapkit.errors import UsageError
from dapkit.export.selection import ALL, is_pattern, select, similar
from dapkit.export.stored_results import StoredResult
from dapkit.protocol.namespaces import LOGS


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """What to remove. Exactly one of the two is set.

    Attributes:
        keep: how many snapshots of each source are kept.
        completed_before: results that were complete after this time are kept; in seconds since the epoch.
    """

    keep: int | None = None
    completed_before: float | None = None

    def __post_init__(self) -> None:
        assert (self.keep is None) != (self.completed_before is None), "exactly one is set"
        assert self.keep is None or self.keep > 0, "the latest snapshot always stays"

    def is_old(self, result: StoredResult) -> bool:
        """Whether the age of a result allows that it is removed."""
        return self.completed_before is None or result.completed < self.completed_before


def selected_results(results: Sequence[StoredResult], wanted: Sequence[str]) -> tuple[StoredResult, ...]:
    """Return the results of the selected tables; without a name, of all.

    Those of logs are selected only by the table's name, and not by a pattern: the service has older logs no more.

    Raises:
        UsageError: a name or a pattern matches no table.
    """
    known = sorted({each.table for each in results})
    names = [name for name in wanted if not is_pattern(name)]
    for name in names:
        if name not in known:
            hint = similar(name, known) or "`dap results` shows the tables in a folder."
            raise UsageError(f"There is no result of table {name}", hint=hint)
    chosen = select(wanted or (ALL,), (), known) if known else ()
    return tuple(each for each in results if each.table in (names if each.namespace == LOGS else chosen))


def results_to_remove(results: Iterable[StoredResult], rule: PruneRule) -> tuple[StoredResult, ...]:
    """Return the results that are no longer needed, in the order of `results`.

    The latest snapshot of each source stays, and so do all changes that continue a snapshot that stays. Without a
    snapshot, the latest changes stay, because the next changes start where they end.
    """
    chains: dict[tuple[str, ...], list[StoredResult]] = {}
    ordered = tuple(results)
    for each in ordered:
        chains.setdefault(each.source, []).append(each)
    needed = {each.path for chain in chains.values() for each in _needed(chain, rule)}
    return tuple(each for each in ordered if each.path not in needed)


def _needed(chain: Sequence[StoredResult], rule: PruneRule) -> Iterable[StoredResult]:
    newest_first = sorted(chain, key=lambda each: (each.ends, each.completed, each.path), reverse=True)
    snapshots = [each for each in newest_first if each.at is not None]
    changes = [each for each in newest_first if each.at is None]
    if not snapshots:
        # `keep` counts snapshots; changes alone have none that could replace them.
        return [each for each in changes if rule.keep is not None or each is changes[0] or not rule.is_old(each)]
    if rule.keep is not None:
        kept = snapshots[: rule.keep]
    else:
        kept = [each for each in snapshots if each is snapshots[0] or not rule.is_old(each)]
    start = min(each.ends for each in kept)
    return [*kept, *(each for each in changes if _continues(each, start) or not rule.is_old(each))]


def _continues(changes: StoredResult, start: float) -> bool:
    # Changes of no time at all end where they start.
    return changes.ends > start or changes.begins >= start
