"""Tables that are named with their namespace."""

import pytest

from dapkit.describe.names import by_namespace
from dapkit.errors import UsageError


def test_names_are_grouped_by_namespace() -> None:
    names = ["canvas.users", "catalog.all", "canvas.quiz*", "canvas.users", "own.x"]
    assert by_namespace(names) == {"canvas": ("users", "quiz*"), "catalog": ("all",), "own": ("x",)}
    assert by_namespace([]) == {}


def test_a_namespace_may_be_given_separately() -> None:
    assert by_namespace(["users", "catalog.orders"], "canvas") == {"canvas": ("users",), "catalog": ("orders",)}


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("users", "'users' names no namespace", "canvas.users"),
        (".users", "'.users' names no namespace", "canvas.users"),
        (".", "'.' names no namespace", "canvas.all"),
        ("canvas", "'canvas' names no table", "canvas.all"),
        ("canvas.", "'canvas.' names no table", "canvas.all"),
        ("own.", "'own.' names no table", "own.all"),
        ("can*.users", "'can*.users' has a pattern as its namespace", "canvas.users"),
    ],
)
def test_an_incomplete_name_is_explained(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        by_namespace([name])
    assert caught.value.message == message
    assert hint in caught.value.hint
