"""PURE: the address of a DuckDB file, with what DuckDB may use: `duckdb:college.duckdb?memory_limit=2GB&threads=2`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError
from dapkit.targets.sql.connection_string import file_of

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)
_NUMBER = re.compile(r"[1-9]\d{0,3}")

_OPTIONS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "memory_limit": (_SIZE.fullmatch, "a size, such as 2GB or 512MiB"),
    "temp_directory": (bool, "a folder for what does not fit into memory"),
    "threads": (_NUMBER.fullmatch, "a number, such as 2"),
}
"""By name: a check of the value, and what a valid value looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDbAddress:
    """A file, and the settings that DuckDB opens it with; other settings have DuckDB's defaults."""

    path: Path
    settings: Mapping[str, str] = field(default_factory=dict)


def address_of(url: str) -> DuckDbAddress:
    """Return the address that `duckdb:FILE` or `duckdb:FILE?name=value&…` means; both parts may have %-escapes.

    Raises:
        UsageError: it has no file, an unknown option, or an invalid value.
    """
    address, _, query = url.partition("?")
    if address.lower().startswith(("duckdb:md:", "duckdb:motherduck:")):
        raise UsageError("MotherDuck is not supported", hint="Give a file, as in duckdb:college.duckdb.")
    path = file_of(address, "duckdb", "college.duckdb")
    settings: dict[str, str] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in _OPTIONS:
            hint = f"Supported: {', '.join(_OPTIONS)}. Write a ? in the file's name as %3F."
            raise UsageError(f"Unsupported option {name!r} in the URL duckdb:", hint=hint)
        fits, form = _OPTIONS[name]
        if name in settings or not fits(value):
            message = f"Invalid value {value!r} for the option {name} of duckdb:"
            raise UsageError(message, hint=f"Give {form}, and give the option once.")
        settings[name] = value
    return DuckDbAddress(path=Path(unquote(str(path))), settings=settings)


def bytes_of(size: str) -> int | None:
    """Return the bytes of a size as DuckDB writes it, such as `190.7 MiB`; None for any other text."""
    match = _SIZE.fullmatch(size)
    if match is None:
        return None
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(prefix.upper())))
