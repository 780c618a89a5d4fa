"""Values of options, as people write them."""

from collections.abc import Callable
from typing import Any

import click
import pytest

from dapkit.cli.main import COMMANDS
from dapkit.cli.main import dap as dap_group
from dapkit.cli.parameters import check_value, percentage
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


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--output-directory", "", "--output-directory is empty"),
        ("--output-directory", "  ", "--output-directory is empty"),
        ("--table", "", "--table is empty"),
        ("--exclude", "", "--exclude is empty"),
        ("--exclude", ",", "--exclude contains no table"),
        ("--namespace", " ", "--namespace is empty"),
        ("--client-id", "", "--client-id is empty"),
        ("--client-secret", "", "--client-secret is empty"),
        ("--logfile", "", "--logfile is empty"),
        ("--table", "kurs\udcc3\udca9", "--table is not text in the encoding of this locale: kursé"),
        ("--namespace", "canv\udcff", r"--namespace is not text in the encoding of this locale: canv\xff"),
        ("--scope", "canv\udcff", "--scope is not text"),
    ],
)
def test_an_option_that_is_empty_or_not_text_is_a_usage_error(
    dap: Callable[..., Any], option: str, value: str, words: str
) -> None:
    given = ["--namespace", "canvas", "--table", "courses", option, value]
    outcome = dap("--sandbox", "snapshot", *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "bug" not in outcome.err


def test_every_option_that_takes_a_text_rejects_an_empty_one() -> None:
    for name in COMMANDS:
        command = dap_group.get_command(click.Context(dap_group), name)
        assert command is not None
        options = [each for each in command.params if isinstance(each, click.Option) and not each.is_flag]
        assert options
        for option in options:
            with pytest.raises(UsageError, match="is empty"):
                option.type_cast_value(click.Context(command), ("",) if option.multiple else "")


def test_a_path_may_contain_bytes_that_are_not_text() -> None:
    check_value("--output-directory", "kurs\udcff", path=True, shown=True)


@pytest.mark.parametrize("option", ["--client-secret", "--to"])
def test_the_error_for_a_secret_that_is_not_text_does_not_show_it(dap: Callable[..., Any], option: str) -> None:
    outcome = dap("sync", "--namespace", "canvas", "--table", "a", option, "postgresql://me:hush\udcff@host/x")
    assert outcome.code == 2
    assert f"{option} " in outcome.err
    assert "is not text" in outcome.err
    assert "hush" not in outcome.err


@pytest.mark.parametrize("name", ["DAP_SCOPE", "DAP_CONNECTION_STRING"])
def test_a_variable_that_is_not_text_is_a_usage_error(
    dap: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "duckdb:hush\udcff")
    outcome = dap("--sandbox", "sync", "--namespace", "canvas", "--table", "a")
    assert outcome.code == 2
    assert f"{name} is not text in the encoding of this locale" in outcome.err
