"""The methods that only read and delete files: their arguments checked, then one call. They block."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from dapkit.config import arguments
from dapkit.errors import UsageError
from dapkit.export.prune import PruneResult
from dapkit.export.prune import prune as prune_results
from dapkit.export.prune_plan import PruneRule
from dapkit.export.stored_results import FolderResults, stored_results
from dapkit.export.verify import VerifyResult
from dapkit.export.verify import verify as verify_files


def verify(folder: str | Path, *, remove_damaged: bool) -> VerifyResult:
    """Verify files; see `Client.verify`."""
    place = arguments.folder("folder", folder)
    arguments.flag("remove_damaged", remove_damaged)
    return verify_files(place, remove_damaged=remove_damaged)


def results(folder: str | Path) -> FolderResults:
    """Return the results in a folder; see `Client.results`."""
    return stored_results(arguments.folder("folder", folder))


def prune(
    folder: str | Path,
    *,
    keep: int | None,
    older_than: timedelta | None,
    tables: str | Sequence[str],
    dry_run: bool,
) -> PruneResult:
    """Remove results that are no longer needed; see `Client.prune`."""
    place = arguments.folder("folder", folder)
    if keep is not None:
        arguments.number("keep", keep, least=1, integer=True)
    arguments.optional(arguments.age, "older_than", older_than)
    arguments.flag("dry_run", dry_run)
    if (keep is None) == (older_than is None):
        given = "Neither keep nor older_than is given" if keep is None else "Both keep and older_than are given"
        raise UsageError(given, hint="Pass exactly one of them.")
    before = None if older_than is None else time.time() - older_than.total_seconds()
    names = arguments.names("tables", tables, empty=True)
    return prune_results(place, PruneRule(keep=keep, completed_before=before), names, dry_run=dry_run)
