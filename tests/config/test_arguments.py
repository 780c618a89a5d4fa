"""Checks of the arguments that a program passes."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dapkit.config import arguments
from dapkit.errors import UsageError


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (arguments.text, 5),
        (arguments.text, None),
        (arguments.text, " "),
        (arguments.text, b"users"),
        (arguments.names, []),
        (arguments.names, ""),
        (arguments.names, ","),
        (arguments.names, None),
        (arguments.names, 5),
        (arguments.names, b"users"),
        (arguments.names, {"users": 1}),
        (arguments.names, ["users", 5]),
        (arguments.items, 5),
        (arguments.items, [None]),
        (arguments.flag, "no"),
        (arguments.flag, 1),
        (arguments.folder, ""),
        (arguments.folder, 5),
        (arguments.age, 5),
        (arguments.age, "4h"),
        (arguments.age, timedelta(hours=-1)),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_argument(
    check: Callable[[str, object], object], value: object
) -> None:
    with pytest.raises(UsageError, match="given_name") as caught:
        check("given_name", value)
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("8", {"least": 1}),
        (True, {"least": 0}),
        (None, {"least": 0}),
        (0, {"least": 1}),
        (65, {"least": 1, "most": 64}),
        (float("nan"), {"least": 0}),
        (1.5, {"least": 1, "integer": True}),
    ],
)
def test_an_invalid_number_is_an_error_that_names_the_argument(value: object, limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="given_name must be"):
        arguments.number("given_name", value, **limits)


def test_valid_values_pass() -> None:
    assert arguments.names("tables", "users, courses,users") == ("users", "courses")
    assert arguments.names("tables", (name for name in ("users", "quiz*"))) == ("users", "quiz*")
    assert arguments.names("exclude", (), empty=True) == ()
    assert arguments.folder("output", "out") == Path("out")
    arguments.number("count", 64, least=1, most=64, integer=True)
    arguments.optional(arguments.text, "scope", None)


def test_a_value_of_an_unknown_type_is_not_shown() -> None:
    class Holder:
        def __repr__(self) -> str:
            return "hush"

    with pytest.raises(UsageError, match="not of type Holder") as caught:
        arguments.require("query", Holder(), str, "a Query")
    assert "hush" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        arguments.require("query", "postgresql://me:hush@host/db", int, "a Query")
    assert "hush" not in str(caught.value)


def test_a_text_that_cannot_be_encoded_is_an_error_except_in_a_path() -> None:
    for check in (arguments.text, arguments.names):
        with pytest.raises(UsageError, match="tables is not valid text"):
            check("tables", "kurs\udcff")
    assert arguments.folder("output", "kurs\udcff") == Path("kurs\udcff")
