"""The options of flat tables, as the commands that write them read them."""

from collections.abc import Mapping
from typing import Any

from dapkit.config.settings import pick
from dapkit.errors import UsageError
from dapkit.export.options import FlatOptions

_OPTIONS = {
    "nested": "--nested",
    "with_ts": "--ts",
    "keep_raw": "--keep-raw",
    "memory_limit": "--memory-limit",
}


def flat_options_of(given: Mapping[str, Any]) -> FlatOptions | None:
    """Return the options of flat tables; None without --flat.

    Raises:
        UsageError: a value is invalid, or one is given without --flat.
    """
    if given["flat"] is None:
        for name, option in _OPTIONS.items():
            if given[name]:
                raise UsageError(f"{option} is about flat tables", hint=f"Use {option} together with --flat.")
        return None
    return FlatOptions(**pick(FlatOptions, {**given, "format": given["flat"]}))
