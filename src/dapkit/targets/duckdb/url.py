"""PURE: the address of a DuckDB file, with what DuckDB may use: `duckdb:college.duckdb?memory_limit=2GB&threads=2`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)
_NUMBER = re.compile(r"[1-9]\d{0,3}")

_OPTIONS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "memory_limit": (_SIZE.fullmatch, "a size, such as 2GB or 512MiB"),
    "temp_directory": (bool, "a folder for what does not fit into memory"),
    "threads": (_NUMBER.fullmatch, "a number, such as 2"),
}
"""By name: whether a value may be meant, and what one looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDbAddress:
    """A file, and the settings that DuckDB opens it with; what is not set is as DuckDB has it."""

    path: Path
    settings: Mapping[str, str] = field(default_factory=dict)


def address_of(url: str) -> DuckDbAddress:
    """Return the address that `duckdb:FILE` or `duckdb:FILE?name=value&…` means; both parts may have %-escapes.

    Raises:
        UsageError: it names no file, an unknown setting, or a value that cannot be meant.
    """
    file, _, query = url.partition(":")[2].removeprefix("//").partition("?")
    if not file or file == ":memory:":
        raise UsageError("The target duckdb: names no file", hint="Write it like duckdb:college.duckdb")
    settings: dict[str, str] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in _OPTIONS:
            hint = f"Known are {', '.join(_OPTIONS)}. A ? that is part of the file's name is written %3F."
            raise UsageError(f"The target duckdb: has no option {name!r}", hint=hint)
        fits, form = _OPTIONS[name]
        if name in settings or not fits(value):
            raise UsageError(f"The option {name} of duckdb: wants {form}, once, not {value!r}")
        settings[name] = value
    return DuckDbAddress(path=Path(unquote(file)), settings=settings)


def bytes_of(size: str) -> int | None:
    """Return the bytes of a size as DuckDB writes it, such as `190.7 MiB`; None for what is none."""
    match = _SIZE.fullmatch(size)
    if match is None:
        return None
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(prefix.upper())))
