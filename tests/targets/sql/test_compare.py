"""When two JSON texts are equal. The contract tests the SQL of comparisons on every database."""

import pytest

from dapkit.targets.sql.compare import same_json


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}'),
        ("1", "1.0"),
        ("100", "1E+2"),
        ("0.1", "1e-1"),
        ("-0.0", "0"),
        ('"\\u00e9"', '"é"'),
        (b'{"a":1}', '{"a": 1}'),
        (None, None),
        ("not { json", "not { json"),
    ],
)
def test_equal_json(one: str | None, other: str | None) -> None:
    assert same_json(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "true"),
        ("0", "false"),
        ("0", "null"),
        ("null", None),
        ('"1"', "1"),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.2"),
        ("[1, 2]", "[2, 1]"),
        ('{"a": null}', "{}"),
        ("[]", "{}"),
        ("not { json", "{}"),
        (b"\xff", "{}"),
    ],
)
def test_different_json(one: str | None, other: str | None) -> None:
    assert not same_json(one, other)
