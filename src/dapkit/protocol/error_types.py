"""PURE: the types that the service gives its errors, in a form to compare. They are not documented."""

import re

_SEPARATORS = re.compile(r"[.$:/#]")
_ENDING = re.compile(r"(error|exception)$")


def error_name(type_: str) -> str:
    """Return the last word of an error's type in lower case, without `Error` or `Exception` at its end.

    A type may be the qualified name of a class: both `OutOfRange` and `com.example.OutOfRangeError` are `outofrange`.
    """
    last = _SEPARATORS.split(type_)[-1]
    return _ENDING.sub("", re.sub(r"[\s_-]", "", last).lower())
