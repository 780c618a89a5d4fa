"""PURE: values that may be used, but not shown.

Notebooks, pytest, error trackers and debuggers print the `repr` of local variables and attributes. So whatever holds a
secret has a `repr` without it.
"""

from collections.abc import Iterator, Mapping

HIDDEN = "[hidden]"


class Secret(str):
    """A text that works like any other, but whose `repr` does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class Address(str):
    """A URL that may contain a user, a password or a signature, none of which its `repr` shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        from dapkit.protocol.redaction import redact  # noqa: PLC0415, rarely needed, and not cheap to import

        return repr(redact(str.__str__(self)))


class Environment(Mapping[str, str]):
    """Environment variables, whose `repr` does not show them: they contain the secrets of other programs too."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"Environment({HIDDEN})"
