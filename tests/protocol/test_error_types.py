"""Names of error types, however the service spells them."""

import pytest

from dapkit.protocol.error_types import error_name


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("OutOfRange", "outofrange"),
        ("OutOfRangeError", "outofrange"),
        ("com.example.OutOfRangeError", "outofrange"),
        ("com.example.Errors$OutOfRangeException", "outofrange"),
        ("dap::OUT_OF_RANGE", "outofrange"),
        ("out of range", "outofrange"),
        ("com.outofrange.ErrorResponse", "errorresponse"),
        ("com.example.", ""),
        ("", ""),
    ],
)
def test_only_the_last_word_counts(type_: str, name: str) -> None:
    assert error_name(type_) == name
