"""PURE: checks of the arguments that a program passes to the library. Each error names the argument and its value."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from numbers import Real
from pathlib import Path, PurePath
from typing import TypeVar

from dapkit.errors import UsageError

T = TypeVar("T")

_SHOWN = (str, bytes, int, float, date, timedelta, PurePath, type(None))
"""Types whose values are shown. Of others only the type is named: their text may be long, or contain a secret."""


def require(name: str, value: object, kind: type[T], expected: str, *, hint: str = "") -> T:
    """Return a value of the expected type.

    Args:
        name: of the argument.
        value: what was passed.
        kind: the type that it must have.
        expected: what it must be, such as `a Query`.
        hint: what to pass instead; by default that it must be what is expected.

    Raises:
        UsageError: the value has another type.
    """
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    raise invalid(name, value, expected, hint)


def invalid(name: str, value: object, expected: str, hint: str = "") -> UsageError:
    """Return the error for a value that is not what is expected."""
    return UsageError(f"{name} must be {expected}, not {_shown(value)}", hint=hint or f"Pass {expected} as {name}.")


def text(name: str, value: object, expected: str = "a text", hint: str = "") -> str:
    """Return a text that is not blank, and that can be encoded. Raises UsageError."""
    given = _not_blank(name, value, expected, hint)
    _encodable(name, given)
    return given


def _not_blank(name: str, value: object, expected: str, hint: str = "") -> str:
    given = require(name, value, str, expected, hint=hint)
    if given.strip():
        return given
    raise UsageError(f"{name} is empty", hint=hint or f"Pass {expected} as {name}.")


def _encodable(name: str, value: str) -> None:
    if _is_undecoded(value):
        raise UsageError(f"{name} is not valid text", hint="It contains half a surrogate pair: decode it as UTF-8.")


def _is_undecoded(value: str) -> bool:
    """Return whether a text contains half surrogate pairs: Python decodes bytes in this way that are not text."""
    return any("\ud800" <= character <= "\udfff" for character in value)


def decoded(name: str, value: str, *, shown: bool) -> None:
    """Raise UsageError if an argument or a variable of the command contains bytes that are not text.

    They are right only in a path, which is passed on as it is. The message contains the value only if it may be
    `shown`.
    """
    if _is_undecoded(value):
        from dapkit.protocol.redaction import excerpt  # noqa: PLC0415, only an error needs it

        readable = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        message = f"{name} is not text in the encoding of this locale{f': {excerpt(readable, 80)}' if shown else ''}"
        raise UsageError(message, hint="Set a UTF-8 locale, for example LC_ALL=C.UTF-8, and check the spelling.")


def names(name: str, value: object, *, empty: bool = False) -> tuple[str, ...]:
    """Return a list of names as a tuple; one text with commas is such a list too. Raises UsageError.

    Args:
        name: of the argument.
        value: what was passed.
        empty: whether there may be no name at all.
    """
    given = (value,) if isinstance(value, str) else items(name, value)
    found = tuple(dict.fromkeys(part.strip() for item in given for part in item.split(",") if part.strip()))
    if not found and (given or not empty):
        raise UsageError(f"{name} contains no name", hint=f"Pass a name or a list of names as {name}.")
    for each in found:
        _encodable(name, each)
    return found


def items(name: str, value: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple. Raises UsageError."""
    if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        raise invalid(name, value, "a list of names")
    return tuple(require(f"Each item of {name}", item, str, "a text") for item in value)


def number(name: str, value: object, *, least: float, most: float | None = None, integer: bool = False) -> None:
    """Raise UsageError unless the value is a number in the range, which includes both ends."""
    limit = f"from {least:g} to {most:g}" if most is not None else f"of at least {least:g}"
    valid = isinstance(value, int if integer else Real) and not isinstance(value, bool)
    if not valid or not least <= value <= (float("inf") if most is None else most):  # type: ignore[operator]
        raise invalid(name, value, f"{'an integer' if integer else 'a number'} {limit}")


def flag(name: str, value: object) -> None:
    """Raise UsageError unless the value is True or False."""
    require(name, value, bool, "True or False")


def folder(name: str, value: object) -> Path:
    """Return a path that is not empty. Raises UsageError."""
    if isinstance(value, Path):
        return value
    return Path(_not_blank(name, value, "a path"))


def age(name: str, value: object) -> None:
    """Raise UsageError unless the value is a duration of at least zero."""
    if require(name, value, timedelta, "a timedelta", hint="Use for example timedelta(days=1).") < timedelta(0):
        raise invalid(name, value, "a duration of at least zero")


def optional(check: Callable[[str, object], object], name: str, value: object) -> None:
    """Apply a check unless the value is None."""
    if value is not None:
        check(name, value)


def _shown(value: object) -> str:
    from dapkit.protocol.redaction import excerpt  # noqa: PLC0415, only an error needs it

    return excerpt(repr(value), 80) if isinstance(value, _SHOWN) else f"of type {type(value).__name__}"
