"""Reads the values of options: numbers, durations, percentages, lists of tables."""

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click

from dapkit.config import arguments
from dapkit.errors import UsageError


class FiniteRange(click.FloatRange):
    """A range of finite numbers; click accepts nan in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def duration(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    """Return a duration such as 90m, 4h or 1d (a callback of click). Raises UsageError if it is invalid."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})([mhd])", text)
    if found is None:
        raise UsageError(f"Invalid duration {text!r}", hint="Use for example 90m, 4h or 1d.")
    return timedelta(seconds=int(found[1]) * {"m": 60, "h": 3600, "d": 86_400}[found[2]])


def percentage(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    """Return a percentage such as 1 or 0.5% (a callback of click). Raises UsageError if it is invalid."""
    if text is None:
        return None
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 < number <= 100:
        message = f"Invalid percentage {text!r}: it must be greater than 0 and at most 100"
        raise UsageError(message, hint="Use for example 1 or 0.5%.")
    return number


def pace(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Return the text if it is a valid pace (a callback of click). Raises UsageError if it is not."""
    if text is not None:
        from dapkit.protocol.budget import RateLimit  # noqa: PLC0415, `dap --help` does not need it

        try:
            RateLimit.parse(text)
        except UsageError as error:
            raise UsageError(f"Invalid --pace {text!r}", hint=error.hint) from None
    return text


def table_names(_context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Return the names and patterns that the values of an option list (a callback of click)."""
    from dapkit.export.selection import split_tables  # noqa: PLC0415, `dap --help` does not need it

    return split_tables(values, parameter.opts[0]) if values else ()


def stripped(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return the text without spaces around it (a callback of click)."""
    return value.strip()


def check_value(option: str, value: str, *, path: bool, shown: bool) -> None:
    """Raise UsageError if the value of an option is empty or, except for a `path`, not text.

    The message contains the value only if it may be `shown`.
    """
    if not value.strip():
        message = f"{option} is empty"
        raise UsageError(message, hint="Give it a value, or omit the option. A variable in a script may be unset.")
    if not path:
        arguments.decoded(option, value, shown=shown)
