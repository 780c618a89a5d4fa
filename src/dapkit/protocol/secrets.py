"""PURE: values that may be used, but not shown.

Notebooks, pytest, error trackers and debuggers print the `repr` of objects, and of the local variables of a traceback.
So whatever holds a secret has a `repr` without it, and functions that take a secret apart leave the traceback.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from dapkit.errors import DapError
from dapkit.protocol.redaction import HIDDEN, redact

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Secret(str):
    """A text that works like any other, but whose `repr` does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class Address(str):
    """A URL that may contain a user, a password or a signature, none of which its `repr` shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        # All before the last @ is hidden: a password that is not escaped may contain any character.
        before, at, after = str(self).rpartition("@")
        scheme, separator, _ = before.rpartition("://")
        return repr(redact(f"{scheme}{separator}{HIDDEN}@{after}" if at else after))


def hidden(url: T) -> T:
    """Return a URL as an `Address`. Anything else stays as it is, so that the check of its type can reject it."""
    return cast(T, Address(url)) if isinstance(url, str) else url


class Environment(Mapping[str, str]):
    """Environment variables, whose `repr` does not show them: they contain the secrets of other programs too.

    A variable that is empty or blank counts as unset.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        value = self._variables[name]
        if not value.strip():
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._variables.items() if value.strip())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Environment({HIDDEN})"


def without_traceback(call: Callable[P, R]) -> Callable[P, R]:
    """Make the errors of a function end its traceback: no local variable of the function or below it is shown."""

    @wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except DapError as error:
            args, kwargs = (), {}  # type: ignore[assignment]  # they would be shown too
            raise error.with_traceback(None) from None

    return called
