"""What follows from the fields of values."""

import pytest

from dapkit.model import epoch_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-02T00:00:00Z", 1704153600.0),
        ("2024-01-02T01:00:00+01:00", 1704153600.0),
        ("2024-01-02T00:00:00", 1704153600.0),
        ("2024-01-02T00:00:00.500000001Z", 1704153600.5),
    ],
)
def test_times_with_and_without_a_zone(text: str, seconds: float) -> None:
    assert epoch_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "banana", "2024", "2024-13-01T00:00:00Z"])
def test_invalid_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        epoch_seconds(text)
