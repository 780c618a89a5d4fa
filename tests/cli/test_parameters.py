"""Values of options, as people write them."""

from typing import Any

import pytest

from dapkit.cli.parameters import percentage
from dapkit.errors import UsageError

NO_CONTEXT: Any = None
NO_PARAMETER: Any = None


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1.0), ("0.5%", 0.5), ("100%", 100.0), ("1e-3", 0.001), (None, None)]
)
def test_valid_percentages(text: str | None, number: float | None) -> None:
    assert percentage(NO_CONTEXT, NO_PARAMETER, text) == number


@pytest.mark.parametrize("text", ["", "%", "0", "-1", "100.1", "nan", "inf", "one", "5 %%"])
def test_an_invalid_percentage_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="percentage"):
        percentage(NO_CONTEXT, NO_PARAMETER, text)
