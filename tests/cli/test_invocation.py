"""One call of the command."""

import pytest

from dapkit.cli.invocation import ErrorFormat, error_format


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list", "--json"], ErrorFormat.JSON),
        (["--logformat", "json", "list"], ErrorFormat.JSON_LINE),
        (["--logformat=JSON", "list", "--json"], ErrorFormat.JSON_LINE),
        (["list", "--logformat", "plain"], ErrorFormat.PLAIN),
        (["--logformat"], ErrorFormat.PLAIN),
        ([], ErrorFormat.PLAIN),
    ],
)
def test_the_format_of_errors_is_known_before_the_arguments_are_parsed(
    arguments: list[str], expected: ErrorFormat
) -> None:
    assert error_format(arguments) is expected
